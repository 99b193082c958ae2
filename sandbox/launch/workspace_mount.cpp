#include "sandbox/launch/workspace_mount.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/launch/helper_answer.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/channel.h"

namespace bulkhead {
namespace {

Result<Fd> detached(const std::string& path, std::uint64_t attributes, int id_map) {
  Fd mount(open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW));
  if (!mount.valid()) return errno_error("open mount of", path);
  mount_attr wanted{};
  wanted.attr_set = attributes | (id_map >= 0 ? MOUNT_ATTR_IDMAP : 0);
  wanted.userns_fd = id_map >= 0 ? static_cast<std::uint64_t>(id_map) : 0;
  wanted.propagation = MS_PRIVATE;
  if (mount_setattr(mount.get(), "", AT_EMPTY_PATH, &wanted, sizeof wanted) != 0)
    return errno_error(id_map >= 0 ? "id-map" : "set mount attributes of", path);
  return mount;
}

Result<> attach(const Fd& mount, const char* at) {
  if (mkdir(at, 0755) != 0 && errno != EEXIST) return errno_error("create directory", at);
  if (move_mount(mount.get(), "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return errno_error("attach mount at", at);
  return {};
}

// "operation: errno (kernel's own words)": an fs context explains itself when read.
std::unexpected<Error> context_error(const char* operation, int context) {
  Error error{.operation = operation, .object = "overlay", .code = errno};
  char words[256];
  const ssize_t n = read(context, words, sizeof words - 1);
  if (n > 0) error.detail.assign(words, static_cast<std::size_t>(n));
  while (!error.detail.empty() && error.detail.back() == '\n') error.detail.pop_back();
  return std::unexpected(std::move(error));
}

Result<> end_with(pid_t launcher) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno_error("end with the launcher");
  if (getppid() != launcher) return fail("end with the launcher", "", "it has ended");
  return {};
}

// Runs in a process of its own, whose working directory is a staging tmpfs that the range may traverse: the state tree
// above the real directories is closed to it, so the overlay is given relative names.
Result<Fd> build(const WorkspaceMount& workspace, int range_namespace, const std::string& staging, pid_t launcher) {
  BULKHEAD_TRY(end_with(launcher));
  if (unshare(CLONE_NEWNS) != 0) return errno_error("unshare mounts");
  BULKHEAD_ASSIGN(const Fd id_map, make_id_map(workspace.lower_uid, workspace.range_base + kInsideUserId));
  BULKHEAD_ASSIGN(const Fd lower,
                  detached(workspace.lower, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, id_map.get()));
  // upper and work must lie on one mount: their common parent is what is staged.
  const auto parent = workspace.upper.substr(0, workspace.upper.rfind('/'));
  if (workspace.work.substr(0, workspace.work.rfind('/')) != parent)
    return fail("mount workspace", workspace.name, "upper and work must stand in one directory");
  BULKHEAD_ASSIGN(const Fd writable, detached(parent, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1));
  if (mount("bulkhead-staging", staging.c_str(), "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k") != 0)
    return errno_error("mount staging at", staging);
  if (chdir(staging.c_str()) != 0) return errno_error("enter", staging);
  BULKHEAD_TRY(attach(lower, "lower"));
  BULKHEAD_TRY(attach(writable, "rw"));

  if (setns(range_namespace, CLONE_NEWUSER) != 0) return errno_error("enter user namespace");
  if (unshare(CLONE_NEWNS) != 0) return errno_error("unshare mounts");
  if (syscall(SYS_setresgid, 0, 0, 0) != 0 || syscall(SYS_setresuid, 0, 0, 0) != 0)
    return errno_error("become the range's root");
  BULKHEAD_TRY(end_with(launcher));  // other ids have cleared it, prctl(2)
  Fd context(fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context.valid()) return errno_error("open file system", "overlay");
  const std::string upper = "rw/" + workspace.upper.substr(workspace.upper.rfind('/') + 1);
  const std::string work = "rw/" + workspace.work.substr(workspace.work.rfind('/') + 1);
  for (const auto& [key, value] :
       {std::pair{"lowerdir", std::string("lower")}, std::pair{"upperdir", upper}, std::pair{"workdir", work}})
    if (fsconfig(context.get(), FSCONFIG_SET_STRING, key, value.c_str(), 0) != 0)
      return context_error(key, context.get());
  if (fsconfig(context.get(), FSCONFIG_SET_FLAG, "userxattr", nullptr, 0) != 0)
    return context_error("userxattr", context.get());
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return context_error("create", context.get());
  Fd overlay(fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  if (!overlay.valid()) return errno_error("mount overlay");
  return overlay;
}

}  // namespace

Result<Fd> make_workspace_overlay(const WorkspaceMount& workspace, int range_namespace, const std::string& staging) {
  BULKHEAD_ASSIGN(auto channels, Channel::pair());
  const pid_t launcher = getpid();
  const pid_t pid = fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) {
    auto overlay = build(workspace, range_namespace, staging, launcher);
    const bool told = overlay ? answer_with(channels.second, {}, {overlay->get()})
                              : answer_with(channels.second, std::unexpected(overlay.error()), {});
    _exit(told ? 0 : 1);
  }
  channels.second.take().reset();
  auto made = hear_answer(channels.first, 1);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
  if (!made) return fail("mount workspace", workspace.name, made.error().text(), made.error().hint);
  return std::move(made->front());
}

}  // namespace bulkhead
