// New namespaces, mounts, roots: what would give capabilities back or show what was covered.
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/attack/attacks/attack.h"

namespace bulkhead::attack {
namespace {

Outcome unshare_user(Arguments) { return answered(unshare(CLONE_NEWUSER), "unshare(CLONE_NEWUSER)"); }

void reap(long pid) {
  if (pid == 0) _exit(0);
  const int saved = errno;
  if (pid > 0) waitpid(static_cast<pid_t>(pid), nullptr, __WALL);
  errno = saved;
}

Outcome clone_user(Arguments) {
  const long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, 0);
  reap(pid);
  return answered(pid, "clone(CLONE_NEWUSER)");
}

Outcome clone3_user(Arguments) {
  clone_args arguments{};
  arguments.flags = CLONE_NEWUSER;
  arguments.exit_signal = SIGCHLD;
  const long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  reap(pid);
  return answered(pid, "clone3(CLONE_NEWUSER)");
}

Outcome unshare_mounts(Arguments) { return answered(unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS)"); }

Outcome unshare_others(Arguments) {
  for (const int flag : {CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWPID, CLONE_NEWCGROUP})
    if (unshare(flag) == 0) return succeeded("unshare of a namespace");
  return answered(-1, "unshare of uts, ipc, net, pid, cgroup namespaces");
}

Outcome join(Arguments) {
  const int fd = open("/proc/self/ns/net", O_RDONLY);
  if (fd < 0) return not_tried("open /proc/self/ns/net");
  return answered(setns(fd, CLONE_NEWNET), "setns");
}

// Of a file system that no kernel has: an answer about that comes after the question whether one may mount.
Outcome mount_old(Arguments) {
  return answered(mount("none", "/usr/bin", "bulkhead-no-such", 0, nullptr), "mount", {ENODEV});
}

Outcome mount_new(Arguments) { return answered(syscall(SYS_fsopen, "tmpfs", 0), "fsopen"); }

Outcome mount_rest(Arguments) {
  const Outcome configured = answered(syscall(SYS_fsconfig, -1, 0, "", "", 0), "fsconfig", {EBADF, EINVAL});
  if (configured.kind == Outcome::Kind::succeeded) return configured;
  return answered(syscall(SYS_fsmount, -1, 0, 0), "fsmount", {EBADF});
}

Outcome clone_tree(Arguments) {
  return answered(syscall(SYS_open_tree, AT_FDCWD, "/usr", 1 /* OPEN_TREE_CLONE */), "open_tree(OPEN_TREE_CLONE)");
}

Outcome move_tree(Arguments) {
  return answered(syscall(SYS_move_mount, AT_FDCWD, "/usr/bin", AT_FDCWD, "/usr/bin", 0), "move_mount",
                  {EINVAL, ELOOP, ENOENT});
}

Outcome change_mount(Arguments) {
  char attributes[32]{};
  return answered(syscall(SYS_mount_setattr, AT_FDCWD, "/usr/bin", 0, attributes, sizeof attributes), "mount_setattr",
                  {EINVAL});
}

Outcome unmount(Arguments) { return answered(umount2("/usr/bin", MNT_DETACH), "umount2", {EINVAL}); }

Outcome change_root(Arguments) { return answered(chroot("/usr"), "chroot"); }

Outcome pivot(Arguments) {
  return answered(syscall(SYS_pivot_root, "/usr/bin", "/usr/bin"), "pivot_root", {EINVAL, EBUSY});
}

// With a mount namespace of one's own the covers of /proc could be taken away, were they not locked. Given a directory,
// a cover that we put there ourselves.
Outcome uncover(Arguments a) {
  if (unshare(CLONE_NEWNS) != 0) return answered(-1, "unshare(CLONE_NEWNS)");
  const char* target = a.empty() ? "/proc/keys" : a[0].c_str();
  if (!a.empty() && (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                     mount("attack", target, "tmpfs", 0, "size=64k") != 0))
    return not_tried("mount");
  return answered(umount2(target, MNT_DETACH), "umount2 of a cover");
}

// The same for what is read-only.
Outcome remount(Arguments a) {
  if (unshare(CLONE_NEWNS) != 0) return answered(-1, "unshare(CLONE_NEWNS)");
  const char* target = a.empty() ? "/usr" : a[0].c_str();
  if (!a.empty() && (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                     mount("attack", target, "tmpfs", MS_RDONLY, "size=64k") != 0))
    return not_tried("mount");
  return answered(mount(nullptr, target, nullptr, MS_REMOUNT | MS_BIND, nullptr), "remount as writable");
}

constexpr Attack kAttacks[]{
    {"unshare_user", unshare_user},
    {"clone_user", clone_user},
    {"clone3_user", clone3_user},
    {"unshare_mounts", unshare_mounts},
    {"unshare_others", unshare_others},
    {"setns", join},
    {"mount", mount_old},
    {"fsopen", mount_new},
    {"fsconfig", mount_rest},
    {"open_tree", clone_tree},
    {"move_mount", move_tree},
    {"mount_setattr", change_mount},
    {"umount", unmount},
    {"chroot", change_root},
    {"pivot_root", pivot},
    {"uncover_proc", uncover},
    {"remount_writable", remount},
};

}  // namespace

std::span<const Attack> namespaces() { return kAttacks; }

}  // namespace bulkhead::attack
