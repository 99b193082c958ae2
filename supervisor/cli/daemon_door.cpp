#include "supervisor/cli/daemon_door.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <optional>
#include <utility>

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"
#include "supervisor/cli/identity.h"
#include "supervisor/core/api/descriptors.h"

namespace bulkhead {
namespace {

constexpr int kReadyFd = 3;              // in the daemon
constexpr int kStartTimeoutMs = 60'000;  // it may have to adopt what an earlier one left
constexpr int kLeaveTimeoutMs = 10'000;  // the cgroups of many agents take their time

std::string last_line(const std::string& path) {
  const auto text = read_file(path, std::size_t{64} << 20);
  if (!text) return {};
  std::string_view rest = *text;
  while (rest.ends_with('\n')) rest.remove_suffix(1);
  return printable(rest.substr(rest.rfind('\n') + 1), 400);
}

// In the child, between fork and exec: only what is safe there. Answers with errno through the ready pipe's end.
[[noreturn]] void exec_daemon(const std::vector<char*>& argv, const std::vector<char*>& environment, int ready,
                              int log) {
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGINT, SIG_DFL);
  // A session of its own: Ctrl-C in our terminal asks the run to be cancelled, it does not end the daemon.
  const bool ok = ::setsid() >= 0 && null >= 0 && ::chdir("/") == 0 && ::dup2(null, STDIN_FILENO) >= 0 &&
                  ::dup2(log, STDOUT_FILENO) >= 0 && ::dup2(log, STDERR_FILENO) >= 0 &&
                  (ready == kReadyFd ? ::fcntl(ready, F_SETFD, 0) == 0 : ::dup2(ready, kReadyFd) >= 0);
  if (ok) {
    ::close_range(kReadyFd + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    ::execve(argv[0], argv.data(), environment.data());
  }
  ::_exit(127);
}

Outcome<pid_t> start_daemon(const StatePaths& state, const std::string& program) {
  const std::string log_path = state.root() + "/bulkheadd.log";
  if (::access(program.c_str(), X_OK) != 0) return failure(ExitCode::fault, errno_error("start", program).error());
  auto log = or_exit(ExitCode::bad_input, open_file(log_path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  if (!log) return std::unexpected(log.error());
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failure(ExitCode::fault, errno_error("make pipe").error());
  Fd reading(ends[0]), writing(ends[1]);

  std::vector<std::string> words{program, "--once", "--state", state.root(), "--ready-fd", std::to_string(kReadyFd)};
  const std::vector<char*> argv = exec_words(words);
  // Nothing of the caller's but where an administrator keeps policies, which sudo lets through only if told to.
  std::vector<std::string> variables{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  if (const char* policies = ::secure_getenv("BULKHEAD_POLICIES"))
    variables.push_back(std::string("BULKHEAD_POLICIES=") + policies);
  const std::vector<char*> environment = exec_words(variables);
  const pid_t pid = ::fork();
  if (pid < 0) return failure(ExitCode::fault, errno_error("start", program).error());
  if (pid == 0) exec_daemon(argv, environment, writing.get(), log->get());
  writing.reset();

  std::string line;
  while (line.find('\n') == std::string::npos && line.size() < kMaxLine) {
    pollfd ready{.fd = reading.get(), .events = POLLIN, .revents = 0};
    const int n = ::poll(&ready, 1, kStartTimeoutMs);
    if (n < 0 && errno == EINTR) continue;
    std::array<char, 4096> bytes{};
    const ssize_t got = n <= 0 ? 0 : ::read(reading.get(), bytes.data(), bytes.size());
    if (got <= 0) {
      const std::string said = last_line(log_path);
      return failure(ExitCode::fault,
                     {.operation = "start bulkheadd",
                      .detail = (n == 0 ? "it does not get ready within a minute" : "it ended at once") +
                                (said.empty() ? std::string() : "; its last words: " + said),
                      .hint = "read " + log_path});
    }
    line.append(bytes.data(), static_cast<std::size_t>(got));
  }
  auto reply = decode_reply(std::string_view(line).substr(0, line.find('\n')));
  if (!reply) return failure(ExitCode::fault, reply.error());
  if (const auto* error = std::get_if<ErrorReply>(&*reply)) {
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
    return std::unexpected(
        Failure{.error = {.operation = "start bulkheadd", .detail = error->text, .hint = error->hint},
                .code = error->exit_code});
  }
  return pid;
}

bool nobody_serves(const Error& error) { return error.code == ENOENT || error.code == ECONNREFUSED; }

struct Connected {
  ControlClient client;
  std::optional<pid_t> daemon;  // our child, where we started it
};

Outcome<Connected> connect_or_start(const StatePaths& state, const std::string& program, WhenNoDaemon when) {
  if (when == WhenNoDaemon::start_one)
    if (auto ready = or_exit(ExitCode::bad_input, prepare_state_directory(state.root())); !ready)
      return std::unexpected(ready.error());
  // Two that start at the same time would each find nobody serving: one after the other.
  auto directory = open_file(state.root(), O_RDONLY | O_DIRECTORY);
  if (!directory && when == WhenNoDaemon::start_one) return failure(ExitCode::bad_input, directory.error());
  if (directory)
    while (::flock(directory->get(), LOCK_EX) != 0)
      if (errno != EINTR) return failure(ExitCode::fault, errno_error("lock", state.root()).error());
  auto client = ControlClient::connect(state.control_socket());
  if (client) return Connected{.client = *std::move(client), .daemon = std::nullopt};
  if (!nobody_serves(client.error())) return failure(ExitCode::fault, client.error());
  if (when == WhenNoDaemon::refuse)
    return failure(ExitCode::bad_input, {.operation = "connect to bulkheadd",
                                         .object = state.root(),
                                         .detail = "nothing runs there",
                                         .hint = "look what ran: sudo bulkhead ps"});
  auto started = start_daemon(state, program);
  if (!started) return std::unexpected(started.error());
  client = ControlClient::connect(state.control_socket());
  if (!client) return failure(ExitCode::fault, client.error());
  return Connected{.client = *std::move(client), .daemon = *started};
}

// A daemon that has no run left is on its way out, and its exit is ours to collect: then nothing of the run is left
// when bulkhead itself ends. One that serves others is not waited for.
void see_daemon_off(const StatePaths& state, pid_t daemon) {
  if (auto client = ControlClient::connect(state.control_socket()); client && client->send(StatusRequest{}))
    if (auto reply = client->receive(); reply)
      if (const auto* status = std::get_if<StatusReply>(&*reply); status != nullptr && !status->runs.empty()) return;
  const Fd exit(static_cast<int>(::syscall(SYS_pidfd_open, daemon, 0)));  // glibc 2.36 declares pidfd_open for C only
  pollfd ended{.fd = exit.get(), .events = POLLIN, .revents = 0};
  if (exit.valid() && ::poll(&ended, 1, kLeaveTimeoutMs) > 0) ::waitpid(daemon, nullptr, 0);
}

bool read_byte(int socket) {
  char byte = 0;
  ssize_t n = 0;
  do n = ::read(socket, &byte, 1);
  while (n < 0 && errno == EINTR);
  return n == 1;
}

[[noreturn]] void serve(int socket, const StatePaths& state, const std::string& program, WhenNoDaemon when) {
  // Ctrl-C is for the process that talks to the person; this one ends when that one does.
  ::signal(SIGINT, SIG_IGN);
  if (!read_byte(socket)) ::_exit(0);
  std::optional<pid_t> daemon;
  {
    auto connected = connect_or_start(state, program, when);
    Reply reply = ReadyReply{};
    std::array<int, 1> descriptor{-1};
    std::span<const int> passed;
    if (connected) {
      descriptor[0] = connected->client.socket().get();
      passed = descriptor;
      daemon = connected->daemon;
    } else {
      const Failure& why = connected.error();
      reply = error_reply(why.error, why.code);
    }
    const auto line = encode(reply);
    if (!line || !send_some(socket, *line, passed, 0)) ::_exit(1);
  }  // our own copy of the connection is closed: the daemon is to see when the client's is
  if (read_byte(socket) && daemon) see_daemon_off(state, *daemon);
  ::_exit(0);
}

}  // namespace

Result<> prepare_state_directory(const std::string& path) {
  BULKHEAD_TRY(make_directories(path, 0700));
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return errno_error("look at", path);
  if (!S_ISDIR(st.st_mode)) return errno_error("use state directory", path, ENOTDIR);
  if (st.st_uid != 0)
    return fail("use state directory", path, "it belongs to uid " + std::to_string(st.st_uid) + " and not to root",
                "name another with --state DIR, or give it to root");
  if ((st.st_mode & 077) != 0)
    return fail("use state directory", path, "others may look into it, and agents' work lies there",
                "sudo chmod 700 " + shell_quote(path));
  return {};
}

Result<DaemonDoor> DaemonDoor::open(const StatePaths& state, const std::string& program, WhenNoDaemon when) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return errno_error("make socket pair");
  Fd ours(ends[0]), theirs(ends[1]);
  const pid_t helper = ::fork();
  if (helper < 0) return errno_error("fork");
  if (helper == 0) {
    ours.reset();
    serve(theirs.get(), state, program, when);
  }
  return DaemonDoor(std::move(ours), helper);
}

Outcome<ControlClient> DaemonDoor::connect() {
  if (::send(socket_.get(), "g", 1, MSG_NOSIGNAL) != 1)
    return failure(ExitCode::fault, errno_error("ask for bulkheadd").error());
  std::string line;
  std::vector<Fd> descriptors;
  while (line.find('\n') == std::string::npos) {
    auto got = receive_some(socket_.get(), line, descriptors, 0);
    if (!got && got.error().code == EINTR) continue;
    if (!got) return failure(ExitCode::fault, got.error());
    if (*got == 0)
      return failure(ExitCode::fault,
                     {.operation = "connect to bulkheadd", .detail = "the helper ended without an answer"});
  }
  auto reply = decode_reply(std::string_view(line).substr(0, line.find('\n')));
  if (!reply) return failure(ExitCode::fault, reply.error());
  if (const auto* error = std::get_if<ErrorReply>(&*reply))
    return std::unexpected(Failure{.error = {.operation = error->text, .hint = error->hint}, .code = error->exit_code});
  if (descriptors.size() != 1)
    return failure(ExitCode::fault, {.operation = "connect to bulkheadd", .detail = "the helper sent no connection"});
  connected_ = true;
  return ControlClient::over(std::move(descriptors.front()));
}

DaemonDoor::~DaemonDoor() {
  if (!socket_.valid()) return;  // moved from
  // Only a helper that has connected waits for this byte; to another the end of the stream says the same.
  if (connected_) static_cast<void>(::send(socket_.get(), "b", 1, MSG_NOSIGNAL));
  ::shutdown(socket_.get(), SHUT_WR);
  while (::waitpid(helper_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace bulkhead
