#include "sandbox/launch/own_mounts.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

Result<> keep_to_ourselves() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return errno_error("keep mounts from the host");
  return {};
}

Result<> make_own_root() {
  const Fd tree(::open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!tree.valid()) return errno_error("copy the root directory's mounts");
  BULKHEAD_ASSIGN(const Fd ours, open_file("/proc/self/ns/mnt", O_RDONLY));
  // To the root of the namespace, wherever our root directory was in it (setns(2)).
  if (::setns(ours.get(), CLONE_NEWNS) != 0) return errno_error("enter own mount namespace");
  BULKHEAD_TRY(keep_to_ourselves());
  mount_attr attributes{};
  attributes.propagation = MS_SLAVE;
  if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0)
    return errno_error("keep mounts from the host");
  if (::move_mount(tree.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0 || ::fchdir(tree.get()) != 0 ||
      ::syscall(SYS_pivot_root, ".", ".") != 0 || ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) {
    auto error = errno_error("make the root directory a mount");
    error.error().hint = "the root directory is no mount point: bind it to itself and pivot into it";
    return error;
  }
  return {};
}

}  // namespace

Result<> enter_own_mounts() {
  if (::unshare(CLONE_NEWNS) != 0) return errno_error("unshare mounts");
  auto kept = keep_to_ourselves();
  if (!kept && kept.error().code == EINVAL) return make_own_root();
  return kept;
}

}  // namespace bulkhead
