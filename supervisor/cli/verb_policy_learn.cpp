// `bulkhead policy learn`: runs a command in a learning sandbox, and proposes the policy that lets it run.
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "sandbox/base/text.h"
#include "sandbox/explain/observed.h"
#include "sandbox/sys/files.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/explain.h"
#include "supervisor/cli/image_root.h"
#include "supervisor/cli/learnt.h"
#include "supervisor/cli/live_lines.h"
#include "supervisor/cli/output_file.h"
#include "supervisor/cli/policies.h"
#include "supervisor/cli/sandbox_ending.h"
#include "supervisor/cli/sandbox_launch.h"
#include "supervisor/cli/verbs.h"

namespace bulkhead {
namespace {

struct Round {
  ExitRecord record;
  View view;
  Observed observed;
};

struct Learner {
  const Context& context;
  const HostFacts& host;
  LauncherClient& launcher;
  Signals& signals;
  std::uint32_t range;
  std::optional<PreparedImage> image;  // of a root: proposals never change it

  Outcome<Round> run(const SandboxSpec& spec, const std::vector<std::string>& command, const std::string& id) {
    auto plan = plan_for(context, spec, host, command, range, id, true, image);
    if (!plan) return std::unexpected(plan.error());
    if (plan->learning.empty())
      return failure(ExitCode::host_lacks, Error{.operation = "learn",
                                                 .object = printable(command.front(), 200),
                                                 .detail = unobserved_because(spec, *plan),
                                                 .hint = "sudo bulkhead doctor says what that wall needs"});
    View view = view_of(spec, *plan);
    const std::map<std::string, std::string>& environment = plan->command.environment;
    const std::string path = environment.contains("PATH") ? environment.at("PATH") : "";
    Observed observed;
    // stdout is the proposal's.
    auto record =
        run_to_end(launcher, spec, id, *std::move(plan), STDERR_FILENO, signals, [](const LiveSandbox&) {}, observed);
    if (!record) return std::unexpected(record.error());
    Round round{.record = *std::move(record), .view = std::move(view), .observed = std::move(observed)};
    if (round.record.reason == EndReason::setup_failed && round.record.step != "exec_command")
      return failure(ExitCode::host_lacks,
                     Error{.operation = "learn",
                           .object = printable(command.front(), 200),
                           .code = round.record.step_errno,
                           .detail = "the filter that tells of paths cannot be loaded",
                           .hint = round.record.step_errno == EBUSY
                                       ? "somebody above listens to system calls already: learn outside of that"
                                       : "the policy's profile must allow seccomp and sendmsg for that"});
    // What was looked for before there was a program is looked for by no program.
    if (round.record.reason == EndReason::setup_failed)
      for (std::string& place : command_places(command.front(), path))
        round.observed.rows.push_back({.seen = InitSeen::missing, .path = std::move(place), .error = ENOENT});
    return round;
  }
};

void append(Proposal& all, Proposal more) {
  all.patch.merge_patch(more.patch);
  all.added.insert(all.added.end(), more.added.begin(), more.added.end());
  all.named = std::move(more.named);  // of the last run: what an earlier one missed it may have got
}

nlohmann::json rows(const std::vector<ProposalLine>& lines) {
  nlohmann::json array = nlohmann::json::array();
  for (const ProposalLine& line : lines) array.push_back({{"key", line.key}, {"what", line.what}, {"why", line.why}});
  return array;
}

std::string ended(const ExitRecord& record) {
  if (record.reason == EndReason::setup_failed) return "the command could not be executed";
  return ending(record.reason, record.exit_code, record.signal, record.step);
}

// By a person, who wants no further round.
bool interrupted(const ExitRecord& record) {
  return record.reason == EndReason::killed_by_request ||
         (record.reason == EndReason::signalled && (record.signal == SIGINT || record.signal == SIGTERM));
}

}  // namespace

Outcome<int> policy_learn_verb(const Context& context, const PolicyLearnOptions& options) {
  if (auto root = need_root(context, "make compartments"); !root) return std::unexpected(root.error());
  auto host = or_exit(ExitCode::host_lacks, probe_host());
  if (!host) return std::unexpected(host.error());
  auto launcher = or_exit(ExitCode::fault, LauncherClient::start_private(context.beside("bulkhead-launcher"), {}));
  if (!launcher) return std::unexpected(launcher.error());
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());

