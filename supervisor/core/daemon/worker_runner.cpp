#include "supervisor/core/daemon/worker_runner.h"

#include "sandbox/base/units.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

Result<SandboxSpec> read_spec(const std::string& name, const std::vector<std::string>& directories) {
  for (const auto& directory : directories) {
    const std::string path = directory + "/" + name + ".json";
    if (!exists(path)) continue;
    BULKHEAD_ASSIGN(const std::string policy, read_file(path));
    BULKHEAD_ASSIGN(const std::string profile, read_file(directory + "/seccomp/default.json"));
    try {
      return SandboxSpec::from_policy(apply_defaults(nlohmann::json::parse(policy)),
                                      {{"default", nlohmann::json::parse(profile)}});
    } catch (const nlohmann::json::exception& e) {
      return fail("read", path, e.what());
    }
  }
  return fail("find policy", name, "no policy directory has it", "reinstall Bulkhead, or set BULKHEAD_POLICIES");
}

}  // namespace

MountSpec bind_mount(const std::string& source, const std::string& target, MountAccess access) {
  MountSpec mount;
  mount.target = SandboxPath::parse(target).value();
  mount.source = source;
  mount.access = access;
  mount.origin = "supervisor";
  return mount;
}

Result<WorkerRunner> WorkerRunner::create(LauncherLink& launcher, const HostFacts& host, std::string worker_path,
                                          const std::vector<std::string>& policy_dirs) {
  WorkerRunner runner(launcher, host, std::move(worker_path));
  for (const auto& [kind, name] :
       {std::pair{WorkerKind::reader, "worker"}, std::pair{WorkerKind::copier, "copy-worker"},
        std::pair{WorkerKind::owner, "owner-worker"}, std::pair{WorkerKind::image, "image-worker"}}) {
    BULKHEAD_ASSIGN(SandboxSpec spec, read_spec(name, policy_dirs));
    runner.specs_.emplace(kind, std::move(spec));
  }
  return runner;
}

Result<RunningWorker> WorkerRunner::start(WorkerJob job, std::vector<std::string> argv, std::string_view what) {
  const SandboxSpec& spec = specs_.at(job.kind);
  // The pid keeps the names of two supervisors of one launcher apart.
  const std::string name = "worker-" + std::to_string(::getpid()) + "-" + std::to_string(++count_);

  Placement place;
  place.cgroup = job.place + "/" + name;
  place.range_base = job.range_base;
  place.forgo = std::move(job.forgo);
  place.shares_uid = job.kind == WorkerKind::reader || job.kind == WorkerKind::copier;
  if (job.kind == WorkerKind::owner) {
    place.use_host_identity = true;
    place.host_uid = job.owner.uid;
    place.host_gid = job.owner.gid;
    place.host_groups.assign(job.owner.groups.begin(), job.owner.groups.end());
  }
  place.mounts = std::move(job.mounts);
  BULKHEAD_ASSIGN(LaunchPlan plan, worker_plan(spec, std::move(place), worker_path_, std::move(argv), host_));
  RunningWorker worker{.id = job.place + "/" + name, .output = {}};
  BULKHEAD_ASSIGN(worker.output, WorkerOutput::make());
  const LaunchRequest request{.id = worker.id,
                              .plan = std::move(plan),
                              .stdin_fd = -1,
                              .stdout_fd = worker.output.out.get(),
                              .stderr_fd = worker.output.err.get(),
                              .capture_output = true,
                              .extra_fds = job.fds};
  auto live = launcher_->call([&](LauncherClient& c) { return c.launch(request); });
  if (!live) {
    live.error().operation = "bulkhead-worker " + std::string(what) + ": " + live.error().operation;
    return std::unexpected(live.error());
  }
  return worker;
}

Async<std::string> WorkerRunner::execute(WorkerJob job, std::vector<std::string> argv, std::string_view subcommand) {
  const auto patience = job.patience;
  BULKHEAD_CO_ASSIGN(const RunningWorker worker, start(std::move(job), std::move(argv), subcommand));
  std::optional<ExitRecord> ended;
  if (patience)
    ended = co_await launcher_->wait_or_abandon(worker.id, *patience);
  else
    ended = co_await launcher_->wait(worker.id);
  if (!ended)
    co_return fail("bulkhead-worker " + std::string(subcommand), "",
                   "has not answered within " + format_duration(*patience), "look for a file system that does not");
  const ExitRecord& record = *ended;
  launcher_->acknowledge(worker.id);
  co_return worker_answer(record, worker.output, "bulkhead-worker " + std::string(subcommand));
}

}  // namespace bulkhead
