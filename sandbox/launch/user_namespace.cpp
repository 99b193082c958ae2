#include "sandbox/launch/user_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

struct Holder {
  pid_t pid = -1;
  Fd ready;  // a byte when the namespace is there, the errno else
  Fd go;     // a byte lets it finish
};

int write_errno(int fd, int code) { return write(fd, &code, sizeof code) == sizeof code ? 0 : -1; }

int forbid_nested_namespaces() {
  const int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t written = write(fd, "0", 1);
  close(fd);
  return written == 1 ? 0 : -1;
}

// The process that makes the namespace and then only keeps it until we have a descriptor of it.
[[noreturn]] void hold(uid_t owner, int ready, int go) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (owner != 0) {
    // The namespace's owner is our effective uid; the capability stays, for hosts that refuse namespaces without it.
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || syscall(SYS_setgroups, 0, nullptr) != 0 ||
        syscall(SYS_setresgid, owner, owner, owner) != 0 || syscall(SYS_setresuid, owner, owner, owner) != 0 ||
        syscall(SYS_capget, &header, data) != 0)
      _exit(write_errno(ready, errno));
    data[0].effective = data[0].permitted;
    data[1].effective = data[1].permitted;
    if (syscall(SYS_capset, &header, data) != 0) _exit(write_errno(ready, errno));
  }
  if (unshare(CLONE_NEWUSER) != 0) _exit(write_errno(ready, errno));
  if (write_errno(ready, 0) != 0) _exit(1);
  char byte = 0;
  if (read(go, &byte, 1) != 1) _exit(1);
  if (owner != 0) {
    // Root of the namespace now: its own limit of namespaces below it.
    if (syscall(SYS_setresgid, 0, 0, 0) != 0 || syscall(SYS_setresuid, 0, 0, 0) != 0) _exit(write_errno(ready, errno));
    if (write_errno(ready, forbid_nested_namespaces() == 0 ? 0 : errno) != 0) _exit(1);
  }
  _exit(0);
}

Result<Fd> make(uid_t owner, const std::string& map) {
  int ready[2], go[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return errno_error("pipe");
  const Fd ready_read(ready[0]);
  Fd ready_write(ready[1]);
  if (pipe2(go, O_CLOEXEC) != 0) return errno_error("pipe");
  Fd go_read(go[0]);
  Fd go_write(go[1]);
  const pid_t pid = fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) {
    close(go[1]);
    hold(owner, ready[1], go[0]);
  }
  ready_write.reset();
  go_read.reset();
  const auto finish = [&](Result<Fd> result) {
    go_write.reset();
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
    return result;
  };
  int code = 0;
  if (read(ready_read.get(), &code, sizeof code) != sizeof code)
    return finish(fail("create user namespace", "", "its holder died"));
  if (code != 0) return finish(errno_error("create user namespace", "uid " + std::to_string(owner), code));
  const std::string proc = "/proc/" + std::to_string(pid);
  for (const char* kind : {"/uid_map", "/gid_map"})
    if (auto written = write_kernel_file(proc + kind, map); !written) return finish(std::unexpected(written.error()));
  auto fd = open_file(proc + "/ns/user", O_RDONLY);
  if (!fd) return finish(std::move(fd));
  if (owner != 0) {
    if (write(go_write.get(), "x", 1) != 1) return finish(errno_error("create user namespace"));
    if (read(ready_read.get(), &code, sizeof code) != sizeof code)
      return finish(fail("limit user namespaces", "", "its holder died"));
    // EROFS, EACCES: /proc/sys is closed to us (a container). Seccomp and the missing capabilities still stand.
    if (code != 0 && code != EROFS && code != EACCES && code != ENOENT && code != EPERM)
      return finish(errno_error("limit user namespaces", "", code));
  }
  return finish(std::move(fd));
}

}  // namespace

Result<Fd> make_range_namespace(std::uint32_t base) {
  return make(base, "0 " + std::to_string(base) + " " + std::to_string(kRangeSize) + "\n");
}

Result<Fd> make_id_map(std::uint32_t on_disk, std::uint32_t mapped) {
  return make(0, std::to_string(on_disk) + " " + std::to_string(mapped) + " 1\n");
}

}  // namespace bulkhead
