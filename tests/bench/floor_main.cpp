// The kernel's floor for starting a sandbox: every namespace, a read-only root, /tmp, /proc, a minimal /dev, no
// capability, then the program. No policy, no limits, no system call filter, no init, no report; what Bulkhead takes
// beyond this it takes for those. Serves bench-drive: a byte on stdin starts one, a byte on stdout says it has ended.
//
//   bench-floor ROOT       ROOT holds noop, tmp/, proc/, dev/
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

namespace {

const char* g_root;  // set once, before anything is started

// In the child, which shares our memory until it executes: no allocation, no stdio.
[[noreturn]] void fail_child() { _exit(99); }
void must(bool good) {
  if (!good) fail_child();
}

void write_file(const char* path, const char* text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  must(fd >= 0 && write(fd, text, strlen(text)) == static_cast<ssize_t>(strlen(text)));
  close(fd);
}

void loopback_up() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  must(fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0);
  close(fd);
}

void build_root() {
  must(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  must(mount(g_root, g_root, nullptr, MS_BIND, nullptr) == 0);
  must(mount(nullptr, g_root, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, nullptr) == 0);
  must(chdir(g_root) == 0);
  must(mount("tmpfs", "tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=1777") == 0);
  must(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0);
  must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=755") == 0);
  constexpr const char* devices[][2] = {{"/dev/null", "dev/null"},
                                        {"/dev/zero", "dev/zero"},
                                        {"/dev/full", "dev/full"},
                                        {"/dev/random", "dev/random"},
                                        {"/dev/urandom", "dev/urandom"}};
  for (const auto& [source, target] : devices) {
    const int fd = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    must(fd >= 0);
    close(fd);
    must(mount(source, target, nullptr, MS_BIND, nullptr) == 0);
  }
  must(syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0);
}

void drop_capabilities() {
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  must(syscall(SYS_capset, &header, data) == 0);
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

int child(void*) {
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", "0 0 1");
  write_file("/proc/self/gid_map", "0 0 1");
  loopback_up();
  build_root();
  drop_capabilities();
  char name[] = "noop";
  char* argv[] = {name, nullptr};
  char* environment[] = {nullptr};
  execve("/noop", argv, environment);
  fail_child();
}

bool start_one(char* stack_end) {
  constexpr int namespaces =
      CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP;
  const pid_t pid = clone(child, stack_end, namespaces | CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
  int status = 0;
  return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: bench-floor ROOT\n");
    return 2;
  }
  g_root = argv[1];
  constexpr std::size_t stack_size = 256 * 1024;
  void* stack = mmap(nullptr, stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) {
    std::perror("bench-floor: mmap");
    return 1;
  }
  for (char byte; read(0, &byte, 1) == 1;) {
    if (!start_one(static_cast<char*>(stack) + stack_size)) byte = '!';
    if (write(1, &byte, 1) != 1) break;
  }
  return 0;
}
