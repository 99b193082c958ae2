#include "sandbox/init/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace bulkhead {
namespace {

char* put(char* at, const char* text) {
  const std::size_t length = strlen(text);
  memcpy(at, text, length + 1);
  return at + length;
}

char* put(char* at, unsigned number) {
  char digits[12];
  int n = 0;
  do {
    digits[n++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  while (n > 0) *at++ = digits[--n];
  *at = '\0';
  return at;
}

}  // namespace

void proc_path(char (&path)[kProcPathBytes], unsigned pid, const char* rest) {
  put(put(put(path, "/proc/"), pid), rest);
}

void proc_fd_path(char (&path)[kProcPathBytes], unsigned pid, int fd) {
  put(put(put(put(path, "/proc/"), pid), "/fd/"), static_cast<unsigned>(fd));
}

void read_name(unsigned pid, char (&name)[16]) {
  char path[kProcPathBytes];
  proc_path(path, pid, "/comm");
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t got = read(fd, name, sizeof name);
  close(fd);
  for (ssize_t i = 0; i < got; ++i)
    if (name[i] == '\n') name[i] = '\0';
}

std::size_t read_memory(unsigned pid, std::uint64_t address, void* into, std::size_t size) {
  char name[kProcPathBytes];
  proc_path(name, pid, "/mem");
  const int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t n = pread(fd, into, size, static_cast<off_t>(address));
  close(fd);
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

bool is_memory_closed(unsigned pid) {
  char name[kProcPathBytes];
  proc_path(name, pid, "/mem");
  const int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) close(fd);
  if (fd >= 0 || (errno != EACCES && errno != EPERM)) return false;
  // What is undumpable belongs to root (proc(5)), which is why nothing is said of a sandbox whose commands are root.
  struct stat process;
  proc_path(name, pid, "");
  return geteuid() != 0 && stat(name, &process) == 0 && process.st_uid == geteuid();
}

bool has_own_view(unsigned pid) {
  char path[kProcPathBytes], ours[64], theirs[64];
  struct stat here, there;
  proc_path(path, pid, "/root");
  if (stat("/", &here) != 0 || stat(path, &there) != 0) return true;
  if (here.st_dev != there.st_dev || here.st_ino != there.st_ino) return true;
  proc_path(path, pid, "/ns/mnt");
  const ssize_t a = readlink("/proc/self/ns/mnt", ours, sizeof ours);
  const ssize_t b = readlink(path, theirs, sizeof theirs);
  return a <= 0 || a != b || memcmp(ours, theirs, static_cast<std::size_t>(a)) != 0;
}

bool is_out_of_files(unsigned pid) {
  char path[kProcPathBytes];
  rlimit limit;
  struct stat files;
  proc_path(path, pid, "/fd");
  // The directory's size is how many there are: proc_pid_fd(5).
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || stat(path, &files) != 0) return false;
  return files.st_size > 0 && static_cast<rlim_t>(files.st_size) >= limit.rlim_cur;
}

std::uint32_t socket_protocol(unsigned pid, int fd) {
  if (fd < 0) return 0;
  char path[kProcPathBytes], name[32] = {};
  proc_fd_path(path, pid, fd);
  if (getxattr(path, "system.sockprotoname", name, sizeof name - 1) <= 0) return 0;
  if (strncmp(name, "TCP", 3) == 0) return IPPROTO_TCP;
  return strncmp(name, "UDP", 3) == 0 ? IPPROTO_UDP : 0;
}

bool still_waits(int listener, std::uint64_t id) { return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0; }

}  // namespace bulkhead
