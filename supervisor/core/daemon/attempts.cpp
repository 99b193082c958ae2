#include "supervisor/core/daemon/attempts.h"

#include <fcntl.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <string.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <nlohmann/json.hpp>

#include "sandbox/explain/view.h"
#include "sandbox/launch/cgroup.h"
#include "sandbox/launch/disk_ending.h"
#include "sandbox/sys/files.h"
#include "supervisor/core/daemon/attempt_disk.h"
#include "supervisor/core/daemon/denials.h"
#include "supervisor/core/daemon/workspaces.h"

namespace bulkhead {

AttemptEnded ended_by(const ExitRecord& r) {
  return {.reason = r.reason,
          .exit_code = r.exit_code,
          .signal = r.signal,
          .step = r.step,
          .detail = r.detail,
          .rule = r.origin,
          .wall_ms = r.wall_ms,
          .cpu_ms = r.metered ? r.cpu_ms : -1,
          .peak_memory = r.peak_memory,
          .cpu_stalled_ms = r.pressure.cpu_ms,
          .memory_stalled_ms = r.pressure.memory_ms,
          .io_stalled_ms = r.pressure.io_ms,
          .output_dropped = r.stdout_dropped + r.stderr_dropped};
}

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr const char* kHomeInside = "/home/agent";
constexpr const char* kResumeInside = "/run/bulkhead/resume.json";
constexpr const char* kPromptInside = "/run/bulkhead/prompt.txt";
constexpr auto kLook = 50ms;
constexpr auto kFruitless = 1s;
constexpr std::uint64_t kActivityCpuUs = 20'000;  // less CPU than this between looks is no activity

std::string attempt_id(const RunContext& run, const std::string& agent, unsigned attempt) {
  return run.run + "/" + agent + "/attempt-" + std::to_string(attempt);
}

AttemptEnded not_started(const Error& error) {
  AttemptEnded ended;
  ended.reason = EndReason::setup_failed;
  ended.step = error.operation;
  ended.detail = error.text();
  return ended;
}

// What the second attempt is told of the first: how it ended, and from what it goes on.
nlohmann::json resume_report(const RunContext& run, const StartAttempt& action) {
  const AgentState& agent = run.state.agents.at(action.agent);
  nlohmann::json report = {{"version", 1}, {"run", run.run}, {"agent", action.agent}, {"attempt", action.attempt}};
  report["previous"] = nlohmann::json::array();
  for (const AttemptState& attempt : agent.attempts) {
    if (attempt.number >= action.attempt || !attempt.ended) continue;
    report["previous"].push_back({{"attempt", attempt.number},
                                  {"reason", word(attempt.ended->reason)},
                                  {"exit_code", attempt.ended->exit_code},
                                  {"signal", attempt.ended->signal},
                                  {"detail", attempt.ended->detail},
                                  {"rule", attempt.ended->rule},
                                  {"verification_failed", attempt.verification_failed},
                                  {"commits", attempt.commits}});
  }
  report["checkpoint"] = nullptr;
  for (const CheckpointState& checkpoint : agent.checkpoints)
    if (action.from_checkpoint && checkpoint.n == *action.from_checkpoint)
      report["checkpoint"] = {{"number", checkpoint.n},
                              {"kind", word(checkpoint.kind)},
                              {"attempt", checkpoint.attempt},
                              {"commits", checkpoint.commits},
                              {"head", checkpoint.head}};
  report["workspace"] = worker_place::workspace;
  return report;
}

struct Stamp {
  ino_t inode = 0;
  off_t size = 0;
  timespec time{};
  bool operator==(const Stamp& other) const {
    return inode == other.inode && size == other.size && time.tv_sec == other.time.tv_sec &&
           time.tv_nsec == other.time.tv_nsec;
  }
};

// When HEAD last moved, from the file times of the agent's reflog. Nothing of it is read, no link is followed.
Stamp head_stamp(int upper) {
  Stamp stamp;
  const auto fd = open_beneath(upper, ".git/logs/HEAD", O_PATH | O_NOFOLLOW);
  struct stat st{};
  if (fd && ::fstat(fd->get(), &st) == 0) stamp = {st.st_ino, st.st_size, st.st_mtim};
  return stamp;
}

off_t size_of(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0 ? st.st_size : 0;
}

Async<HeadFacts> read_head(RunContext& run, std::string agent, std::string workspace) {
  WorkerJob job = run.range_job(WorkerKind::reader, agent, run.range_of(agent));
  job.mounts.push_back(bind_mount(workspace, std::string(worker_place::workspace), MountAccess::read_only));
  job.mounts.push_back(
      bind_mount(run.base_paths(run.base_of(agent)).tree(), std::string(worker_place::base), MountAccess::read_only));
  HeadRequest request{.workspace = std::string(worker_place::workspace),
                      .base_tree = std::string(worker_place::base),
                      .branch = agent_branch(run.run, agent),
                      .base = run.base_of(agent)};
  co_return co_await run.site.workers.run(std::move(job), std::move(request));
}

// Looks after one running attempt until `stop`: commits are boundaries, silence is idleness.
struct Watch {
  RunContext& run;
  StartAttempt action;
  AttemptPaths paths;
  std::string workspace;
  std::string cgroup;
  Result<Fd> upper;
  Stamp head;  // before its command started: what it commits at once is seen too
  asio::steady_timer timer;
  asio::steady_timer finished;
  bool stop = false;
  bool done = false;
  bool last_look = false;  // what was committed since the last look matters: another attempt may start from it
  unsigned commits = 0;    // of this attempt, told so far
};

asio::awaitable<void> look_for_commits(Watch& watch) {
  const auto facts = co_await read_head(watch.run, watch.action.agent, watch.workspace);
  if (!facts || !facts->descends) co_return;  // caught in the middle of a rewrite; the next look sees what it became
  const unsigned start = watch.run.agents[watch.action.agent].commits_at_start;
  const auto commits = facts->commits > start ? static_cast<unsigned>(facts->commits) - start : 0;
  if (commits <= watch.commits) co_return;
  watch.commits = commits;
  watch.run.note(watch.action.agent, watch.action.attempt, BoundarySeen{.commits = commits, .head = facts->tip});
}

asio::awaitable<void> watch_attempt(Watch& watch) {
  const auto idle_limit = watch.run.state.agents.at(watch.action.agent).plan.idle;
  off_t output = 0;
  std::uint64_t cpu = 0;
  auto active = std::chrono::steady_clock::now();
  auto next_look = active;
  bool told_idle = false;
  auto cgroup = Cgroup::open(watch.run.site.host.cgroups, watch.run.site.cgroup_root, watch.cgroup);
  if (cgroup) cgroup->close_entrances();
  while (!watch.stop) {
    watch.timer.expires_after(kLook);
    boost::system::error_code ignored;  // cancelled: the attempt has ended
    co_await watch.timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (watch.stop) break;
    const Stamp now = watch.upper ? head_stamp(watch.upper->get()) : Stamp{};
    if (!(now == watch.head) && std::chrono::steady_clock::now() >= next_look) {
      watch.head = now;
      const unsigned before = watch.commits;
      co_await look_for_commits(watch);
      // An agent that only touches the file does not keep a worker busy.
      if (watch.commits == before) next_look = std::chrono::steady_clock::now() + kFruitless;
    }
    if (idle_limit.count() == 0 || told_idle) continue;
    const off_t written = size_of(watch.paths.stdout_file()) + size_of(watch.paths.stderr_file());
    const std::uint64_t used = cgroup ? cgroup->cpu_us() : 0;
    if (written != output || used > cpu + kActivityCpuUs) {
      output = written;
      cpu = used;
      active = std::chrono::steady_clock::now();
    } else if (std::chrono::steady_clock::now() - active >= idle_limit) {
      told_idle = true;
      watch.run.note(watch.action.agent, watch.action.attempt, IdleExpired{});
    }
  }
  if (watch.last_look && watch.upper && !(head_stamp(watch.upper->get()) == watch.head))
    co_await look_for_commits(watch);
  watch.done = true;
  watch.finished.cancel();
}

// What the agent said outlives its workspace. Bounded by its policy; never looked into by us.
void keep_output(RunContext& run, const StartAttempt& action, const AttemptPaths& paths) {
  const auto keep = [&](const std::string& path) -> std::string {
    const auto text = read_file(path, std::size_t{1} << 30);
    if (!text || text->empty()) return {};
    auto blob = run.site.blobs.put(*text, Durability::process);
    if (!blob) spdlog::warn("{} {}: {}", run.run, action.agent, blob.error().text());
    return blob ? *blob : std::string();
  };
  const OutputKept kept{.stdout_blob = keep(paths.stdout_file()), .stderr_blob = keep(paths.stderr_file())};
  if (!kept.stdout_blob.empty() || !kept.stderr_blob.empty()) run.note(action.agent, action.attempt, kept);
}

Result<LaunchPlan> plan_command(RunContext& run, const Task& task, const CommandRun& command) {
  const SandboxSpec& spec = run.specs.at(task.name);
  std::map<std::string, std::string> extra = task.environment;
  extra["BULKHEAD_RUN"] = run.run;
  extra["BULKHEAD_AGENT"] = task.name;
  for (const auto& [key, value] : command.extra_environment) extra[key] = value;
  Placement place;
  place.cgroup = command.id;
  place.range_base = command.range;
  if (!run.unbounded_disks.contains(task.name)) place.disk = command.disk;
  place.mounts = command.mounts;
  place.mounts.push_back(bind_mount(command.workspace, std::string(worker_place::workspace), MountAccess::read_write));
  place.mounts.push_back(bind_mount(command.home, kHomeInside, MountAccess::read_write));
  for (const auto& [inside, host] : task.inputs) {
    BULKHEAD_TRY(SandboxPath::parse(inside));
    place.mounts.push_back(bind_mount(host, inside, MountAccess::read_only));
  }
  if (const auto image = run.images.find(task.name); image != run.images.end()) place.image_tree = image->second.tree;
  const CommandSpec what{.argv = command.argv,
                         .environment = run.environment_of(task.name, extra),
                         .directory = *SandboxPath::parse(worker_place::workspace)};
  place.learn = !command.observations.empty();
  return compile_plan(spec, what, place, run.site.host);
}

Result<LiveSandbox> launch_planned(RunContext& run, const CommandRun& command, LaunchPlan plan) {
  BULKHEAD_ASSIGN(const Fd out, open_file(command.stdout_file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  BULKHEAD_ASSIGN(const Fd err, open_file(command.stderr_file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  Fd observations;
  if (!plan.learning.empty()) {
    BULKHEAD_ASSIGN(observations, open_file(command.observations, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  }
  const LaunchRequest request{.id = command.id,
                              .plan = std::move(plan),
                              .stdin_fd = -1,
                              .stdout_fd = out.get(),
                              .stderr_fd = err.get(),
                              .capture_output = true,
                              .learn_fd = observations.get(),
                              .extra_fds = {}};
  return run.site.launcher.call([&](LauncherClient& c) { return c.launch(request); });
}

}  // namespace

Result<LiveSandbox> launch_command(RunContext& run, const Task& task, const CommandRun& command) {
  BULKHEAD_ASSIGN(LaunchPlan plan, plan_command(run, task, command));
  return launch_planned(run, command, std::move(plan));
}

namespace {

// The attempt's own workspace, mounted.
Async<std::string> workspace_of(RunContext& run, StartAttempt action, AttemptPaths paths) {
  const std::uint32_t range = run.range_of(action.agent);
  const std::string name = attempt_mount(run, action.agent, action.attempt);
  // The first attempt's was made with the agent.
  const auto& mounted = run.agents[action.agent].mounted;
  if (const auto found = mounted.find(name); found != mounted.end()) co_return found->second;
  // A forerunner that was killed while it made this attempt: made anew.
  if (exists(paths.directory()))
    BULKHEAD_CO_TRY(co_await remove_workspace_directory(run, action.agent, paths.directory(), range));
  if (action.from_checkpoint) {
    BULKHEAD_CO_TRY(co_await restore_checkpoint(run, action.agent, *action.from_checkpoint, paths));
  } else {
    BULKHEAD_CO_TRY(make_workspace_directories(run, action.agent, paths, range, agent_branch(run.run, action.agent),
                                               run.base_of(action.agent)));
  }
  co_return mount_workspace(run, action.agent, name, paths.upper(), paths.work(), range);
}

// Everything before the command: directories, mount, reports, setup. False: attempt_ended is journaled already.
asio::awaitable<bool> prepare_attempt(RunContext& run, StartAttempt action, CommandRun& command, AttemptPaths paths) {
  const Task& task = run.workflow->tasks().at(action.agent);
  AgentRuntime& runtime = run.agents[action.agent];
  const auto fail_with = [&](const Error& error) {
    run.note(action.agent, action.attempt, not_started(error));
    return false;
  };
  const auto workspace = co_await workspace_of(run, action, paths);
  if (!workspace) co_return fail_with(workspace.error());
  runtime.commits_at_start = 0;
  if (action.from_checkpoint) {
    auto head = co_await read_head(run, action.agent, *workspace);
    if (!head) co_return fail_with(head.error());
    runtime.commits_at_start = static_cast<unsigned>(head->commits);
  }
  command.agent = action.agent;
  command.range = run.range_of(action.agent);
  command.workspace = *workspace;
  command.home = paths.home();
  command.disk = paths.disk();
  command.stdout_file = paths.stdout_file();
  command.stderr_file = paths.stderr_file();
  command.extra_environment["BULKHEAD_ATTEMPT"] = std::to_string(action.attempt);
  if (action.attempt > 1) {
    if (auto written = write_file_atomic(paths.resume_report(), resume_report(run, action).dump(2) + "\n", 0644);
        !written)
      co_return fail_with(written.error());
    command.mounts.push_back(bind_mount(paths.resume_report(), kResumeInside, MountAccess::read_only));
    command.extra_environment["BULKHEAD_RESUME"] = kResumeInside;
  }
  if (!task.prompt.empty()) {
    if (auto written = write_file_atomic(paths.prompt(), task.prompt, 0644); !written)
      co_return fail_with(written.error());
    command.mounts.push_back(bind_mount(paths.prompt(), kPromptInside, MountAccess::read_only));
    command.extra_environment["BULKHEAD_PROMPT_FILE"] = kPromptInside;
    if (task.prompt.size() <= 64 * 1024) command.extra_environment["BULKHEAD_PROMPT"] = task.prompt;
  }
  if (!action.run_setup || !task.setup) co_return true;

  run.note(action.agent, action.attempt, SetupIntended{});
  CommandRun setup = command;
  setup.id = attempt_id(run, action.agent, action.attempt) + "-setup";
  setup.argv = task.setup->argv();
  auto live = launch_command(run, task, setup);
  if (!live) co_return fail_with(live.error());
  runtime.live_sandbox = setup.id;
  const ExitRecord record = co_await run.site.launcher.wait(setup.id);
  runtime.live_sandbox.clear();
  run.note(action.agent, action.attempt,
           SetupEnded{.reason = record.reason, .exit_code = record.exit_code, .wall_ms = record.wall_ms, .output = {}});
  run.site.launcher.acknowledge(setup.id);
  if (record.reason == EndReason::exited && record.exit_code == 0) co_return true;
  AttemptEnded ended = ended_by(record);
  // A kill that was asked for is what ended it; anything else is a setup that failed.
  const bool asked = record.reason == EndReason::killed_by_request || record.reason == EndReason::fault_injected ||
                     record.reason == EndReason::idle || record.reason == EndReason::lost;
  if (!asked) {
    ended.detail = "the setup command " + record.detail;
    ended.reason = EndReason::setup_failed;
    ended.step = "setup";
  }
  run.note(action.agent, action.attempt, ended);
  co_return false;
}

}  // namespace

asio::awaitable<void> carry_out_attempt(RunContext& run, StartAttempt action) {
  AgentRuntime& runtime = run.agents[action.agent];
  const Task& task = run.workflow->tasks().at(action.agent);
  const AttemptPaths paths = run.paths(action.agent).attempt(action.attempt);
  runtime.killed.reset();
  CommandRun command;
  if (!co_await prepare_attempt(run, action, command, paths)) co_return;
  const auto disk = co_await open_disk(run, paths);
  if (runtime.killed) {
    AttemptEnded ended;
    ended.reason = *runtime.killed;
    ended.detail = "ended before its command started";
    run.note(action.agent, action.attempt, ended);
    co_return;
  }
  command.id = attempt_id(run, action.agent, action.attempt);
  command.argv = task.command.argv();
  if (task.explain && can_be_observed(run.specs.at(task.name).seccomp())) command.observations = paths.observations();
  const auto plan = plan_command(run, task, command);
  if (plan && plan->learning.empty()) command.observations.clear();
  auto upper = disk ? open_beneath(disk->get(), "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW)
                    : Result<Fd>(std::unexpected(disk.error()));
  const Stamp head = upper ? head_stamp(upper->get()) : Stamp{};
  auto live = plan ? launch_planned(run, command, *plan) : std::unexpected(plan.error());
  if (!live) {
    run.note(action.agent, action.attempt, not_started(live.error()));
    co_return;
  }
  runtime.live_sandbox = command.id;
  const std::string unseen(name(Wall::refusals_seen));
  if (live->unseen_errno != 0 && !run.state.walls_missing.contains(unseen))
    run.note("", 0, WallMissing{.wall = unseen, .answer = strerrordesc_np(live->unseen_errno)});
  run.note(
      action.agent, action.attempt,
      AttemptStarted{.pid = live->pid, .start_time = live->start_time, .boot_id = boot_id(), .cgroup = live->cgroup});

  Watch watch{.run = run,
              .action = action,
              .paths = paths,
              .workspace = command.workspace,
              .cgroup = command.id,
              .upper = std::move(upper),
              .head = head,
              .timer = asio::steady_timer(run.site.io),
              .finished = asio::steady_timer(run.site.io, asio::steady_timer::time_point::max())};
  asio::co_spawn(run.site.io, watch_attempt(watch), [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  const ExitRecord record = co_await run.site.launcher.wait(command.id);
  runtime.live_sandbox.clear();
  watch.stop = true;
  watch.last_look = record.reason != EndReason::exited || record.exit_code != 0;
  watch.timer.cancel();
  while (!watch.done) {
    boost::system::error_code ignored;
    co_await watch.finished.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  if (task.explain)
    if (const std::string why = unobserved_because(run.specs.at(task.name), *plan); !why.empty())
      run.note(action.agent, action.attempt,
               DenialSeen{.what = "what it asked for of files and network is not known", .detail = why, .times = 1});
  co_await note_denials(run, action.agent, action.attempt, record, *plan, command.observations);
  keep_output(run, action, paths);
  if (record.disk_bytes != 0)
    run.note(action.agent, action.attempt, DiskUsed{.bytes = record.disk_bytes, .inodes = record.disk_inodes});
  run.note(action.agent, action.attempt, ended_by(record));
  run.site.launcher.acknowledge(command.id);
}

void inject_fault(RunContext& run, const InjectFault& action) {
  const std::string& sandbox = run.agents[action.agent].live_sandbox;
  const char* abbreviation = ::sigabbrev_np(action.signal);
  const std::string signal =
      abbreviation ? std::string("SIG") + abbreviation : "signal " + std::to_string(action.signal);
  std::string what = signal + " to the agent";
  if (sandbox.empty()) {
    what = "nothing: the attempt was over";
  } else {
    // SIGKILL is what a crash looks like: the whole compartment at once.
    const auto done = run.site.launcher.call([&](LauncherClient& c) {
      return action.signal == SIGKILL ? c.kill(sandbox, EndReason::fault_injected) : c.signal(sandbox, action.signal);
    });
    if (!done) what = "nothing: " + done.error().text();
  }
  run.note(action.agent, action.attempt, FaultInjected{.fault = action.fault, .what = what});
}

void kill_agent(RunContext& run, const Kill& action) {
  AgentRuntime& runtime = run.agents[action.agent];
  runtime.killed = action.cause;
  if (runtime.live_sandbox.empty()) return;
  // If it has just ended by itself, its own record says so.
  (void)run.site.launcher.call([&](LauncherClient& c) { return c.kill(runtime.live_sandbox, action.cause); });
}

}  // namespace bulkhead
