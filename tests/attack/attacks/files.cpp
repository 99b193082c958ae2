// Files and directories that should not be there, or not be changed. What can be opened for writing is not written to.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/attack/attacks/attack.h"

namespace bulkhead::attack {
namespace {

Outcome open_read(Arguments a) { return answered(open(a[0].c_str(), O_RDONLY | O_CLOEXEC), "open " + a[0]); }

Outcome open_write(Arguments a) {
  Outcome last = not_tried("no path");
  for (const std::string& path : a) {
    last = answered(open(path.c_str(), O_WRONLY | O_CLOEXEC), "open " + path + " for writing");
    if (last.kind != Outcome::Kind::blocked) return last;
  }
  return last;
}

Outcome create(Arguments a) {
  for (const std::string& path : a)
    if (open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) >= 0) return succeeded("create " + path);
  return answered(-1, "create " + a.back());
}

// What is masked reads as empty.
Outcome read_kernel(Arguments a) {
  for (const std::string& path : a) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    char byte = 0;
    if (fd >= 0 && read(fd, &byte, 1) > 0) return succeeded("read " + path);
    if (fd >= 0) close(fd);
  }
  return blocked("nothing readable in " + std::to_string(a.size()) + " files");
}

Outcome hard_link(Arguments a) { return answered(link(a[0].c_str(), a[1].c_str()), "link to " + a[0]); }

// The time of the last change of a device node is the host's; so is its mode (set to what it is).
Outcome touch_device(Arguments a) {
  return answered(utimensat(AT_FDCWD, a[0].c_str(), nullptr, 0), "utimensat of " + a[0]);
}

Outcome chmod_device(Arguments a) { return answered(chmod(a[0].c_str(), 0666), "chmod of " + a[0]); }

Outcome make_device(Arguments a) {
  return answered(mknod(a[0].c_str(), S_IFCHR | 0666, makedev(1, 3)), "mknod of a device");
}

// Anything at all that another sandbox, which is given the same directories, would find there.
Outcome leave_behind(Arguments a) {
  for (const std::string& directory : a) {
    const std::string path = directory + "/left";
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    memcpy(address.sun_path, path.data(), path.size());
    const auto* named = reinterpret_cast<const sockaddr*>(&address);
    if (open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666) >= 0) return succeeded("a file in " + directory);
    if (mkdir(path.c_str(), 0777) == 0) return succeeded("a directory in " + directory);
    if (symlink("/", path.c_str()) == 0) return succeeded("a link in " + directory);
    if (mkfifo(path.c_str(), 0666) == 0) return succeeded("a pipe in " + directory);
    if (bind(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), named, sizeof address) == 0)
      return succeeded("a socket in " + directory);
    if (setxattr(directory.c_str(), "user.left", "x", 1, 0) == 0) return succeeded("an attribute of " + directory);
    if (utimensat(AT_FDCWD, directory.c_str(), nullptr, 0) == 0) return succeeded("the time of " + directory);
    if (chmod(directory.c_str(), 0777) == 0) return succeeded("the mode of " + directory);
  }
  return blocked(error_name(errno) + " from all of it in " + std::to_string(a.size()) + " directories");
}

// From every descriptor, and from where we stand, upwards: is the directory with this marker there?
Outcome climb(Arguments a) {
  const std::string& marker = a[0];
  for (int fd = -1; fd < 1024; ++fd) {
    int at = fd < 0 ? open(".", O_PATH | O_DIRECTORY) : openat(fd, ".", O_PATH | O_DIRECTORY);
    for (int up = 0; at >= 0 && up < 40; ++up) {
      const std::string relative = marker.substr(1);
      if (faccessat(at, relative.c_str(), F_OK, 0) == 0)
        return succeeded("from " +
                         (fd < 0 ? std::string("the working directory") : "descriptor " + std::to_string(fd)) +
                         " upwards");
      const int above = openat(at, "..", O_PATH | O_DIRECTORY);
      close(at);
      at = above;
    }
    if (at >= 0) close(at);
  }
  return blocked("no way up from any descriptor");
}

// What else than the three streams and our own descriptor for the list is open.
Outcome inherited(Arguments) {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return not_tried("open /proc/self/fd");
  std::string found;
  while (const dirent* entry = readdir(directory)) {
    const int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd < 3 || fd == dirfd(directory) || fd == answer_descriptor()) continue;
    char path[64], target[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(path, target, sizeof target - 1);
    const std::string where(target, n > 0 ? static_cast<size_t>(n) : 0);
    found += (found.empty() ? "" : ", ") + where;
  }
  return found.empty() ? blocked("no descriptor beyond the three streams") : succeeded("inherited " + found);
}

// A program that runs as somebody else: its owner, by its set-user-id bit.
Outcome set_user_id(Arguments a) {
  const pid_t pid = fork();
  if (pid < 0) return not_tried("fork");
  if (pid == 0) {
    dup2(open("/dev/null", O_WRONLY), 1);  // the status is its answer
    execl(a[0].c_str(), "attack", "changed_identity", nullptr);
    _exit(100);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) == 100) return not_tried("execute " + a[0]);
  return WEXITSTATUS(status) == 1 ? succeeded("it runs as its owner") : blocked("it runs as who called it");
}

Outcome changed_identity(Arguments) { return geteuid() == getuid() ? blocked("the same") : succeeded("another user"); }

Outcome lock_shared(Arguments a) {
  const int fd = open(a[0].c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return not_tried("open " + a[0]);
  return answered(flock(fd, LOCK_EX | LOCK_NB), "flock of " + a[0]);
}

Outcome watch_shared(Arguments a) {
  const int fd = inotify_init1(IN_CLOEXEC);
  if (fd < 0) return not_tried("inotify_init1");
  return answered(inotify_add_watch(fd, a[0].c_str(), IN_OPEN | IN_ACCESS), "inotify_add_watch of " + a[0]);
}

constexpr Attack kAttacks[]{
    {"open_read", open_read},       {"open_write", open_write},     {"create", create},
    {"read_kernel", read_kernel},   {"hard_link", hard_link},       {"touch_device", touch_device},
    {"chmod_device", chmod_device}, {"make_device", make_device},   {"climb", climb},
    {"inherited", inherited},       {"set_user_id", set_user_id},   {"changed_identity", changed_identity},
    {"lock_shared", lock_shared},   {"watch_shared", watch_shared}, {"leave_behind", leave_behind},
};

}  // namespace

std::span<const Attack> files() { return kAttacks; }

}  // namespace bulkhead::attack
