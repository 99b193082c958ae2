// Other processes: pid 1 of the sandbox, the host's, and rings of keys.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/attack/attacks/attack.h"

namespace bulkhead::attack {
namespace {

// A process of our own, for what one can do to a process that nothing protects.
pid_t own_child() {
  const pid_t pid = fork();
  if (pid == 0)
    for (;;) pause();
  return pid;
}

pid_t target_of(Arguments a) { return a[0] == "child" ? own_child() : static_cast<pid_t>(atol(a[0].c_str())); }

void end(Arguments a, pid_t pid) {
  const int saved = errno;
  if (a[0] == "child") {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
  errno = saved;
}

// What /proc shows of a process to who may trace it.
Outcome look_into(Arguments a) {
  const pid_t pid = target_of(a);
  const std::string directory = "/proc/" + std::to_string(pid) + "/";
  Outcome outcome = not_tried("nothing");
  for (const char* name : {"mem", "environ", "maps", "exe", "root/.", "cwd/.", "fd"}) {
    outcome =
        answered(open((directory + name).c_str(), O_RDONLY | O_CLOEXEC), "open of its /proc/PID/" + std::string(name));
    if (outcome.kind != Outcome::Kind::blocked) break;
  }
  end(a, pid);
  return outcome;
}

Outcome overwrite_program(Arguments a) {
  const pid_t pid = target_of(a);
  const std::string path = "/proc/" + std::to_string(pid) + "/exe";
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  Outcome outcome = answered(fd, "open of its /proc/PID/exe");
  end(a, pid);
  return outcome;
}

Outcome trace(Arguments a) {
  const pid_t pid = target_of(a);
  const Outcome outcome = answered(ptrace(PTRACE_SEIZE, pid, nullptr, nullptr), "ptrace(PTRACE_SEIZE)");
  end(a, pid);
  return outcome;
}

Outcome read_memory(Arguments a) {
  const pid_t pid = target_of(a);
  static char secret = 's';
  char copy = 0;
  const iovec here{&copy, 1}, there{&secret, 1};
  const Outcome outcome = answered(process_vm_readv(pid, &here, 1, &there, 1, 0), "process_vm_readv", {EFAULT});
  end(a, pid);
  return outcome;
}

Outcome take_descriptor(Arguments a) {
  const pid_t pid = target_of(a);
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  const Outcome outcome = pidfd < 0 ? not_tried(error_name(errno) + " from pidfd_open")
                                    : answered(syscall(SYS_pidfd_getfd, pidfd, 0, 0), "pidfd_getfd", {EBADF});
  end(a, pid);
  return outcome;
}

Outcome signal_host(Arguments a) { return answered(kill(static_cast<pid_t>(atol(a[0].c_str())), 0), "kill"); }

Outcome see_process(Arguments a) {
  DIR* directory = opendir("/proc");
  if (directory == nullptr) return not_tried("open /proc");
  while (const dirent* entry = readdir(directory)) {
    const pid_t pid = static_cast<pid_t>(atol(entry->d_name));
    if (pid <= 1 || pid == getpid() || pid == getppid()) continue;
    const int fd = open(("/proc/" + std::to_string(pid) + "/cmdline").c_str(), O_RDONLY | O_CLOEXEC);
    char text[4096];
    const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0) close(fd);
    if (n > 0 && std::string_view(text, static_cast<size_t>(n)).find(a[0]) != std::string_view::npos)
      return succeeded("found a process of the host");
  }
  return blocked("no process of the host is in /proc");
}

// With no room for files pid 1, or who else is named, cannot write down how we ended.
Outcome starve_init(Arguments a) {
  const std::string who = a.empty() ? "1" : a[0];
  const rlimit nothing{0, 0};
  if (prlimit(static_cast<pid_t>(atol(who.c_str())), RLIMIT_FSIZE, &nothing, nullptr) != 0)
    return answered(-1, "prlimit of pid " + who);
  return succeeded("pid " + who + " can write no file");
}

// With a core limit of 1 the kernel runs no piped core_pattern, which would be root of the host; with 0 it does.
Outcome lower_core_limit(Arguments) {
  rlimit limit{0, 1};
  for (const bool newer : {true, false}) {
    const long done = newer ? syscall(SYS_prlimit64, 0, RLIMIT_CORE | 1L << 32, &limit, nullptr)
                            : syscall(SYS_setrlimit, RLIMIT_CORE, &limit);
    if (done != 0) return answered(done, "setrlimit");
    rlimit now{};
    if (getrlimit(RLIMIT_CORE, &now) != 0) return not_tried("getrlimit");
    if (now.rlim_cur != 1) return succeeded("the core limit is " + std::to_string(now.rlim_cur));
  }
  return blocked("the core limit stays 1");
}

Outcome kill_init(Arguments a) {
  const pid_t pid = target_of(a);
  for (const int signal : {SIGTERM, SIGSTOP, SIGSEGV, SIGILL, SIGABRT, SIGKILL})
    if (signal != SIGTERM || pid != 1)  // which pid 1 passes on to us
      if (kill(pid, signal) != 0) return answered(-1, "kill");
  if (a[0] != "child") return kill(pid, 0) == 0 ? blocked("pid 1 lives on") : succeeded("pid 1 is gone");
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? succeeded("it is gone") : blocked("it lives on");
}

Outcome add_key(Arguments) {
  return answered(syscall(SYS_add_key, "user", "bulkhead-attack", "x", 1, KEY_SPEC_PROCESS_KEYRING), "add_key");
}

// A key in the session ring of who called us.
Outcome find_key(Arguments a) {
  return answered(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", a[0].c_str(), 0),
                  "keyctl(KEYCTL_SEARCH)");
}

Outcome request_key(Arguments) {
  return answered(syscall(SYS_request_key, "user", "bulkhead-no-such-key", nullptr, 0), "request_key", {ENOKEY});
}

constexpr Attack kAttacks[]{
    {"look_into", look_into},
    {"overwrite_program", overwrite_program},
    {"ptrace", trace},
    {"process_vm_readv", read_memory},
    {"pidfd_getfd", take_descriptor},
    {"signal_host", signal_host},
    {"see_process", see_process},
    {"starve_init", starve_init},
    {"kill_init", kill_init},
    {"lower_core_limit", lower_core_limit},
    {"add_key", add_key},
    {"find_key", find_key},
    {"request_key", request_key},
};

}  // namespace

std::span<const Attack> processes() { return kAttacks; }

}  // namespace bulkhead::attack
