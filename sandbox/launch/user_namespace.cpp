#include "sandbox/launch/user_namespace.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "sandbox/launch/child.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

// A holder shares our memory and our descriptors, and we go on beside it: it writes nothing but its report, and makes
// its system calls without errno, which would be ours too.
struct Holder {
  uid_t owner = 0;
  int report = -1;  // a whole errno when the namespace is there, and another when it is limited; 0: fine
  int go = -1;      // a byte lets it finish
  int proc = -1;    // a proc file system
  pid_t maker = 0;  // ours: it ends with us
  // The namespace, opened by the holder into the descriptors we share: another process's is open only to whom may
  // trace that one, which a container's root may not.
  volatile int made = -1;
};

long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
#if defined(__x86_64__)
  long result = number;
  register long fourth asm("r10") = d;
  register long fifth asm("r8") = e;
  asm volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth) : "rcx", "r11", "memory");
  return result;
#else
#error "call() knows x86-64 only; add this architecture's system call here"
#endif
}

long address(const void* pointer) { return reinterpret_cast<long>(pointer); }

// 0, or the errno of the first call that failed.
class Steps {
 public:
  Steps& then(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0) {
    if (code_ != 0) return *this;
    const long result = call(number, a, b, c, d, e);
    if (result < 0) code_ = static_cast<int>(-result);
    return *this;
  }
  int code() const { return code_; }

 private:
  int code_ = 0;
};

bool report(const Holder& holder, int code) {
  return call(SYS_write, holder.report, address(&code), sizeof code) == sizeof code;
}

// The namespace's owner is our effective uid; the capabilities stay, for hosts that refuse namespaces without them.
int become(uid_t owner) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  Steps steps;
  steps.then(SYS_prctl, PR_SET_KEEPCAPS, 1)
      .then(SYS_setgroups, 0, 0)
      .then(SYS_setresgid, owner, owner, owner)
      .then(SYS_setresuid, owner, owner, owner)
      .then(SYS_capget, address(&header), address(data));
  data[0].effective = data[0].permitted;
  data[1].effective = data[1].permitted;
  return steps.then(SYS_capset, address(&header), address(data)).code();
}

// By the root of the namespace, whose own limit this is.
int forbid_nested_namespaces(int proc) {
  Steps steps;
  if (const int code = steps.then(SYS_setresgid, 0, 0, 0).then(SYS_setresuid, 0, 0, 0).code(); code != 0) return code;
  const long fd = call(SYS_openat, proc, address("sys/user/max_user_namespaces"), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return static_cast<int>(-fd);
  const int code = steps.then(SYS_write, fd, address("0"), 1).code();
  call(SYS_close, fd);
  return code;
}

// The end of our maker is ours. A change of uid or of capabilities takes this back (prctl(2), PR_SET_PDEATHSIG), and
// nothing else would tell us: we hold both ends of our pipes ourselves.
int end_with(pid_t maker) {
  Steps steps;
  const int code = steps.then(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL).code();
  if (code == 0 && call(SYS_getppid) != maker) call(SYS_exit, 0);  // it had gone before
  return code;
}

// The process that makes the namespace and then only keeps it until we have a descriptor of it.
int hold(void* argument) {
  Holder& holder = *static_cast<Holder*>(argument);
  Steps steps;
  int code = end_with(holder.maker);
  if (code == 0 && holder.owner != 0) code = become(holder.owner);
  if (code == 0) code = steps.then(SYS_unshare, CLONE_NEWUSER).code();
  if (code == 0) code = end_with(holder.maker);
  if (code == 0) {
    const long made = call(SYS_openat, AT_FDCWD, address("/proc/self/ns/user"), O_RDONLY | O_CLOEXEC);
    if (made < 0)
      code = static_cast<int>(-made);
    else
      holder.made = static_cast<int>(made);
  }
  char byte = 0;
  if (report(holder, code) && code == 0 && call(SYS_read, holder.go, address(&byte), 1) == 1 && holder.owner != 0)
    report(holder, forbid_nested_namespaces(holder.proc));
  call(SYS_exit, 0);
  return 0;
}

// A whole report, or nothing where the holder died.
std::optional<int> next_report(int from, int holder_pidfd) {
  pollfd waits[2] = {{from, POLLIN, 0}, {holder_pidfd, POLLIN, 0}};
  while (poll(waits, 2, -1) < 0 && errno == EINTR) continue;
  int code = 0;
  if ((waits[0].revents & POLLIN) == 0 || read(from, &code, sizeof code) != sizeof code) return std::nullopt;
  return code;
}

Result<RangeNamespace> make(uid_t owner, const std::string& map, int proc) {
  int report_ends[2], go_ends[2];
  if (pipe2(report_ends, O_CLOEXEC) != 0) return errno_error("pipe");
  const Fd report_read(report_ends[0]), report_write(report_ends[1]);
  if (pipe2(go_ends, O_CLOEXEC) != 0) return errno_error("pipe");
  const Fd go_read(go_ends[0]);
  Fd go_write(go_ends[1]);
  Holder holder{.owner = owner, .report = report_write.get(), .go = go_read.get(), .proc = proc, .maker = ::getpid()};
  int number = -1;
  const pid_t pid = clone_beside(hold, &holder, number);
  if (pid < 0) return errno_error("create user namespace");
  const Fd pidfd(number);
  const auto finish = [&](Result<RangeNamespace> result) {
    // A byte more, or the one it still waits for: it ends in any case.
    if (write(go_write.get(), "x", 1) != 1) kill(pid, SIGKILL);
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
    return result;
  };
  const auto died = [&] { return finish(fail("create user namespace", "", "its holder died")); };
  auto code = next_report(report_read.get(), pidfd.get());
  RangeNamespace made{.fd = Fd(holder.made), .below_errno = 0};
  if (!code) return died();
  if (*code != 0) return finish(errno_error("create user namespace", "uid " + std::to_string(owner), *code));
  const std::string its = "/proc/" + std::to_string(pid);
  for (const char* kind : {"/uid_map", "/gid_map"})
    if (auto written = write_kernel_file(its + kind, map); !written) return finish(std::unexpected(written.error()));
  if (owner == 0) return finish(std::move(made));
  if (write(go_write.get(), "x", 1) != 1) return finish(errno_error("create user namespace"));
  code = next_report(report_read.get(), pidfd.get());
  if (!code) return died();
  made.below_errno = *code;  // EROFS, EACCES: /proc/sys is closed to us. Whether that matters is the policy's to say
  return finish(std::move(made));
}

}  // namespace

Result<RangeNamespace> make_range_namespace(std::uint32_t base, int proc) {
  return make(base, "0 " + std::to_string(base) + " " + std::to_string(kRangeSize) + "\n", proc);
}

Result<Fd> make_id_map(std::uint32_t on_disk, std::uint32_t mapped) {
  BULKHEAD_ASSIGN(RangeNamespace made, make(0, std::to_string(on_disk) + " " + std::to_string(mapped) + " 1\n", -1));
  return std::move(made.fd);
}

Result<int> ProcInstance::get() {
  constexpr unsigned kMostUses = 64;
  if (fd_.valid() && ++uses_ <= kMostUses) return fd_.get();
  uses_ = 0;
  const Fd context(::fsopen("proc", FSOPEN_CLOEXEC));
  if (context.valid() && ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
    fd_ = Fd(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (fd_.valid()) return fd_.get();
  // Who may not mount one (in a container) has the one that is there.
  BULKHEAD_ASSIGN(fd_, open_file("/proc", O_PATH | O_DIRECTORY));
  return fd_.get();
}

}  // namespace bulkhead
