#include "supervisor/cli/options.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <filesystem>
#include <functional>

#include "sandbox/base/text.h"
#include "supervisor/core/workspaces/state_paths.h"

namespace bulkhead {
namespace {

constexpr const char* kAbout =
    "Bulkhead runs AI agents in compartments of their own: isolated, metered, killed, resumed, verified, merged.";

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 a task failed, 2 bad input, 3 the host lacks something, 4 budget, 5 fault,\n"
    "6 a person is needed, 7 conflict. `sandbox run` and `run -- CMD` end with the command's own.\n\n"
    "Examples:\n"
    "  sudo bulkhead run -- make test         one agent in this repository, its result on a branch of its own\n"
    "  sudo bulkhead run workflow.yaml        several agents, as the file says\n"
    "  bulkhead doctor                        what this host can do, wall by wall";

using Words = std::vector<std::string>;

// One verb: its CLI11 part, what it makes of it, and whether a command may follow.
struct Entry {
  enum class Command { none, optional_after_dashes, required, optional } command = Command::none;
  CLI::App* app = nullptr;
  std::function<Verb(Words&&)> make;
};

// Owns what CLI11 writes into while it parses.
struct Parser {
  CLI::App app{kAbout, "bulkhead"};
  std::string state;
  RunOptions run;
  SandboxRunOptions sandbox_run;
  SandboxPlanOptions sandbox_plan;
  PolicyCheckOptions policy_check;
  PolicyDiffOptions policy_diff;
  PolicyLearnOptions policy_learn;
  ConfigOptions config;
  DiffOptions diff;
  LogOptions log;
  ApplyOptions apply;
  ShellOptions shell;
  JournalOptions journal;
  PsOptions ps;
  KillOptions kill;
  CleanOptions clean;
  DoctorOptions doctor;
  bool json = false;
  std::vector<Entry> entries;

