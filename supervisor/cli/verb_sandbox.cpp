// `bulkhead sandbox run` and `sandbox plan`: only the compartment, through a launcher of our own.
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <functional>

#include "sandbox/base/text.h"
#include "sandbox/explain/denied.h"
#include "sandbox/launch/launcher_client.h"
#include "sandbox/launch/wall_tries.h"
#include "sandbox/sys/files.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/explain.h"
#include "supervisor/cli/image_root.h"
#include "supervisor/cli/output_file.h"
#include "supervisor/cli/policies.h"
#include "supervisor/cli/sandbox_ending.h"
#include "supervisor/cli/sandbox_launch.h"
#include "supervisor/cli/signals.h"
#include "supervisor/cli/verbs.h"

namespace bulkhead {
namespace {

constexpr std::uint32_t kExampleRange = 0x70000000;  // `sandbox plan` asks no launcher for one

// Where the rule behind an ending stands: "p.yaml:3:12: /limits/memory".
std::string rule_text(const Document& policy, const std::string& origin) {
  if (!origin.starts_with('/')) return origin;  // "built-in"
  if (!positions(policy).contains(origin)) return origin + " (by default)";
  return located(policy, {.operation = {}, .object = origin}).text();
}

// Init could not come under the listener: nothing of the command has run.
bool could_not_observe(const ExitRecord& record) {
  return record.reason == EndReason::setup_failed && record.step == "init" &&
         (record.step_errno == EBUSY || record.step_errno == EINVAL);
}

}  // namespace

Outcome<int> sandbox_run_verb(const Context& context, const SandboxRunOptions& options) {
  if (auto root = need_root(context, "make compartments"); !root) return std::unexpected(root.error());
  // It waits for us and does nothing by itself; it ends when we do.
  auto launcher = or_exit(ExitCode::fault, LauncherClient::start_private(context.beside("bulkhead-launcher"), {}));
  if (!launcher) return std::unexpected(launcher.error());
  auto host = or_exit(ExitCode::host_lacks, probe_host());
  if (!host) return std::unexpected(host.error());
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());

  auto policy = read_policy(options.policy);
  if (!policy) return std::unexpected(policy.error());
  auto report = OutputFile::open("report", options.report);
  if (!report) return std::unexpected(report.error());
  if (auto tried = try_dispensable(*launcher, policy->spec, *host); !tried) return std::unexpected(tried.error());
  std::optional<PreparedImage> image;
  if (const auto& root = policy->spec.root_image()) {
    auto prepared = prepare_image(context, *launcher, *host, *root);
    if (!prepared) return std::unexpected(prepared.error());
    image = *std::move(prepared);
  }
  auto range = or_exit(ExitCode::host_lacks, launcher->acquire_range());
  if (!range) return std::unexpected(explain_failure(*launcher, policy->spec, range.error()));
  const bool observe = options.explain && can_be_observed(policy->spec.seccomp());
  // The launcher's own cgroup is the sandbox's; a worker that unpacks an image has one below.
  const std::string cgroup = image ? "sandbox" : "";
  auto plan = plan_for(context, policy->spec, *host, options.command, *range, cgroup, observe, image);
  if (!plan) return std::unexpected(explain_failure(*launcher, policy->spec, plan.error()));
  if (options.explain)
    if (const std::string why = unobserved_because(policy->spec, *plan); !why.empty())
      err_line("bulkhead: files and network are not explained: " + why);
  MissingWalls without;
  const auto go_without = [&](Wall wall, const std::string& answer) {
    without[wall] = answer;
    if (!options.quiet) err_line("bulkhead: without the wall " + printable(missing_text(wall, answer), 1000));
  };
  for (const LeftOut& out : plan->left_out) go_without(out.wall, out.answer);
  auto signals = or_exit(ExitCode::fault, Signals::open({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}));
  if (!signals) return std::unexpected(signals.error());

  const View view = view_of(policy->spec, *plan);
  Observed observed;
  const auto started = [&](const LiveSandbox& live) {
    if (live.unseen_errno != 0) go_without(Wall::refusals_seen, ::strerrordesc_np(live.unseen_errno));
  };
  auto record =
      run_to_end(*launcher, policy->spec, "sandbox", *std::move(plan), STDOUT_FILENO, *signals, started, observed);
  if (!record) return std::unexpected(record.error());
  if (observe && could_not_observe(*record)) {
    // The command has not run yet: somebody above us listens to system calls, who cannot be two.
    err_line("bulkhead: files and network are not explained: " + std::string(::strerrordesc_np(record->step_errno)));
    auto again = plan_for(context, policy->spec, *host, options.command, *range, cgroup, false, image);
    if (!again) return std::unexpected(again.error());
    record =
        run_to_end(*launcher, policy->spec, "sandbox", *std::move(again), STDOUT_FILENO, *signals, started, observed);
    if (!record) return std::unexpected(record.error());
  }
  // Cgroups and the range go with the launcher; waiting for that is what leaves nothing behind.
  if (auto gone = launcher->shutdown(); !gone) err_line("bulkhead: " + printable(gone.error().text()));

  const auto place = [&](const Origin& origin) { return rule_text(policy->files.document, origin); };
  const std::string rule = place(record->origin);
  if (const std::string line = ending_line(*record, options.policy, rule); !line.empty()) err_line(line);
  const std::vector<Denied> refused = denied(view, *record, observed, ask_host(observed, view));
  if (options.explain)
    for (const std::string& line : denied_lines(refused, options.policy, place)) err_line(line);
  if (observed.closed) err_line("bulkhead: files and network are not explained: " + std::string(kClosed));
  if (observed.more) err_line("bulkhead: denied: more was asked for than is noted");
  if (report->wanted()) {
    const nlohmann::json ended = ending_report(*record, options.policy, rule, without, refused);
    if (auto written = report->write(pretty(ended)); !written) return std::unexpected(written.error());
  }
  return command_status(*record);
}

Outcome<int> sandbox_plan_verb(const Context& context, const SandboxPlanOptions& options) {
  auto host = or_exit(ExitCode::host_lacks, probe_host());
  if (!host) return std::unexpected(host.error());
  // What needs root is tried as root; for who is not, walls that reading cannot tell of are taken to stand.
  if (context.root) {
    WallSet walls;
    for (const WallInfo& info : all_walls())
      if (info.need != WallNeed::runs) walls.insert(info.wall);
    auto missing = or_exit(ExitCode::host_lacks, try_walls(walls, *host));
    if (!missing) return std::unexpected(missing.error());
    host->missing.merge(*missing);
  }
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  auto policy = read_policy(options.policy);
  if (!policy) return std::unexpected(policy.error());
  std::vector<std::string> command = options.command.empty() ? std::vector<std::string>{"/bin/true"} : options.command;
  std::optional<PreparedImage> image;
  if (const auto& root = policy->spec.root_image()) {
    auto planned = planned_image(context, *root);
    if (!planned) return std::unexpected(planned.error());
    image = *std::move(planned);
  }
  auto plan = plan_for(context, policy->spec, *host, std::move(command), kExampleRange, "sandbox", false, image);
  if (!plan) return std::unexpected(plan.error());
  out_text(options.format == Format::json ? pretty(to_json(*plan)) : render(*plan));
  return 0;
}

}  // namespace bulkhead
