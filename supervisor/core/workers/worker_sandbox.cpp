#include "supervisor/core/workers/worker_sandbox.h"

#include <sys/mman.h>
#include <unistd.h>

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"
#include "supervisor/core/workspaces/worker_protocol.h"

namespace bulkhead {
namespace {

constexpr const char* kWorkerInside = "/bulkhead/bulkhead-worker";
constexpr std::size_t kMostWords = std::size_t{1} << 20;

}  // namespace

Result<LaunchPlan> worker_plan(const SandboxSpec& spec, Placement place, const std::string& program,
                               std::vector<std::string> argv, const HostFacts& host) {
  MountSpec worker;
  BULKHEAD_ASSIGN(worker.target, SandboxPath::parse(kWorkerInside));
  worker.source = program;
  worker.access = MountAccess::read_only;
  worker.origin = "supervisor";
  place.mounts.push_back(std::move(worker));
  argv.front() = kWorkerInside;
  const CommandSpec command{
      .argv = std::move(argv), .environment = compose_environment(spec, {}, {}), .directory = SandboxPath()};
  return compile_plan(spec, command, place, host);
}

Result<WorkerOutput> WorkerOutput::make() {
  WorkerOutput output{.out = Fd(::memfd_create("bulkhead-facts", MFD_CLOEXEC)),
                      .err = Fd(::memfd_create("bulkhead-worker-stderr", MFD_CLOEXEC))};
  if (!output.out.valid() || !output.err.valid()) return errno_error("memfd_create");
  return output;
}

Result<std::string> worker_answer(const ExitRecord& record, const WorkerOutput& output, const std::string& what,
                                  const std::string& object) {
  ::lseek(output.out.get(), 0, SEEK_SET);
  BULKHEAD_ASSIGN(std::string answer, read_fd(output.out.get(), max_worker_facts));
  // An orderly answer is exit 0 or 1; anything else is how its sandbox ended.
  if (record.reason == EndReason::exited && record.exit_code <= 1 && !answer.empty()) return answer;
  ::lseek(output.err.get(), 0, SEEK_SET);
  const auto words = read_fd(output.err.get(), kMostWords).value_or("");
  return fail(what, object, record.detail + (words.empty() ? "" : ": " + printable(words, 400)));
}

}  // namespace bulkhead