  auto base = read_policy(options.policy);
  if (!base) return std::unexpected(base.error());
  auto output = OutputFile::open("proposal", options.output);
  if (!output) return std::unexpected(output.error());
  if (auto tried = try_dispensable(*launcher, base->spec, *host); !tried) return std::unexpected(tried.error());
  auto range = or_exit(ExitCode::host_lacks, launcher->acquire_range());
  if (!range) return std::unexpected(explain_failure(*launcher, base->spec, range.error()));
  auto signals = or_exit(ExitCode::fault, Signals::open({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}));
  if (!signals) return std::unexpected(signals.error());

  Learner learner{
      .context = context, .host = *host, .launcher = *launcher, .signals = *signals, .range = *range, .image = {}};
  if (const auto& root = base->spec.root_image()) {
    auto image = prepare_image(context, *launcher, *host, *root);
    if (!image) return std::unexpected(image.error());
    learner.image = *std::move(image);
  }
  // The default is what every policy is silently: a proposal over it need not repeat it.
  nlohmann::json policy = options.policy == "default" ? nlohmann::json{{"version", 1}} : base->files.policy;
  // A profile beside the base's file is not beside the proposal's.
  if (const auto profile = policy.find("seccomp"); profile != policy.end() && profile->is_string())
    if (const std::string path = *profile; path.find('/') != std::string::npos)
      policy["seccomp"] =
          std::filesystem::absolute(std::filesystem::path(base->files.document.file_name).parent_path() / path)
              .lexically_normal()
              .string();
  SandboxSpec spec = base->spec;
  Proposal all;
  nlohmann::json rounds = nlohmann::json::array();
  std::vector<std::string> head{"Proposed by `bulkhead policy learn` over " + options.policy + " for: " +
                                shell_quote(options.command.front()) + (options.command.size() > 1 ? " …" : "")};
  bool complete = false;
  while (!complete && rounds.size() < options.rounds) {
    const std::string id = "learn-" + std::to_string(rounds.size() + 1);
    auto round = learner.run(spec, options.command, id);
    if (!round) return std::unexpected(round.error());
    Proposal more =
        propose(policy, round->view, round->record, round->observed, ask_host(round->observed, round->view));
    complete = more.patch.empty();
    head.push_back("Run " + std::to_string(rounds.size() + 1) + ": " + ended(round->record) +
                   (complete ? "; nothing more to add" : ""));
    rounds.push_back({{"reason", name(round->record.reason)}, {"exit_status", command_status(round->record)}});
    patch_policy(policy, more.patch);
    append(all, std::move(more));
    if (complete) break;
    auto files = base->files;
    patch_policy(files.policy, all.patch);
    auto next = or_exit(ExitCode::fault, SandboxSpec::from_policy(files.policy, files.profiles));
    if (!next) return std::unexpected(next.error());
    spec = *std::move(next);
    if (interrupted(round->record)) break;
  }
  if (auto gone = launcher->shutdown(); !gone) err_line("bulkhead: " + printable(gone.error().text()));
  if (!complete)
    head.emplace_back("Not run with all of it yet: learn again with this as --policy, or with more --rounds");

  std::string text = render_proposal(policy, head, all);
  if (options.format == Format::json)
    text = pretty({{"policy", policy},
                   {"patch", all.patch},
                   {"added", rows(all.added)},
                   {"named", rows(all.named)},
                   {"rounds", rounds},
                   {"complete", complete}});
  if (!output->wanted()) {
    out_text(text);
    return 0;
  }
  if (auto written = output->write(text); !written) return std::unexpected(written.error());
  err_line("bulkhead: proposed " + std::to_string(all.added.size()) + " additions, named " +
           std::to_string(all.named.size()) + " more; next: bulkhead policy diff " + shell_quote(options.policy) + " " +
           shell_quote(options.output));
  return 0;
}

}  // namespace bulkhead
