#include "supervisor/worker/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "sandbox/sys/fd.h"

namespace bulkhead {
namespace {

constexpr std::size_t kept_errors = 8192;

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("make pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

Result<std::string> find_program(const std::string& name) {
  if (name.contains('/')) return name;
  for (const char* directory : {"/usr/local/bin/", "/usr/bin/", "/bin/"}) {
    if (::access((directory + name).c_str(), X_OK) == 0) return directory + name;
  }
  return fail("run", name, "not found in /usr/local/bin, /usr/bin or /bin", "install " + name);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

class Actions {
 public:
  Actions() { ::posix_spawn_file_actions_init(&actions_); }
  ~Actions() { ::posix_spawn_file_actions_destroy(&actions_); }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

// A started program that is killed and reaped when nobody waited for it.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    [[maybe_unused]] const auto reaped = wait();  // an error is on its way already
  }
  Result<int> wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0) {
      if (errno != EINTR) return errno_error("wait for process");
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_;
};

Result<pid_t> spawn(const Command& command, int in, int out, int err) {
  BULKHEAD_ASSIGN(const std::string program, find_program(command.argv.front()));
  Actions actions;
  // Lifted out of 0..2 first: dup2 of one onto another must not close what the next one needs.
  const Fd lifted_in(::fcntl(in, F_DUPFD_CLOEXEC, 3));
  if (!lifted_in.valid()) return errno_error("duplicate descriptor for", program);
  ::posix_spawn_file_actions_adddup2(actions.get(), lifted_in.get(), 0);
  ::posix_spawn_file_actions_adddup2(actions.get(), out, 1);
  ::posix_spawn_file_actions_adddup2(actions.get(), err, 2);
  ::posix_spawn_file_actions_addclosefrom_np(actions.get(), 3);
  if (!command.directory.empty()) ::posix_spawn_file_actions_addchdir_np(actions.get(), command.directory.c_str());

  posix_spawnattr_t attributes{};
  ::posix_spawnattr_init(&attributes);
  sigset_t defaults;
  ::sigemptyset(&defaults);
  ::sigaddset(&defaults, SIGPIPE);  // ignored by the worker, expected by git
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

  const auto argv = pointers(command.argv);
  const auto environment = pointers(command.environment);
  pid_t pid = -1;
  const int code = ::posix_spawn(&pid, program.c_str(), actions.get(), &attributes, argv.data(), environment.data());
  ::posix_spawnattr_destroy(&attributes);
  if (code != 0) return errno_error("run", program, code);
  return pid;
}

enum class End { open, closed };

// One read or write of a ready descriptor; EAGAIN and EINTR are "still open".
Result<End> feed(int fd, std::string_view& input) {
  const ssize_t n = ::write(fd, input.data(), input.size());
  if (n >= 0) {
    input.remove_prefix(static_cast<std::size_t>(n));
    return input.empty() ? End::closed : End::open;
  }
  if (errno == EPIPE) return End::closed;  // it stopped reading: its exit status says why
  if (errno == EAGAIN || errno == EINTR) return End::open;
  return errno_error("write to process");
}

Result<End> drain(int fd, std::string& buffer, const std::function<Result<>(std::string_view)>& take) {
  const ssize_t n = ::read(fd, buffer.data(), buffer.size());
  if (n > 0) {
    BULKHEAD_TRY(take(std::string_view(buffer.data(), static_cast<std::size_t>(n))));
    return End::open;
  }
  if (n == 0) return End::closed;
  if (errno == EAGAIN || errno == EINTR) return End::open;
  return errno_error("read from process");
}

}  // namespace

Result<Finished> run_process(const Command& command) {
  Pipe in;
  if (command.stdin_fd < 0) {
    BULKHEAD_ASSIGN(in, make_pipe());
    ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);
  }
  BULKHEAD_ASSIGN(Pipe out, make_pipe());
  BULKHEAD_ASSIGN(Pipe err, make_pipe());
  ::fcntl(out.read.get(), F_SETPIPE_SZ, 1 << 20);  // fewer wake-ups for packs; a refusal costs only speed

  BULKHEAD_ASSIGN(const pid_t pid, spawn(command, command.stdin_fd >= 0 ? command.stdin_fd : in.read.get(),
                                         out.write.get(), err.write.get()));
  Child child(pid);
  in.read.reset();
  out.write.reset();
  err.write.reset();

  Finished finished;
  const std::function<Result<>(std::string_view)> keep = [&](std::string_view chunk) -> Result<> {
    if (finished.output.size() + chunk.size() > command.output_limit) {
      return fail("read output of", command.argv.front(),
                  "more than " + std::to_string(command.output_limit) + " bytes");
    }
    finished.output += chunk;
    return {};
  };
  const auto keep_errors = [&](std::string_view chunk) -> Result<> {
    finished.errors += chunk;
    if (finished.errors.size() > kept_errors) finished.errors.erase(0, finished.errors.size() - kept_errors);
    return {};
  };

  std::string_view input = command.input;
  if (input.empty()) in.write.reset();
  std::string buffer(std::size_t{256} << 10, '\0');
  while (in.write.valid() || out.read.valid() || err.read.valid()) {
    // poll() passes over descriptors that are -1.
    std::array<pollfd, 3> ready{{{.fd = in.write.get(), .events = POLLOUT, .revents = 0},
                                 {.fd = out.read.get(), .events = POLLIN, .revents = 0},
                                 {.fd = err.read.get(), .events = POLLIN, .revents = 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return errno_error("poll");
    }
    if (ready[0].revents != 0) {
      BULKHEAD_ASSIGN(const End end, feed(in.write.get(), input));
      if (end == End::closed) in.write.reset();
    }
    if (ready[1].revents != 0) {
      BULKHEAD_ASSIGN(const End end, drain(out.read.get(), buffer, command.sink ? command.sink : keep));
      if (end == End::closed) out.read.reset();
    }
    if (ready[2].revents != 0) {
      BULKHEAD_ASSIGN(const End end, drain(err.read.get(), buffer, keep_errors));
      if (end == End::closed) err.read.reset();
    }
  }
  BULKHEAD_ASSIGN(const int status, child.wait());
  finished.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  finished.status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return finished;
}

}  // namespace bulkhead
