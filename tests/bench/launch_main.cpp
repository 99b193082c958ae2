// Starts the program under a policy through a live launcher, as bulkheadd does: compile the plan, launch, wait for the
// exit record, acknowledge it. Serves bench-drive: a byte on stdin starts one, a byte on stdout says it has ended.
//
//   bench-launch LAUNCHER SPARE-NETWORKS POLICY PROFILE COMMAND      PROFILE: the policy's seccomp profile
#include <unistd.h>

#include <cstdio>
#include <string>

#include "sandbox/host/host_facts.h"
#include "sandbox/launch/launcher_client.h"
#include "sandbox/plan/plan.h"
#include "sandbox/spec/spec.h"
#include "tests/bench/spec_file.h"

namespace bulkhead {
namespace {

Result<> start_one(LauncherClient& launcher, const SandboxSpec& spec, const CommandSpec& command, const HostFacts& host,
                   std::uint32_t range, unsigned number) {
  Placement placement;
  placement.cgroup = "bench/" + std::to_string(number);
  placement.range_base = range;
  LaunchRequest request;
  request.id = placement.cgroup;
  BULKHEAD_ASSIGN(request.plan, compile_plan(spec, command, placement, host));
  BULKHEAD_TRY(launcher.launch(request));
  BULKHEAD_ASSIGN(const ExitRecord record, launcher.next_exit());
  BULKHEAD_TRY(launcher.acknowledge(record.id));
  if (record.reason != EndReason::exited || record.exit_code != 0) return fail("run", request.id, record.detail);
  return {};
}

Result<> serve(char** argv) {
  BULKHEAD_ASSIGN(const SandboxSpec spec, read_spec(argv[3], argv[4]));
  BULKHEAD_ASSIGN(const HostFacts host, probe_host());
  BULKHEAD_ASSIGN(LauncherClient launcher,
                  LauncherClient::start_private(argv[1], "", static_cast<unsigned>(std::stoul(argv[2]))));
  BULKHEAD_ASSIGN(const std::uint32_t range, launcher.acquire_range());
  BULKHEAD_ASSIGN(const SandboxPath directory, SandboxPath::parse("/"));
  const CommandSpec command{{argv[5]}, compose_environment(spec, {}, {}), directory};
  unsigned number = 0;
  for (char byte; read(0, &byte, 1) == 1;) {
    if (const Result<> started = start_one(launcher, spec, command, host, range, number++); !started) {
      std::fprintf(stderr, "bench-launch: %s\n", started.error().text().c_str());
      byte = '!';
    }
    if (write(1, &byte, 1) != 1) break;
  }
  return launcher.shutdown();
}

}  // namespace
}  // namespace bulkhead

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: bench-launch LAUNCHER SPARE-NETWORKS POLICY PROFILE COMMAND\n");
    return 2;
  }
  if (const bulkhead::Result<> served = bulkhead::serve(argv); !served) {
    std::fprintf(stderr, "bench-launch: %s\n", served.error().text().c_str());
    return 1;
  }
  return 0;
}
