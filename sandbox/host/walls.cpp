// `bulkhead doctor`: each wall is tried in a child process of its own, not read off a version number.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/host/host_facts.h"
#include "sandbox/host/landlock_abi.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

// Runs `attempt` in a child; 0 or the errno it returns. What it changes ends with it.
int try_in_child(int (*attempt)()) {
  const pid_t pid = ::fork();
  if (pid < 0) return errno;
  if (pid == 0) ::_exit(attempt());
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

Wall wall(std::string name, int code, std::string works, std::string otherwise) {
  if (code == 0) return {std::move(name), true, std::move(works)};
  return {std::move(name), false, std::string(strerrordesc_np(code)) + ": " + std::move(otherwise)};
}

// A wall that something else stands in for.
Wall replaceable(Wall wall) {
  wall.required = false;
  return wall;
}

int unshare_all() {
  return ::unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) == 0
             ? 0
             : errno;
}

int unshare_user() { return ::unshare(CLONE_NEWUSER) == 0 ? 0 : errno; }

int new_mount_api() {
  if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
  const int tree = ::open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return errno;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  if (::mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) return errno;
  const int context = ::fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (context < 0 || ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return errno;
  return ::fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID) >= 0 ? 0 : errno;
}

int overlay_in_user_namespace() {
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return errno;
  const int context = ::fsopen("overlay", FSOPEN_CLOEXEC);
  if (context < 0) return errno;
  return ::fsconfig(context, FSCONFIG_SET_FLAG, "userxattr", nullptr, 0) == 0 ? 0 : errno;
}

int seccomp_filter() {
  sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program{.len = 1, .filter = allow};
  const std::uint32_t kill = SECCOMP_RET_KILL_PROCESS;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill) != 0) return errno;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0 ? 0 : errno;
}

int beneath() {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH;
  const int root = ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return ::syscall(SYS_openat2, root, "proc", &how, sizeof how) >= 0 ? 0 : errno;
}

int session_keyring() { return ::syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, nullptr) >= 0 ? 0 : errno; }

int forbid_nested() {
  if (::unshare(CLONE_NEWUSER) != 0) return errno;
  const int fd = ::open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
  return fd >= 0 ? 0 : errno;
}

Wall landlock_wall() {
  const int abi = landlock::supported_abi();
  std::string words = "ABI " + std::to_string(abi) + ": files";
  if (landlock::knows_tcp(abi)) words += ", TCP ports";
  if (landlock::scopes(abi) != 0) words += ", abstract sockets, signals";
  if (abi >= landlock::kLeastAbi) return {"Landlock", true, std::move(words)};
  if (abi != 0) return {"Landlock", false, "ABI 1 refuses renames between directories: not used; mounts are the wall"};
  return wall("Landlock", errno, "", "mounts are the wall");
}

// A cgroup of our own, made, looked at and removed.
Wall cgroup_wall(const HostFacts& facts) {
  const CgroupLayout& layout = facts.cgroups;
  if (layout.mode == CgroupMode::none) return {"cgroup limits", false, layout.reason};
  const std::string mode =
      layout.mode == CgroupMode::v2 ? "cgroup v2" : "hybrid: limits on v1 hierarchies, kill and freeze on the v2 tree";
  const std::string node = layout.v2_parent + "/bulkhead-doctor-" + std::to_string(::getpid());
  if (::mkdir(node.c_str(), 0755) != 0)
    return wall("cgroup limits", errno, "", "cannot make " + node + "; run as root, or delegate a cgroup");
  const bool kill = exists(node + "/cgroup.kill");
  const bool limits = layout.mode == CgroupMode::hybrid || exists(node + "/memory.max");
  ::rmdir(node.c_str());
  if (!kill) return {"cgroup limits", false, "no cgroup.kill: this kernel is older than 5.14"};
  if (!limits)
    return {"cgroup limits", true,
            mode + "; the controllers are switched on below " + layout.v2_parent + " at the first launch"};
  return {"cgroup limits", true, mode};
}

}  // namespace

std::vector<Wall> examine_walls(const HostFacts& facts) {
  const char* root = "run as root (sudo bulkhead doctor); in a container it needs CAP_SYS_ADMIN";
  return {
      wall("namespaces", try_in_child(unshare_all), "mount, pid, net, ipc, uts, cgroup", root),
      wall("user namespaces", try_in_child(unshare_user), "own uid range for each agent",
           "allow them: sysctl user.max_user_namespaces"),
      replaceable(wall("no namespaces below", try_in_child(forbid_nested),
                       "user.max_user_namespaces is set to 0 inside",
                       "/proc/sys is closed to us; seccomp and the missing capabilities stand in")),
      wall("mounts by descriptor", try_in_child(new_mount_api), "open_tree, mount_setattr, fsmount",
           "needs kernel 5.12 and CAP_SYS_ADMIN"),
      wall("path resolution", try_in_child(beneath), "openat2", "needs kernel 5.6"),
      wall("workspace overlays", try_in_child(overlay_in_user_namespace), "overlay with userxattr in a user namespace",
           "needs kernel 5.11"),
      cgroup_wall(facts),
      wall("seccomp", try_in_child(seccomp_filter), "filter with KILL_PROCESS", "needs CONFIG_SECCOMP_FILTER"),
      replaceable(wall("session keyring", try_in_child(session_keyring), "a new one for each sandbox",
                       "this kernel has no keyrings to hide, or refuses")),
      replaceable(landlock_wall()),
  };
}

}  // namespace bulkhead
