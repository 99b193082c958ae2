// Further commands in one living sandbox, as `bulkhead shell` has them: ask, wait for the exit record, acknowledge it.
// Serves bench-drive: a byte on stdin starts one, a byte on stdout says it has ended.
//
//   bench-exec LAUNCHER POLICY PROFILE COMMAND HOST-COMMAND [ARGUMENT…]
// or, without a sandbox, by posix_spawn(3) from a process as small as this:
//   bench-exec --spawn COMMAND
// or so by the second of two processes that pass it on, as launcher and init do: what no way through both can be below.
//   bench-exec --relayed COMMAND
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <string>

#include "sandbox/host/host_facts.h"
#include "sandbox/launch/launcher_client.h"
#include "sandbox/plan/plan.h"
#include "tests/bench/spec_file.h"

namespace bulkhead {
namespace {

Result<> serve(const std::function<Result<>(unsigned)>& start_one) {
  unsigned number = 0;
  for (char byte; ::read(0, &byte, 1) == 1;) {
    if (const Result<> started = start_one(number++); !started) {
      std::fprintf(stderr, "bench-exec: %s\n", started.error().text().c_str());
      byte = '!';
    }
    if (::write(1, &byte, 1) != 1) break;
  }
  return {};
}

Result<> spawn_one(char* command) {
  char* const argv[] = {command, nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = -1;
  int status = 0;
  if (const int code = ::posix_spawn(&pid, command, nullptr, nullptr, argv, environment); code != 0)
    return errno_error("spawn", command, code);
  if (::waitpid(pid, &status, 0) != pid || status != 0) return fail("spawn", command, "did not end well");
  return {};
}

Result<> spawn(char* command) {
  return serve([&](unsigned) { return spawn_one(command); });
}

Result<> ask(int socket) {
  char byte = '.';
  if (::write(socket, &byte, 1) != 1 || ::read(socket, &byte, 1) != 1) return errno_error("ask");
  if (byte != '.') return fail("ask", "", "it failed further on");
  return {};
}

// A process behind a socket, which answers each byte once `one` is done.
Result<int> start_relay(const std::function<Result<>()>& one) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return errno_error("socketpair");
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::close(ends[0]);
    for (char byte; ::read(ends[1], &byte, 1) == 1;) {
      byte = one() ? '.' : '!';
      if (::write(ends[1], &byte, 1) != 1) break;
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  return ends[0];
}

Result<> relayed(char* command) {
  BULKHEAD_ASSIGN(const int second, start_relay([&] { return spawn_one(command); }));
  BULKHEAD_ASSIGN(const int first, start_relay([&] { return ask(second); }));
  return serve([&](unsigned) { return ask(first); });
}

Result<> exec(int argc, char** argv) {
  BULKHEAD_ASSIGN(const SandboxSpec spec, read_spec(argv[2], argv[3]));
  BULKHEAD_ASSIGN(const HostFacts host, probe_host());
  BULKHEAD_ASSIGN(LauncherClient launcher, LauncherClient::start_private(argv[1], ""));
  BULKHEAD_ASSIGN(const std::uint32_t range, launcher.acquire_range());
  BULKHEAD_ASSIGN(const SandboxPath directory, SandboxPath::parse("/"));
  const auto environment = compose_environment(spec, {}, {});
  LaunchRequest request;
  request.id = "host";
  const CommandSpec command{{argv + 5, argv + argc}, environment, directory};
  BULKHEAD_ASSIGN(request.plan, compile_plan(spec, command, {.cgroup = "host", .range_base = range}, host));
  BULKHEAD_TRY(launcher.launch(request));
  const Result<> served = serve([&](unsigned number) -> Result<> {
    const std::string id = "exec" + std::to_string(number);
    BULKHEAD_TRY(launcher.exec("host", id, {argv[4]}, environment, "/", -1, -1, -1));
    BULKHEAD_ASSIGN(const ExitRecord record, launcher.next_exit());
    BULKHEAD_TRY(launcher.acknowledge(record.id));
    if (record.reason != EndReason::exited || record.exit_code != 0) return fail("run", id, record.detail);
    return {};
  });
  BULKHEAD_TRY(launcher.shutdown());
  return served;
}

}  // namespace
}  // namespace bulkhead

int main(int argc, char** argv) {
  const bool spawns = argc == 3 && std::strcmp(argv[1], "--spawn") == 0;
  const bool relays = argc == 3 && std::strcmp(argv[1], "--relayed") == 0;
  if (!spawns && !relays && argc < 6) {
    std::fprintf(stderr,
                 "usage: bench-exec LAUNCHER POLICY PROFILE COMMAND HOST-COMMAND [ARGUMENT…]\n"
                 "       bench-exec --spawn|--relayed COMMAND\n");
    return 2;
  }
  const bulkhead::Result<> served = spawns   ? bulkhead::spawn(argv[2])
                                    : relays ? bulkhead::relayed(argv[2])
                                             : bulkhead::exec(argc, argv);
  if (served) return 0;
  std::fprintf(stderr, "bench-exec: %s\n", served.error().text().c_str());
  return 1;
}
