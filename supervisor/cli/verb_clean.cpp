// `bulkhead clean [--check]`. Two steps: runs that nobody finished are ended by a daemon, which knows from the journal
// what they hold (worktree entries and branches in repositories, uid ranges, workspaces); what then still lies about
// belongs to nobody alive and is removed here.
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "sandbox/base/text.h"
#include "sandbox/launch/launcher_client.h"
#include "sandbox/sys/files.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/daemon_door.h"
#include "supervisor/cli/history.h"
#include "supervisor/cli/leftovers.h"
#include "supervisor/cli/verbs.h"
#include "supervisor/core/lifecycle/lifecycle.h"

namespace bulkhead {
namespace {

struct State {
  Survivors survivors;
  std::vector<std::string> interrupted;  // unfinished in the journal, and nobody carries them on
};

Survivors who_lives(const StatePaths& paths) {
  Survivors out;
  if (auto client = ControlClient::connect(paths.control_socket()); client && client->send(StatusRequest{}))
    if (auto reply = client->receive(); reply)
      if (const auto* status = std::get_if<StatusReply>(&*reply)) {
        out.daemon = true;
        out.live_runs.insert(status->runs.begin(), status->runs.end());
      }
  out.launcher = LauncherClient::connect(paths.launcher_socket()).has_value();
  return out;
}

Outcome<State> look(const StatePaths& paths) {
  State state{.survivors = who_lives(paths), .interrupted = {}};
  if (!exists(paths.journal())) return state;
  auto history = History::open(paths);
  if (!history) return std::unexpected(history.error());
  auto runs = or_exit(ExitCode::fault, history->journal().runs());
  if (!runs) return std::unexpected(runs.error());
  for (const RunListing& run : *runs) {
    if (run.run.empty()) continue;
    auto events = history->events(run.run);
    if (!events) return std::unexpected(events.error());
    const RunState folded = fold(*events);
    // A plan that was never complete never started anything.
    if (folded.planned && !folded.finished && !state.survivors.live_runs.contains(run.run))
      state.interrupted.push_back(run.run);
    else if (folded.finished && folded.started && folded.started->keep_workspaces)
      state.survivors.kept_runs.insert(run.run);
  }
  return state;
}

// Cancels a run through a daemon and waits until it is finished.
Outcome<> end_run(const Context& context, const std::string& run) {
  auto door =
      or_exit(ExitCode::fault, DaemonDoor::open(context.state, context.beside("bulkheadd"), WhenNoDaemon::start_one));
  if (!door) return std::unexpected(door.error());
  auto client = door->connect();
  if (!client) return std::unexpected(client.error());
  if (auto sent = client->send(SubscribeRequest{run}); !sent) return failure(ExitCode::fault, sent.error());
  if (auto sent = client->send(CancelRequest{run}); !sent) return failure(ExitCode::fault, sent.error());
  while (true) {
    auto reply = or_exit(ExitCode::fault, client->receive());
    if (!reply) return std::unexpected(reply.error());
    if (std::holds_alternative<FinishedReply>(*reply)) return {};
    if (const auto* error = std::get_if<ErrorReply>(&*reply))
      return std::unexpected(
          Failure{.error = {.operation = "end run", .object = run, .detail = error->text, .hint = error->hint},
                  .code = error->exit_code});
  }
}

// A daemon that was started for one run and has none any more is on its way out; what it holds is not lying about.
// Its lock is what tells: asking it would keep it.
void wait_for_daemon_to_leave(const StatePaths& paths) {
  if (auto client = ControlClient::connect(paths.control_socket()); client && client->send(StatusRequest{}))
    if (auto reply = client->receive(); reply)
      if (const auto* status = std::get_if<StatusReply>(&*reply);
          status == nullptr || !status->once || !status->runs.empty())
        return;  // it stays
  const auto lock = open_file(paths.lock(), O_RDONLY);
  if (!lock) return;  // nobody was ever here
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(15);
  while (::flock(lock->get(), LOCK_SH | LOCK_NB) != 0 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

void say_live(const Survivors& survivors) {
  for (const std::string& run : survivors.live_runs) err_line("run " + printable(run) + " is going on, and left alone");
}

int check(const State& state, const std::vector<Leftover>& leftovers) {
  for (const std::string& run : state.interrupted) out_line("unfinished run " + printable(run));
  for (const Leftover& leftover : leftovers) out_line(text(leftover));
  if (state.interrupted.empty() && leftovers.empty()) {
    out_line("nothing left behind");
    return 0;
  }
  out_line("  next: sudo bulkhead clean");
  return 1;
}

}  // namespace

Outcome<int> clean_verb(const Context& context, const CleanOptions& options) {
  if (auto root = need_root(context, "clean up"); !root) return std::unexpected(root.error());
  auto host = or_exit(ExitCode::host_lacks, probe_host());
  if (!host) return std::unexpected(host.error());
  wait_for_daemon_to_leave(context.state);
  auto state = look(context.state);
  if (!state) return std::unexpected(state.error());
  say_live(state->survivors);
  if (options.kept) state->survivors.kept_runs.clear();
  if (options.images) state->survivors.image_age = std::chrono::hours(0);
  if (options.check) {
    // What an unfinished run holds goes with it.
    state->survivors.kept_runs.insert(state->interrupted.begin(), state->interrupted.end());
    return check(*state, find_leftovers(context.state, host->cgroups, state->survivors));
  }

  std::vector<Error> problems;
  const auto unfinished = state->interrupted;
  for (const std::string& run : unfinished)
    if (auto ended = end_run(context, run); !ended) problems.push_back(ended.error().error);
  if (!unfinished.empty()) {
    wait_for_daemon_to_leave(context.state);
    state = look(context.state);
    if (!state) return std::unexpected(state.error());
    if (options.kept) state->survivors.kept_runs.clear();
    if (options.images) state->survivors.image_age = std::chrono::hours(0);
  }
  for (const std::string& run : unfinished) {
    if (std::ranges::find(state->interrupted, run) == state->interrupted.end())
      out_line("ended unfinished run " + printable(run));
    else if (problems.empty())
      problems.push_back({.operation = "end run",
                          .object = run,
                          .detail = "it could not be taken over, and is kept as it is",
                          .hint = "read why: " + context.state.root() + "/bulkheadd.log"});
  }
  // A run that could not be ended keeps its directory: a later daemon needs it to give back what the run holds.
  for (const std::string& run : state->interrupted) state->survivors.kept_runs.insert(run);
  std::vector<Leftover> leftovers;
  const auto remove = [&](std::vector<Leftover> found) {
    auto failed = remove_leftovers(context.state, host->cgroups, found);
    const bool all = failed.empty();
    std::ranges::move(failed, std::back_inserter(problems));
    std::ranges::move(found, std::back_inserter(leftovers));
    return all;
  };
  // What a launcher without a daemon has is nobody's once it has ended, and found then.
  auto found = find_leftovers(context.state, host->cgroups, state->survivors);
  if (!found.empty() && found.front().kind == LeftoverKind::launcher) {
    state->survivors.launcher = !remove({found.front()});
    found = find_leftovers(context.state, host->cgroups, state->survivors);
    std::erase_if(found, [](const Leftover& leftover) { return leftover.kind == LeftoverKind::launcher; });
  }
  remove(std::move(found));
  for (const Leftover& leftover : leftovers) {
    const bool alive = leftover.kind == LeftoverKind::launcher || leftover.kind == LeftoverKind::processes;
    out_line((alive ? "ended " : "removed ") + text(leftover));
  }
  if (problems.empty()) {
    out_line("nothing left behind");
    return 0;
  }
  for (const Error& problem : problems) complain({.error = problem, .code = 0});
  return static_cast<int>(ExitCode::fault);
}

}  // namespace bulkhead