  Parser();
  void add(CLI::App* verb, Entry::Command command, std::function<Verb(Words&&)> make) {
    entries.push_back({.command = command, .app = verb, .make = std::move(make)});
  }
  Format format() const { return json ? Format::json : Format::text; }
};

Parser::Parser() {
  using enum Entry::Command;
  app.require_subcommand(1)->fallthrough()->footer(kExitCodes);
  app.set_version_flag("--version", "bulkhead " BULKHEAD_VERSION, "print the version");
  app.add_option("--state", state, "state directory (default: $BULKHEAD_STATE, else /var/lib/bulkhead)")
      ->type_name("DIR");

  auto* v = app.add_subcommand("run", "Run a workflow, or one command as an agent in this git repository");
  v->add_option("WORKFLOW", run.workflow, "workflow file, YAML or JSON")->type_name("FILE");
  v->add_option("--policy", run.policy, "policy of the command after --: a name or a file")->type_name("P");
  v->add_option("--name", run.name, "name of the run (default: made from the time)")->type_name("NAME");
  v->add_flag("--keep-workspaces", run.keep_workspaces, "leave the agents' workspaces for a later look");
  v->add_flag("--explain", run.explain,
              "note which files and addresses the agents were refused, and what would allow them (slower, see sandbox "
              "run --help)");
  v->add_flag("-q,--quiet", run.quiet, "print the report only, not what happens meanwhile");
  v->footer(
      "The result of a command is the branch bulkhead/<run>/agent, never merged unasked; bulkhead ends with the\n"
      "command's own status. Ctrl-C cancels the run; a second Ctrl-C stops waiting for it.\n\n"
      "Examples:\n"
      "  sudo bulkhead run fix-bugs.yaml\n"
      "  sudo bulkhead run -- sh -c 'sed -i s/colour/color/ *.md && git commit -am spelling'");
  add(v, optional_after_dashes, [this](Words&& command) {
    run.command = std::move(command);
    return run;
  });

  auto* sandbox = app.add_subcommand("sandbox", "Only the compartment: no git, no daemon");
  sandbox->require_subcommand(1);
  v = sandbox->add_subcommand("run", "Run a command in a sandbox of its own; ends with the command's own status");
  v->add_option("--policy", sandbox_run.policy, "policy: a name or a file")->type_name("P")->capture_default_str();
  v->add_flag("--explain", sandbox_run.explain,
              "say at the end what was refused (calls, files, network, limits), by which rule, and the least change of "
              "the policy that would allow it");
  v->add_flag("-q,--quiet", sandbox_run.quiet, "do not warn of walls that are missing here and not required");
  v->add_option("--report", sandbox_run.report, "write how it ended as JSON to this file")->type_name("FILE");
  v->prefix_command()->footer(
      "Ends with the command's status; 128+N when signal N ended it; 137 when a limit of memory or processes or a\n"
      "request killed it, 159 for a forbidden system call, 124 when its time was up, 3 when the sandbox could not be\n"
      "made, 2 for a bad policy.\n\n"
      "With --explain each call with a path or an address waits until the sandbox's pid 1 has looked at it: a build\n"
      "takes a third longer, git status over many files six times as long.\n\n"
      "Example:\n  sudo bulkhead sandbox run --policy policies/offline.yaml --report end.json -- make test");
  add(v, required, [this](Words&& command) {
    sandbox_run.command = std::move(command);
    return sandbox_run;
  });
  v = sandbox->add_subcommand("plan", "Print the kernel operations a policy leads to, and the policy line behind each");
  v->add_option("--policy", sandbox_plan.policy, "policy: a name or a file")->type_name("P")->capture_default_str();
  v->add_flag("--json", json, "as JSON");
  v->prefix_command()->footer("Example:\n  bulkhead sandbox plan --policy policies/offline.yaml -- make test");
  add(v, optional, [this](Words&& command) {
    sandbox_plan.command = std::move(command);
    sandbox_plan.format = format();
    return sandbox_plan;
  });

  auto* policy = app.add_subcommand("policy", "Look at policies");
  policy->require_subcommand(1);
  v = policy->add_subcommand("check", "Say whether a policy is right, or where and why not");
  v->add_option("P", policy_check.policy, "policy: a name or a file")->required();
  v->footer("Example:\n  bulkhead policy check policies/offline.yaml");
  add(v, none, [this](Words&&) { return policy_check; });
  v = policy->add_subcommand("diff", "Say what policy B allows beyond policy A, and what it takes away");
  v->add_option("A", policy_diff.from, "policy: a name or a file")->required();
  v->add_option("B", policy_diff.to, "policy: a name or a file")->required();
  v->add_flag("--json", json, "as JSON");
  v->footer(
      "Ends with 0 when B allows nothing beyond A, 1 when it does, 2 when one of them is wrong.\n\n"
      "Example:\n  bulkhead policy diff default policies/offline.yaml");
  add(v, none, [this](Words&&) {
    policy_diff.format = format();
    return policy_diff;
  });
  v = policy->add_subcommand("learn", "Run a command and propose the policy that lets it run");
  v->add_option("--policy", policy_learn.policy, "policy to begin with: a name or a file")
      ->type_name("BASE")
      ->capture_default_str();
  v->add_option("-o,--output", policy_learn.output, "write the proposal to this file instead of stdout")
      ->type_name("FILE");
  v->add_option("--rounds", policy_learn.rounds,
                "run again with the proposal until nothing new is missing, at most so many times")
      ->type_name("N")
      ->check(CLI::Range(1, 20))
      ->capture_default_str();
  v->add_flag("--json", json, "as JSON");
  v->prefix_command()->footer(
      "What the command writes to stdout goes to stderr. A proposal is what the command asked for, which says nothing\n"
      "of what it should have: read it. With --rounds the next run has it before you have read it. Nothing that would\n"
      "let it write to the host is ever proposed, only named.\n\n"
      "Example:\n  sudo bulkhead policy learn --rounds 5 -o learnt.yaml -- make test");
  add(v, required, [this](Words&& command) {
    policy_learn.command = std::move(command);
    policy_learn.format = format();
    return policy_learn;
  });

  v = app.add_subcommand("config", "Print a YAML or JSON file as the canonical JSON that Bulkhead reads");
  v->add_option("FILE", config.file, "workflow, policy or any other file")->required();
  v->footer("Example:\n  bulkhead config workflow.yaml");
  add(v, none, [this](Words&&) { return config; });

  constexpr const char* kAgent = "`agent` of the latest run, or `run/agent`";
  v = app.add_subcommand("diff", "Show what an agent changed");
  v->add_option("AGENT", diff.agent, kAgent)->required();
  v->add_flag("--stat", diff.stat, "only the files and how much");
  v->footer("Example:\n  sudo bulkhead diff issue-41");
  add(v, none, [this](Words&&) { return diff; });

  v = app.add_subcommand("log", "Show an agent's commits");
  v->add_option("AGENT", log.agent, kAgent)->required();
  v->add_flag("--output", log.output, "Show what it wrote to stdout and stderr instead, attempt by attempt");
  v->footer("Example:\n  sudo bulkhead log latest/issue-41\n  sudo bulkhead log --output latest/issue-41");
  add(v, none, [this](Words&&) { return log; });

  v = app.add_subcommand("apply", "Merge an agent's branch into the branch that is checked out");
  v->add_option("AGENT", apply.agent, kAgent)->required();
  v->add_flag("--squash", apply.squash, "stage the changes for a commit of your own instead of merging the commits");
  v->add_flag("--with-tool-files", apply.with_tool_files,
              "take changes of files that tools execute, once you have read them");
  v->footer(
      "Refused while tracked files are changed, and where the agent changed files that tools execute (.envrc,\n"
      ".github/, .vscode/, …; exit 6). A conflict leaves everything as it was (exit 7). No hook runs.\n\n"
      "Example:\n  sudo bulkhead apply issue-41");
  add(v, none, [this](Words&&) { return apply; });

  v = app.add_subcommand("shell", "Stand inside a running agent's compartment");
  v->add_option("AGENT", shell.agent, kAgent)->required();
  v->footer("Examples:\n  sudo bulkhead shell issue-41\n  sudo bulkhead shell issue-41 -- git status");
  add(v, optional_after_dashes, [this](Words&& command) {
    shell.command = std::move(command);
    return shell;
  });

  v = app.add_subcommand("journal", "Show the report of a run, from the journal alone");
  v->add_option("RUN", journal.run, "name, unique beginning of a name, or `latest`")->default_str("latest");
  v->add_flag("--events", journal.events, "every event, one a line, instead of the report");
  v->add_flag("--json", json, "as JSON; with --events one object a line");
  v->footer("Examples:\n  sudo bulkhead journal\n  sudo bulkhead journal 20261120 --events --json");
  add(v, none, [this](Words&&) {
    if (journal.run.empty()) journal.run = "latest";
    journal.format = format();
    return journal;
  });

  v = app.add_subcommand("ps", "List the runs and what they are at");
  v->add_flag("--json", json, "as JSON");
  v->footer("Example:\n  sudo bulkhead ps");
  add(v, none, [this](Words&&) {
    ps.format = format();
    return ps;
  });

  v = app.add_subcommand("kill", "End a running agent, or with --run a whole run");
  auto* agent = v->add_option("AGENT", kill.agent, kAgent);
  v->add_option("--run", kill.run, "cancel this run: name, unique beginning of a name, or `latest`")
      ->type_name("RUN")
      ->excludes(agent);
  v->footer("Examples:\n  sudo bulkhead kill issue-41\n  sudo bulkhead kill --run latest");
  add(v, none, [this](Words&&) { return kill; });

  v = app.add_subcommand("clean", "Remove what dead runs left behind: directories, sockets, cgroups, worktree entries");
  v->add_flag("--check", clean.check, "only list it; exit 1 when there is something");
  v->add_flag("--kept", clean.kept, "also workspaces that runs were told to keep");
  v->add_flag("--images", clean.images, "also unpacked images that nobody uses now");
  v->footer("Example:\n  sudo bulkhead clean --check");
  add(v, none, [this](Words&&) { return clean; });

  v = app.add_subcommand("doctor", "Say which walls this host can build and what stands in for those it cannot");
  v->add_flag("--json", json, "as JSON");
  v->footer("Example:\n  sudo bulkhead doctor");
  add(v, none, [this](Words&&) {
    doctor.format = format();
    return doctor;
  });

  add(app.add_subcommand("version", "Print the version"), none, [](Words&&) { return VersionOptions{}; });

  v = app.add_subcommand("completion", "Print a completion script for bash");
  v->footer("Example:\n  source <(bulkhead completion)");
  add(v, none, [](Words&&) { return CompletionOptions{}; });

  // --state may stand anywhere before the command. Not by falling through to the program where the command may come
  // without dashes: its words would fall through too.
  for (const auto& entry : entries)
    if (entry.app->get_parent() != sandbox && entry.app->get_name() != "learn")
      entry.app->fallthrough();
    else
      entry.app->fallthrough(false)->add_option("--state", state, "state directory")->type_name("DIR");
  sandbox->fallthrough();
  policy->fallthrough();
}

std::unexpected<ParseStop> mistake(const CLI::App& at, const std::string& text, std::string next = {}) {
  std::string name = at.get_name();
  for (const CLI::App* up = at.get_parent(); up != nullptr; up = up->get_parent())
    name.insert(0, " ").insert(0, up->get_name());
  if (next.empty()) next = name + " --help";
  return std::unexpected(ParseStop{.code = 2, .text = "bulkhead: " + printable(text) + "\n  next: " + next + "\n"});
}

// The verb that CLI11 got to, or the group or the program where it got no further.
const CLI::App* deepest(const CLI::App* app) {
  for (auto below = app->get_subcommands(); !below.empty(); below = app->get_subcommands()) app = below.back();
  return app;
}

std::unexpected<ParseStop> unknown_verb(const CLI::App& at, const std::string& word) {
  std::vector<std::string> verbs;
  for (const CLI::App* verb : at.get_subcommands([](const CLI::App*) { return true; }))
    verbs.push_back(verb->get_name());
  const std::string near = nearest(word, verbs);
  const std::string what =
      (at.get_parent() == nullptr ? "" : at.get_name() + " has ") + std::string("no verb '") + word + "'";
  return mistake(at, what + (near.empty() ? ", only " + one_of(verbs) : "; did you mean '" + near + "'?"));
}

std::expected<Verb, ParseStop> verb_of(Parser& parser, const CLI::App& at, bool dashes,
                                       std::vector<std::string> command) {
  const auto entry = std::ranges::find(parser.entries, &at, &Entry::app);
  if (entry == parser.entries.end()) return mistake(at, "a verb is missing");
  using enum Entry::Command;
  std::vector<std::string> words;
  if (entry->command == required || entry->command == optional) words = at.remaining();
  if (dashes && !words.empty()) words.emplace_back("--");  // it was the command's own
  words.insert(words.end(), command.begin(), command.end());
  if (dashes && entry->command == none) return mistake(at, at.get_name() + " takes no command after --");
  if (words.empty() && (dashes || entry->command == required)) return mistake(at, "a command is missing after --");
  return entry->make(std::move(words));
}

std::expected<void, ParseStop> check(const CLI::App& at, const RunOptions& run) {
  if (run.workflow.empty() && run.command.empty())
    return mistake(at, "run needs a workflow file, or a command after --", "bulkhead run --help");
  if (!run.workflow.empty() && !run.command.empty())
    return mistake(at, "run takes a workflow file or a command after --, not both");
  if (!run.workflow.empty() && !run.policy.empty())
    return mistake(at, "--policy is for a command after --; a workflow file names its policies itself");
  return {};
}

std::expected<void, ParseStop> check(const CLI::App& at, const KillOptions& kill) {
  if (kill.agent.empty() && kill.run.empty()) return mistake(at, "kill needs an AGENT, or --run RUN");
  return {};
}

}  // namespace

std::expected<CommandLine, ParseStop> parse_command_line(const std::vector<std::string>& arguments,
                                                         const std::map<std::string, std::string>& environment,
                                                         const std::string& directory) {
  Parser parser;
  const auto dashes = std::ranges::find(arguments, "--");
  const bool has_dashes = dashes != arguments.end();
  std::vector<std::string> command(has_dashes ? dashes + 1 : dashes, arguments.end());
  std::vector<std::string> reversed(std::make_reverse_iterator(dashes), arguments.rend());  // as CLI11 wants them
  try {
    parser.app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    return std::unexpected(ParseStop{.code = 0, .text = parser.app.help()});
  } catch (const CLI::CallForVersion& version) {
    return std::unexpected(ParseStop{.code = 0, .text = std::string(version.what()) + "\n"});
  } catch (const CLI::ParseError& error) {
    const CLI::App& at = *deepest(&parser.app);
    const auto rest = parser.app.remaining(/*recurse=*/true);
    if (!at.get_subcommands([](const CLI::App*) { return true; }).empty()) {
      if (!rest.empty() && !rest.front().starts_with('-')) return unknown_verb(at, rest.front());
      if (rest.empty()) return mistake(at, "a verb is missing");
    }
    if (&at == parser.app.get_subcommand("run") && !rest.empty() && !has_dashes && !parser.run.workflow.empty())
      return mistake(at, std::string(error.what()),
                     "to run a command: bulkhead run -- " + shell_quote(parser.run.workflow) + " …");
    return mistake(at, error.what());
  }
  const CLI::App& at = *deepest(&parser.app);
  auto verb = verb_of(parser, at, has_dashes, std::move(command));
  if (!verb) return std::unexpected(std::move(verb).error());
  std::expected<void, ParseStop> right;
  if (const auto* run = std::get_if<RunOptions>(&*verb)) right = check(at, *run);
  if (const auto* kill = std::get_if<KillOptions>(&*verb)) right = check(at, *kill);
  if (!right) return std::unexpected(std::move(right).error());

  if (parser.state.empty())
    if (const auto it = environment.find("BULKHEAD_STATE"); it != environment.end()) parser.state = it->second;
  if (parser.state.empty()) parser.state = StatePaths::default_root;
  std::filesystem::path state = (std::filesystem::path(directory) / parser.state).lexically_normal();
  if (!state.has_filename()) state = state.parent_path();  // "/x/": no trailing slash
  return CommandLine{.state = state.string(), .verb = *std::move(verb)};
}

}  // namespace bulkhead
