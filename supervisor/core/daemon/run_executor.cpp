#include "supervisor/core/daemon/run_executor.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>

#include "sandbox/plan/required_walls.h"
#include "sandbox/sys/files.h"
#include "supervisor/core/daemon/attempt_disk.h"
#include "supervisor/core/daemon/attempts.h"
#include "supervisor/core/daemon/image_roots.h"
#include "supervisor/core/daemon/results.h"
#include "supervisor/core/daemon/workspace_ranges.h"
#include "supervisor/core/daemon/workspaces.h"

namespace bulkhead {

namespace asio = boost::asio;

std::int64_t unix_milliseconds() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

RunExecutor::RunExecutor(DaemonSite& site, std::string run)
    : context_{.site = site, .run = std::move(run)}, timer_(site.io) {
  context_.record = [this](Event event) { record(std::move(event)); };
  context_.registrar = std::make_unique<Registrar>(site.io, site.launcher, site.workers, [this] {
    return context_.owner_job("_register", MountAccess::read_write);
  });
}

void RunExecutor::record(Event event) {
  event.time_unix_ms = unix_milliseconds();
  const Durability durability = durability_of(event.type);
  auto appended = context_.site.journal.append(std::move(event), durability);
  // Nothing may happen that is not recorded: this ends the daemon, and the next one goes on from what is.
  if (!appended) throw std::runtime_error(appended.error().text());
  context_.state = apply(std::move(context_.state), *appended);
  spdlog::info("{} {} {} {}", context_.run, appended->agent, appended->type, appended->body.dump());
  for (auto follower = followers_.begin(); follower != followers_.end();) {
    if (auto connection = follower->lock()) {
      connection->send(EventReply{to_json(*appended)});
      ++follower;
    } else {
      follower = followers_.erase(follower);
    }
  }
  wake();
}

void RunExecutor::wake() { timer_.cancel(); }

void RunExecutor::follow(std::weak_ptr<ControlConnection> connection) { followers_.push_back(std::move(connection)); }

Result<> RunExecutor::begin(std::vector<Event> plan) {
  // It comes up while the plan is written to disk. Where it does not, whoever needs it first says so.
  (void)context_.registrar->start();
  BULKHEAD_ASSIGN(const auto appended, context_.site.journal.append(std::move(plan), Durability::power));
  for (const Event& event : appended) {
    context_.state = apply(std::move(context_.state), event);
    for (const auto& follower : followers_)
      if (auto connection = follower.lock()) connection->send(EventReply{to_json(event)});
  }
  const MissingWalls missing = missing_walls(context_.site.host);
  for (const Wall wall : context_.forgo)
    record(make_event(context_.run, "", 0, WallMissing{.wall = std::string(name(wall)), .answer = missing.at(wall)}));
  note_unbounded_disks(context_);
  return {};
}

Async<> RunExecutor::take_over(std::vector<Event> history) {
  context_.state = fold(history);
  if (!context_.state.started) co_return fail("take over", context_.run, "its journal has no beginning");
  context_.facts = *context_.state.started;
  context_.owner = {.uid = context_.facts.owner_uid, .gid = context_.facts.owner_gid, .groups = {}};
  for (const std::string& word : context_.state.walls_missing)
    if (const WallInfo* info = find_wall(word)) context_.forgo.insert(info->wall);
  // Without their ranges agents' work could not be read, and would be lost by ending the run.
  BULKHEAD_CO_TRY(adopt_ranges());
  record(make_event(context_.run, "", 0, SupervisorStarted{.pid = ::getpid(), .boot_id = boot_id()}));
  // Cancelled before its attempts are found ended: it is not their failure.
  cancel("its supervisor had ended");
  BULKHEAD_CO_ASSIGN(const auto present, context_.site.launcher.call([](LauncherClient& c) { return c.list(); }));
  for (const auto& [name, agent] : context_.state.agents)
    if (agent.workspace) context_.agents[name].imported_tip = agent.imported ? agent.imported->tip : agent.base;
  // What the journal does not hold of the repository. If it cannot be read now, clean-up says so itself.
  InspectRequest inspect{
      .repository = context_.facts.git_dir, .base = context_.facts.base, .target = {}, .config_home = {}};
  if (const auto facts = co_await context_.site.workers.run(context_.owner_job("_takeover", MountAccess::read_only),
                                                            std::move(inspect))) {
    context_.borrowed_objects = facts->object_directories;
    context_.object_format = facts->object_format;
    context_.shallow = facts->shallow;
  }
  // Whatever lives of this run is ended; what ended while nobody looked has left its record.
  std::map<std::string, ExitRecord> records;
  for (const LiveSandbox& sandbox : present) {
    if (!sandbox.id.starts_with(context_.run + "/")) continue;
    if (sandbox.ended) {
      records[sandbox.id] = *sandbox.ended;
    } else {
      (void)context_.site.launcher.call(
          [&](LauncherClient& c) { return c.kill(sandbox.id, EndReason::killed_by_request); });
      records[sandbox.id] = co_await context_.site.launcher.wait(sandbox.id);
    }
    context_.site.launcher.acknowledge(sandbox.id);
  }
  std::vector<std::string> names;
  for (const auto& [name, agent] : context_.state.agents) names.push_back(name);
  for (const std::string& name : names) {
    const AgentState& agent = context_.state.agents.at(name);
    if (agent.attempts.empty() || agent.attempts.back().ended) continue;
    const unsigned number = agent.attempts.back().number;
    ExitRecord unseen;
    unseen.detail = "nobody was left to see how it ended";
    const auto found = records.find(context_.run + "/" + name + "/attempt-" + std::to_string(number));
    const AttemptEnded ended = ended_by(found != records.end() ? found->second : unseen);
    record(make_event(context_.run, name, number, ended));
  }
  co_return Result<>{};
}

void RunExecutor::launcher_restarted() {
  context_.registrar->launcher_restarted();
  for (auto& [name, runtime] : context_.agents) runtime.mounted.clear();
  hold_images_again(context_);
  if (const auto adopted = adopt_ranges(); !adopted) spdlog::error("{}", adopted.error().text());
}

// All that can be; the first that cannot is the error.
Result<> RunExecutor::adopt_ranges() {
  Result<> result;
  for (const auto& [name, agent] : context_.state.agents) {
    if (!agent.workspace || agent.phase == AgentPhase::gone) continue;
    auto ranges = ranges_on_disk(context_.paths(name));
    ranges.insert(agent.workspace->range_base);
    for (const std::uint32_t range : ranges) {
      auto adopted = context_.site.launcher.call([&](LauncherClient& c) { return c.adopt_range(range); });
      if (adopted || !result) continue;
      result = fail("take over", context_.run + "/" + name,
                    "its uid range " + std::to_string(range) + " cannot be used: " + adopted.error().text(),
                    "another supervisor of this host may have it: once that one's run is over, sudo bulkhead clean");
    }
  }
  return result;
}

void RunExecutor::cancel(const std::string& cause) {
  if (context_.state.cancel || finished()) return;
  record(make_event(context_.run, "", 0, RunCancelRequested{.cause = cause}));
}

Result<> RunExecutor::cancel_agent(const std::string& agent, const std::string& cause) {
  const auto found = context_.state.agents.find(agent);
  if (found == context_.state.agents.end()) return fail("kill", agent, "run " + context_.run + " has no such agent");
  if (found->second.verdict) return fail("kill", agent, "has finished already");
  record(make_event(context_.run, agent, 0, AgentCancelRequested{.cause = cause}));
  return {};
}

template <class Coroutine>
void RunExecutor::spawn(Coroutine coroutine) {
  ++active_;
  asio::co_spawn(context_.site.io, std::move(coroutine), [this](std::exception_ptr thrown) {
    --active_;
    wake();
    if (thrown) std::rethrow_exception(thrown);
  });
}

namespace {

// Each action as a coroutine that journals its answer. Arguments by value: they live in the coroutine's frame.

asio::awaitable<void> do_prepare_base(RunContext& run, PrepareBase action) {
  const auto ready = co_await prepare_base(run, action.commit);
  ready ? run.note("", 0, *ready)
        : run.note("", 0, BaseFailed{.commit = action.commit, .reason = ready.error().text()});
}

asio::awaitable<void> do_create_workspace(RunContext& run, std::string agent,
                                          std::chrono::steady_clock::time_point intended) {
  const auto ready = co_await create_workspace(run, agent, intended);
  ready ? run.note(agent, 0, *ready) : run.note(agent, 0, WorkspaceFailed{.reason = ready.error().text()});
}

asio::awaitable<void> do_checkpoint(RunContext& run, TakeCheckpoint action) {
  const auto taken = co_await take_checkpoint(run, action);
  if (!taken) {
    run.note(action.agent, action.attempt, CheckpointFailed{.n = action.n, .reason = taken.error().text()});
    co_return;
  }
  run.note(action.agent, action.attempt, *taken);
  // What is not pruned now is at the next one, or goes with the agent.
  if (const auto pruned = co_await prune_checkpoints(run, action.agent); !pruned)
    spdlog::warn("{} {}: {}", run.run, action.agent, pruned.error().text());
}

asio::awaitable<void> do_import(RunContext& run, Import action) {
  const auto imported = co_await import_work(run, action);
  imported ? run.note(action.agent, action.attempt, *imported)
           : run.note(action.agent, action.attempt, ImportFailed{.reason = imported.error().text()});
}

asio::awaitable<void> do_verify(RunContext& run, Verify action) {
  const auto ended = co_await verify(run, action);
  run.note(action.agent, action.attempt, ended);
}

asio::awaitable<void> do_cleanup(RunContext& run, Cleanup action) {
  const auto cleaned = co_await clean_agent(run, action);
  run.note(action.agent, 0, Cleaned{.problem = cleaned ? "" : cleaned.error().text()});
}

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

}  // namespace

void RunExecutor::start(const Action& action) {
  RunContext& run = context_;
  std::visit(
      Overloaded{
          [&](const PrepareBase& a) { spawn(do_prepare_base(run, a)); },
          [&](const CreateWorkspace& a) { spawn(do_create_workspace(run, a.agent, std::chrono::steady_clock::now())); },
          [&](const StartAttempt& a) { spawn(carry_out_attempt(run, a)); },
          [&](const TakeCheckpoint& a) { spawn(do_checkpoint(run, a)); },
          [&](const InjectFault& a) { inject_fault(run, a); }, [&](const Kill& a) { kill_agent(run, a); },
          [&](const Import& a) { spawn(do_import(run, a)); }, [&](const Verify& a) { spawn(do_verify(run, a)); },
          [&](const PrepareMerge& a) { spawn(prepare_merge(run, a)); }, [&](const Merge& a) { spawn(merge(run, a)); },
          [&](const Cleanup& a) { spawn(do_cleanup(run, a)); }, [](const FinishAgent&) {}, [](const FinishRun&) {},
          [](const WakeAt&) {}},
      action);
}

asio::awaitable<void> RunExecutor::run() {
  while (!finished() || active_ != 0) {
    std::optional<TimePoint> wake_at;
    for (bool more = !finished(); more;) {
      more = false;
      const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
      for (const Action& action : decide(context_.state, now)) {
        if (const auto* wake = std::get_if<WakeAt>(&action)) {
          wake_at = wake->time;
          continue;
        }
        record(intent_of(context_.state, action));
        start(action);
        more = !finished();
      }
    }
    if (finished() && active_ == 0) break;
    // Nothing runs between the last decision and this wait: whatever is journaled from here on cancels the timer.
    if (wake_at) {
      timer_.expires_after(std::max<std::chrono::milliseconds>(
          std::chrono::milliseconds(1),
          std::chrono::duration_cast<std::chrono::milliseconds>(*wake_at - std::chrono::system_clock::now())));
    } else {
      timer_.expires_at(asio::steady_timer::time_point::max());
    }
    boost::system::error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_await context_.registrar->stop();
}

}  // namespace bulkhead
