#include "supervisor/core/daemon/results.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sandbox/sys/files.h"
#include "supervisor/core/daemon/attempt_disk.h"
#include "supervisor/core/daemon/attempts.h"
#include "supervisor/core/daemon/workspaces.h"

namespace bulkhead {
namespace {

// A worker that reads what the agent left: its overlay and, beside it, the base it started from.
WorkerJob reader_of(const RunContext& run, const std::string& agent, std::uint32_t range, const std::string& workspace,
                    MountAccess access) {
  WorkerJob job = run.range_job(WorkerKind::reader, agent, range);
  job.mounts.push_back(bind_mount(workspace, std::string(worker_place::workspace), access));
  job.mounts.push_back(
      bind_mount(run.base_paths(run.base_of(agent)).tree(), std::string(worker_place::base), MountAccess::read_only));
  return job;
}

}  // namespace

Async<Imported> import_work(RunContext& run, Import action) {
  const AgentPaths paths = run.paths(action.agent);
  const std::uint32_t range = run.range_of(action.agent);
  std::string name, upper, work;
  if (action.from_checkpoint) {
    const CheckpointPaths checkpoint = paths.checkpoint(*action.from_checkpoint);
    name = run.run + "/" + action.agent + "/checkpoint-" + std::to_string(*action.from_checkpoint);
    upper = checkpoint.upper();
    work = checkpoint.directory() + "/work";
    BULKHEAD_CO_TRY(make_directory(work, 0755));
    if (::lchown(work.c_str(), range + 1000, range + 1000) != 0) co_return errno_error("chown", work);
  } else {
    name = attempt_mount(run, action.agent, action.attempt);
    BULKHEAD_CO_ASSIGN(const Fd disk,
                       co_await open_disk(run, paths.attempt(action.attempt)));  // after a launcher that died
    upper = paths.attempt(action.attempt).upper();
    work = paths.attempt(action.attempt).work();
  }
  BULKHEAD_CO_ASSIGN(const std::string workspace, mount_workspace(run, action.agent, name, upper, work, range));

  const std::string branch = agent_branch(run.run, action.agent);
  FinishRequest finish{.workspace = std::string(worker_place::workspace),
                       .base_tree = std::string(worker_place::base),
                       .branch = branch,
                       .base = run.base_of(action.agent),
                       .name = action.agent,
                       .email = "agent@bulkhead",
                       .message = "Uncommitted changes of " + action.agent};
  BULKHEAD_CO_ASSIGN(const FinishFacts finished,
                     co_await run.site.workers.run(
                         reader_of(run, action.agent, range, workspace, MountAccess::read_write), std::move(finish)));

  const Fd pack(::memfd_create("bulkhead-import", MFD_CLOEXEC));
  if (!pack.valid()) co_return errno_error("memfd_create");
  WorkerJob exporting = reader_of(run, action.agent, range, workspace, MountAccess::read_only);
  exporting.fds = {{pack.get(), 10}};
  ExportRequest request{.workspace = std::string(worker_place::workspace),
                        .base_tree = std::string(worker_place::base),
                        .branch = branch,
                        .base = run.base_of(action.agent),
                        .pack = "fd:10"};
  BULKHEAD_CO_ASSIGN(const ExportFacts exported,
                     co_await run.site.workers.run(std::move(exporting), std::move(request)));
  if (!exported.descends)
    co_return fail("import", action.agent, "its commits do not descend from the base: the branch was rewritten");

  ::lseek(pack.get(), 0, SEEK_SET);
  AgentRuntime& runtime = run.agents[action.agent];
  const ObjectId old = runtime.imported_tip.empty() ? run.base_of(action.agent) : runtime.imported_tip;
  WorkerJob ingesting = run.owner_job(action.agent, MountAccess::read_write);
  ingesting.fds = {{pack.get(), 10}};
  IngestRequest ingest{.git_dir = run.facts.git_dir,
                       .run = run.run,
                       .agent = action.agent,
                       .base = run.base_of(action.agent),
                       .tip = exported.tip,
                       .old = old,
                       .pack = exported.commits == 0 ? "" : "fd:10"};
  BULKHEAD_CO_TRY(co_await run.site.workers.run(std::move(ingesting), std::move(ingest)));
  runtime.imported_tip = exported.tip;
  co_return Imported{.tip = exported.tip,
                     .commits = exported.commits,
                     .files_changed = exported.paths_total,
                     .insertions = exported.added_total,
                     .deletions = exported.removed_total,
                     .uncommitted = finished.committed};
}

namespace {

std::string verification_name(const Verify& action) {
  std::string kind(word(action.kind));
  std::replace(kind.begin(), kind.end(), '_', '-');
  return std::to_string(action.attempt) + "-" + std::string(word(action.stage)) + "-" + kind;
}

// One command of a verification; its record is acknowledged.
Async<ExitRecord> run_to_end(RunContext& run, const Task& task, CommandRun command) {
  AgentRuntime& runtime = run.agents[command.agent];
  BULKHEAD_CO_TRY(launch_command(run, task, command));
  runtime.live_sandbox = command.id;
  ExitRecord record = co_await run.site.launcher.wait(command.id);
  runtime.live_sandbox.clear();
  run.site.launcher.acknowledge(command.id);
  co_return record;
}

// The tree to judge, in a workspace that shares nothing with the agent: own range, own overlay, only checked objects.
Async<std::string> make_judged_tree(RunContext& run, const Verify& action, const AttemptPaths& paths,
                                    std::uint32_t range, const std::string& mount) {
  const ObjectId base = run.base_of(action.agent);
  BULKHEAD_CO_TRY(make_workspace_directories(run, action.agent, paths, range, "judged", base));
  BULKHEAD_CO_ASSIGN(std::string workspace,
                     mount_workspace(run, action.agent, mount, paths.upper(), paths.work(), range));
  if (action.commit == base) co_return workspace;
  const Fd pack(::memfd_create("bulkhead-judged", MFD_CLOEXEC));
  if (!pack.valid()) co_return errno_error("memfd_create");
  WorkerJob packing = run.owner_job(action.agent, MountAccess::read_only);
  packing.fds = {{pack.get(), 10}};
  PackRequest request{
      .git_dir = run.facts.git_dir, .tip = action.commit, .exclude = {base}, .pack = "fd:10", .shallow = {}};
  BULKHEAD_CO_TRY(co_await run.site.workers.run(std::move(packing), std::move(request)));
  ::lseek(pack.get(), 0, SEEK_SET);
  WorkerJob making = reader_of(run, action.agent, range, workspace, MountAccess::read_write);
  making.fds = {{pack.get(), 10}};
  MaterializeRequest materialize{.workspace = std::string(worker_place::workspace),
                                 .base_tree = std::string(worker_place::base),
                                 .pack = "fd:10",
                                 .commit = action.commit,
                                 .branch = {}};
  BULKHEAD_CO_TRY(co_await run.site.workers.run(std::move(making), std::move(materialize)));
  co_return workspace;
}

Async<VerificationEnded> judge(RunContext& run, Verify action, AttemptPaths paths, std::uint32_t range) {
  const Task& task = run.workflow->tasks().at(action.agent);
  const std::string name = verification_name(action);
  const std::string mount = run.run + "/" + action.agent + "/verify-" + name;
  if (exists(paths.directory()))
    BULKHEAD_CO_TRY(co_await remove_workspace_directory(run, action.agent, paths.directory(), range));
  BULKHEAD_CO_ASSIGN(const std::string workspace, co_await make_judged_tree(run, action, paths, range, mount));
  VerificationEnded ended{.stage = action.stage, .kind = action.kind};
  const auto fill = [&](const ExitRecord& record) {
    ended.reason = record.reason;
    ended.exit_code = record.exit_code;
    ended.signal = record.signal;
    ended.step = record.step;
    ended.detail = record.detail;
    ended.wall_ms += record.wall_ms;
  };
  CommandRun command{.agent = action.agent,
                     .id = mount,
                     .argv = {},
                     .range = range,
                     .workspace = workspace,
                     .home = paths.home(),
                     .disk = paths.disk(),
                     .stdout_file = paths.stdout_file(),
                     .stderr_file = paths.stderr_file(),
                     .extra_environment = {{"BULKHEAD_VERIFY", std::string(word(action.kind))}},
                     .mounts = {}};
  if (task.setup && !run.agents[action.agent].killed) {
    command.id = mount + "-setup";
    command.argv = task.setup->argv();
    BULKHEAD_CO_ASSIGN(const ExitRecord record, co_await run_to_end(run, task, command));
    if (record.reason != EndReason::exited || record.exit_code != 0) {
      fill(record);
      ended.detail = "the setup command " + record.detail;
      if (ended.reason == EndReason::exited) {
        ended.reason = EndReason::setup_failed;
        ended.step = "setup";
      }
      co_return ended;
    }
  }
  if (const auto cause = run.agents[action.agent].killed) {
    ended.reason = *cause;
    ended.detail = "ended before its command started";
    co_return ended;
  }
  const auto& chosen = action.kind == VerifyKind::pass           ? task.verify.pass
                       : action.kind == VerifyKind::fail_to_pass ? task.verify.fail_to_pass
                                                                 : task.verify.pass_to_pass;
  command.id = mount;
  command.argv = chosen->argv();
  BULKHEAD_CO_ASSIGN(const ExitRecord record, co_await run_to_end(run, task, command));
  fill(record);
  std::string output = read_file(paths.stdout_file(), std::size_t{64} << 20).value_or("");
  output += read_file(paths.stderr_file(), std::size_t{64} << 20).value_or("");
  if (!output.empty()) {
    BULKHEAD_CO_ASSIGN(ended.output, run.site.blobs.put(output, Durability::process));
  }
  co_return ended;
}

}  // namespace

boost::asio::awaitable<VerificationEnded> verify(RunContext& run, Verify action) {
  AgentRuntime& runtime = run.agents[action.agent];
  runtime.killed.reset();
  const std::string name = verification_name(action);
  const AttemptPaths paths = run.paths(action.agent).verification(name);
  VerificationEnded ended{.stage = action.stage, .kind = action.kind};
  const auto range = run.site.launcher.call([](LauncherClient& c) { return c.acquire_range(); });
  const auto could_not = [&](const Error& error) {
    ended.reason = EndReason::setup_failed;
    ended.step = error.operation;
    ended.detail = error.text();
  };
  if (!range) {
    could_not(range.error());
    co_return ended;
  }
  auto judged = co_await judge(run, action, paths, *range);
  if (judged) {
    ended = *judged;
  } else {
    could_not(judged.error());
  }
  // The workspace goes whatever came of it; what cannot be removed now is in the way of nobody and found by clean.
  (void)unmount_workspace(run, action.agent, run.run + "/" + action.agent + "/verify-" + name);
  if (auto removed = co_await remove_workspace_directory(run, action.agent, paths.directory(), *range); !removed)
    ended.detail += " (its workspace could not be removed: " + removed.error().text() + ")";
  (void)run.site.launcher.call([&](LauncherClient& c) { return c.release_range(*range); });
  co_return ended;
}

namespace {

Async<InspectFacts> inspect_target(RunContext& run, std::string agent, std::string into) {
  WorkerJob job = run.owner_job(agent, MountAccess::read_only);
  InspectRequest request{.repository = run.facts.git_dir, .base = run.facts.base, .target = into, .config_home = {}};
  co_return co_await run.site.workers.run(std::move(job), std::move(request));
}

}  // namespace

boost::asio::awaitable<void> prepare_merge(RunContext& run, PrepareMerge action) {
  const auto refuse = [&](const std::string& reason) { run.note(action.agent, 0, MergeRefused{.reason = reason}); };
  const auto target = co_await inspect_target(run, action.agent, action.into);
  if (!target) co_return refuse(target.error().text());
  if (!target->target_checked_out.empty())
    co_return refuse("branch " + action.into + " is checked out at " + target->target_checked_out);
  MergePrepareRequest request{
      .git_dir = run.facts.git_dir,
      .ours = target->target.empty() ? run.facts.base : target->target,
      .tip = action.tip,
      .message = "Merge " + action.agent + "\n\nBulkhead run " + run.run + ", agent " + action.agent + ".\n",
      .name = run.committer_name,
      .email = run.committer_email,
      .time = 0};
  const auto facts =
      co_await run.site.workers.run(run.owner_job(action.agent, MountAccess::read_write), std::move(request));
  if (!facts) co_return refuse(facts.error().text());
  if (facts->outcome == MergeOutcome::conflict) {
    run.note(action.agent, 0, MergeConflict{.paths = facts->conflicts, .total = facts->conflicts_total});
    co_return;
  }
  run.note(action.agent, 0,
           MergePrepared{.commit = facts->commit,
                         .expected_old = target->target,
                         .fast_forward = facts->outcome != MergeOutcome::merged});
}

boost::asio::awaitable<void> merge(RunContext& run, Merge action) {
  MergeCommitRequest request{.git_dir = run.facts.git_dir,
                             .target = "refs/heads/" + action.into,
                             .expect_old = action.expected_old,
                             .commit = action.commit,
                             .reason = "bulkhead: merge " + action.agent + " of run " + run.run,
                             .name = run.committer_name,
                             .email = run.committer_email};
  const auto facts =
      co_await run.site.workers.run(run.owner_job(action.agent, MountAccess::read_write), std::move(request));
  if (facts) {
    run.note(action.agent, 0, Merged{.commit = action.commit});
  } else if (facts.error().operation == "move branch") {
    run.note(action.agent, 0, MergeStale{.found = facts.error().detail});
  } else {
    run.note(action.agent, 0, MergeRefused{.reason = facts.error().text()});
  }
}

}  // namespace bulkhead
