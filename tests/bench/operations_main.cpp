// The floor of a plan: its kernel operations and nothing else. The same cgroups, root, clone, mounts, filters and init
// as a launch through the launcher, prepared once; no request, no plan to read, no record, no bookkeeping. Serves
// bench-drive: a byte on stdin starts one, a byte on stdout says it has ended.
//
//   bench-operations INIT SPARE-NETWORKS POLICY PROFILE COMMAND      0: each start makes its network, 1: it is made
//   ahead
// Or starts COUNT that stay alive, and prints how many milliseconds pass until all are killed, reaped and their cgroups
// gone:
//   bench-operations INIT crowd=COUNT POLICY PROFILE COMMAND
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "sandbox/host/host_facts.h"
#include "sandbox/launch/child_arguments.h"
#include "sandbox/launch/prepared_root.h"
#include "sandbox/launch/spare_networks.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/plan/plan.h"
#include "sandbox/sys/files.h"
#include "tests/bench/spec_file.h"

namespace bulkhead {
namespace {

constexpr std::uint32_t kRange = kRangeFirst + (kRangeCount - 1) * kRangeSize;  // no launcher gets so far

struct Floor {
  HostFacts host;
  std::string root_node = "bulkhead-bench" + std::to_string(::getpid());
  LaunchPlan plan;
  Fd init, record;
  RangeNamespace user_namespace;
  ProcInstance proc;
  std::optional<PreparedRoots> roots;
  SpareNetworks networks;
};

struct Alive {
  Cgroup cgroup;
  Fd pidfd;
  pid_t pid = -1;
};

Result<Alive> start(Floor& floor, unsigned number) {
  BULKHEAD_ASSIGN(Cgroup cgroup,
                  Cgroup::create(floor.host.cgroups, floor.root_node, std::to_string(number), {"memory", "pids"}));
  for (const Operation& op : floor.plan.operations)
    if (op.step == Step::limit_cgroup) BULKHEAD_TRY(cgroup.limit(op.target, op.number));
  const auto binds = open_own_binds(floor.plan);
  if (!binds) return std::unexpected(binds.error().error);
  auto root = floor.roots->root_for(floor.plan, *binds);
  if (!root) return std::unexpected(root.error().error);
  ChildArguments arguments;
  arguments.set_identity(floor.plan);
  if (auto set = arguments.set_operations(floor.plan, root->operations, *binds); !set)
    return std::unexpected(set.error().error);
  arguments.set_command(floor.plan.command, "i", 0);
  arguments.set_v1_tasks(cgroup.v1_tasks());
  arguments.context.observe_refusals = true;
  arguments.context.user_namespace = floor.user_namespace.fd.get();
  arguments.context.last_capability = floor.host.last_capability;
  arguments.context.init_fd = floor.init.get();
  const Fd network = floor.networks.take();
  arguments.context.network = network.get();
  BULKHEAD_TRY(arguments.set_descriptors({}, floor.record.get()));
  BULKHEAD_TRY(floor.roots->enter(*root));
  int pidfd = -1;
  const pid_t pid =
      clone_child(arguments.context,
                  CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | (network.valid() ? 0 : CLONE_NEWNET),
                  cgroup.v2_fd(), pidfd);
  floor.roots->leave();
  if (pid < 0) return errno_error("clone");
  if (arguments.context.failed_errno != 0) return std::unexpected(arguments.failure().error);
  return Alive{.cgroup = std::move(cgroup), .pidfd = Fd(pidfd), .pid = pid};
}

Result<> start_one(Floor& floor, unsigned number) {
  BULKHEAD_ASSIGN(Alive alive, start(floor, number));
  int status = 0;
  if (waitpid(alive.pid, &status, 0) != alive.pid) return errno_error("wait");
  BULKHEAD_TRY(alive.cgroup.remove());
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return fail("run", "command", "did not end well");
  return {};
}

Result<> kill_crowd(Floor& floor, std::size_t count) {
  std::vector<Alive> crowd;
  for (unsigned i = 0; i < count; ++i) {
    BULKHEAD_ASSIGN(Alive alive, start(floor, i));
    alive.cgroup.close_entrances();
    crowd.push_back(std::move(alive));
    ::poll(nullptr, 0, 2);  // as bench-crowd
  }
  const auto begin = std::chrono::steady_clock::now();
  for (Alive& alive : crowd) BULKHEAD_TRY(alive.cgroup.kill());
  for (Alive& alive : crowd) {
    if (waitpid(alive.pid, nullptr, 0) != alive.pid) return errno_error("wait");
    BULKHEAD_TRY(alive.cgroup.remove());
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  std::printf("%f\n", took.count());
  return {};
}

Result<> serve(Floor& floor) {
  unsigned number = 0;
  for (char byte; ::read(0, &byte, 1) == 1;) {
    if (const Result<> started = start_one(floor, number++); !started) {
      std::fprintf(stderr, "bench-operations: %s\n", started.error().text().c_str());
      byte = '!';
    }
    if (::write(1, &byte, 1) != 1) break;
    if (!floor.networks.complete()) BULKHEAD_TRY(floor.networks.add_one());
  }
  return {};
}

Result<> run(char** argv) {
  const std::string mode = argv[2];
  const bool crowd = mode.starts_with("crowd=");
  Floor floor;
  BULKHEAD_ASSIGN(floor.host, probe_host());
  BULKHEAD_ASSIGN(const SandboxSpec spec, read_spec(argv[3], argv[4]));
  BULKHEAD_ASSIGN(const SandboxPath directory, SandboxPath::parse("/"));
  BULKHEAD_ASSIGN(floor.plan, compile_plan(spec, {{argv[5]}, compose_environment(spec, {}, {}), directory},
                                           {.cgroup = "0", .range_base = kRange}, floor.host));
  BULKHEAD_ASSIGN(const Fd file, open_file(argv[1], O_RDONLY));
  BULKHEAD_ASSIGN(const std::string program, read_fd(file.get()));
  BULKHEAD_ASSIGN(floor.init, make_memfd("bulkhead-init", program));
  BULKHEAD_ASSIGN(const int proc, floor.proc.get());
  BULKHEAD_ASSIGN(floor.user_namespace, make_range_namespace(kRange, proc));
  floor.record = Fd(::memfd_create("record", MFD_CLOEXEC));
  BULKHEAD_ASSIGN(floor.roots, PreparedRoots::open());
  BULKHEAD_ASSIGN(floor.networks, SpareNetworks::open(crowd ? 0 : std::stoul(mode)));
  if (!floor.networks.complete()) BULKHEAD_TRY(floor.networks.add_one());
  BULKHEAD_TRY(crowd ? kill_crowd(floor, std::stoul(mode.substr(mode.find('=') + 1))) : serve(floor));
  return remove_cgroup_root(floor.host.cgroups, floor.root_node);
}

}  // namespace
}  // namespace bulkhead

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: bench-operations INIT SPARE-NETWORKS|crowd=COUNT POLICY PROFILE COMMAND\n");
    return 2;
  }
  if (const bulkhead::Result<> served = bulkhead::run(argv); !served) {
    std::fprintf(stderr, "bench-operations: %s\n", served.error().text().c_str());
    return 1;
  }
  return 0;
}
