// Many sandboxes alive at once under one launcher: how long starting one takes when few and when many are there, what
// each holds in user space, and how long it takes until all are killed, reaped and their cgroups gone.
//
//   bench-crowd LAUNCHER POLICY PROFILE COUNT COMMAND [ARGUMENT…]      prints a JSON object
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "sandbox/host/host_facts.h"
#include "sandbox/launch/cgroup.h"
#include "sandbox/launch/launcher_client.h"
#include "sandbox/plan/plan.h"
#include "sandbox/sys/files.h"
#include "tests/bench/spec_file.h"

namespace bulkhead {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<long>(values.size() / 2));
  return values[values.size() / 2];
}

// Proportional set size of one process, in KiB (proc_pid_smaps(5)).
double pss_of(pid_t pid) {
  std::istringstream lines(read_file("/proc/" + std::to_string(pid) + "/smaps_rollup").value_or(""));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("Pss:")) return std::stod(line.substr(4));
  return 0;
}

Result<> measure(int argc, char** argv) {
  const std::size_t count = std::stoul(argv[4]);
  BULKHEAD_ASSIGN(const SandboxSpec spec, read_spec(argv[2], argv[3]));
  BULKHEAD_ASSIGN(const HostFacts host, probe_host());
  BULKHEAD_ASSIGN(LauncherClient launcher, LauncherClient::start_private(argv[1], ""));
  BULKHEAD_ASSIGN(const SandboxPath directory, SandboxPath::parse("/"));
  const CommandSpec command{{argv + 5, argv + argc}, compose_environment(spec, {}, {}), directory};

  std::vector<double> starts;
  std::vector<std::string> nodes;
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < count; ++i) {
    BULKHEAD_ASSIGN(const std::uint32_t range, launcher.acquire_range());
    LaunchRequest request;
    request.id = "crowd/" + std::to_string(i);
    BULKHEAD_ASSIGN(request.plan, compile_plan(spec, command, {.cgroup = request.id, .range_base = range}, host));
    const auto start = Clock::now();
    BULKHEAD_ASSIGN(const LiveSandbox live, launcher.launch(request));
    starts.push_back(microseconds_since(start));
    nodes.push_back(live.cgroup);
    ids.push_back(live.id);
    ::poll(nullptr, 0, 2);  // what a start leaves to the kernel's workers is not the next one's
  }
  // Every process of every sandbox, by the cgroups they are in.
  std::string root;
  for (const std::string& name : list_cgroup_roots(host.cgroups))
    if (exists(host.cgroups.v2_parent + "/" + name + "/crowd/0")) root = name;
  const auto pids = cgroup_root_processes(host.cgroups, root);
  double pss = 0;
  for (const int pid : pids) pss += pss_of(pid);

  const auto kill = Clock::now();
  BULKHEAD_TRY(launcher.kill(ids, EndReason::killed_by_request));
  for (std::size_t i = 0; i < count; ++i) {
    BULKHEAD_ASSIGN(const ExitRecord record, launcher.next_exit());
    BULKHEAD_TRY(launcher.acknowledge(record.id));
  }
  const std::string last = host.cgroups.v2_parent + "/" + root + "/" + nodes.back();
  while (exists(last)) ::poll(nullptr, 0, 1);
  const double killed = microseconds_since(kill);
  BULKHEAD_TRY(launcher.shutdown());

  const std::size_t sample = std::min<std::size_t>(100, count / 2);
  const nlohmann::json result{
      {"count", count},
      {"start_us_first", median({starts.begin() + 1, starts.begin() + 1 + static_cast<long>(sample)})},
      {"start_us_last", median({starts.end() - static_cast<long>(sample), starts.end()})},
      {"processes", pids.size()},
      {"pss_kib_each", pss / static_cast<double>(count)},
      {"kill_all_ms", killed / 1e3}};
  std::printf("%s\n", result.dump().c_str());
  return {};
}

}  // namespace
}  // namespace bulkhead

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: bench-crowd LAUNCHER POLICY PROFILE COUNT COMMAND [ARGUMENT…]\n");
    return 2;
  }
  if (const bulkhead::Result<> done = bulkhead::measure(argc, argv); !done) {
    std::fprintf(stderr, "bench-crowd: %s\n", done.error().text().c_str());
    return 1;
  }
  return 0;
}
