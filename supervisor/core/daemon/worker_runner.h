// Runs bulkhead-worker in a sandbox of its own for one job, and reads its typed answer. The only way the daemon touches
// git or an agent's bytes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/host/host_facts.h"
#include "sandbox/spec/spec.h"
#include "supervisor/core/workers/worker_sandbox.h"
#include "supervisor/core/workspaces/worker_protocol.h"
#include "supervisor/runtime/async.h"
#include "supervisor/runtime/launcher_link.h"

namespace bulkhead {

struct OwnerIdentity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

enum class WorkerKind { reader, copier, owner, image };  // policies worker, copy-worker, owner-worker, image-worker

struct WorkerJob {
  WorkerKind kind = WorkerKind::reader;
  std::string place;             // "<run>/<agent>": where its cgroup stands
  std::uint32_t range_base = 0;  // reader, copier, image
  OwnerIdentity owner;           // owner
  std::vector<MountSpec> mounts;
  WallSet forgo;                         // walls that the run it serves goes on without
  std::vector<std::pair<int, int>> fds;  // (ours, number inside); borrowed until the job has started
  // Who looks where the agent says may be held by a file system that does not answer, and then not even be killed.
  std::optional<std::chrono::milliseconds> patience;
};

struct RunningWorker {
  std::string id;  // of its sandbox
  WorkerOutput output;
};

MountSpec bind_mount(const std::string& source, const std::string& target, MountAccess access);

class WorkerRunner {
 public:
  // Reads the workers' policies (JSON) from the first of `policy_dirs` that has them.
  static Result<WorkerRunner> create(LauncherLink& launcher, const HostFacts& host, std::string worker_path,
                                     const std::vector<std::string>& policy_dirs);

  // Starts it; whoever does so waits for its end, and acknowledges it. `what` names it in errors.
  Result<RunningWorker> start(WorkerJob job, std::vector<std::string> argv, std::string_view what);

  template <class Request>
  Async<typename Request::Facts> run(WorkerJob job, Request request) {
    BULKHEAD_CO_ASSIGN(const std::string answer,
                       co_await execute(std::move(job), worker_argv(request), Request::subcommand));
    co_return parse_worker_facts<typename Request::Facts>(answer);
  }

 private:
  WorkerRunner(LauncherLink& launcher, HostFacts host, std::string worker_path)
      : launcher_(&launcher), host_(std::move(host)), worker_path_(std::move(worker_path)) {}
  Async<std::string> execute(WorkerJob job, std::vector<std::string> argv, std::string_view subcommand);

  LauncherLink* launcher_;
  HostFacts host_;
  std::string worker_path_;
  std::map<WorkerKind, SandboxSpec> specs_;
  std::uint64_t count_ = 0;
};

}  // namespace bulkhead
