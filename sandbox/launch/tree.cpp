#include "sandbox/launch/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sandbox/sys/fd.h"

namespace bulkhead {
namespace {

int set_attributes(int fd, std::uint64_t set, unsigned flags) {
  mount_attr attributes{};
  attributes.attr_set = set;
  attributes.propagation = MS_PRIVATE;
  return mount_setattr(fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes);
}

int clone_mount(int directory, const char* path, unsigned flags) {
  return open_tree(directory, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
}

// Resolves below the root being built: no link, no "..", no magic link on the way.
int open_inside(const Tree& tree, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, tree.root, path, &how, sizeof how));
}

const char* relative(const char* target) { return target[1] == '\0' ? "." : target + 1; }

int open_parent(const Tree& tree, const ChildOperation& op) {
  return open_inside(tree, op.parent, O_PATH | O_DIRECTORY);
}

int make_mount_point(const Tree& tree, const ChildOperation& op, bool is_directory, mode_t mode) {
  const Fd parent(open_parent(tree, op));
  if (!parent.valid()) return -1;
  if (is_directory) return mkdirat(parent.get(), op.leaf, mode);
  const Fd file(openat(parent.get(), op.leaf, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0444));
  return file.valid() ? 0 : -1;
}

int open_or_make_target(const Tree& tree, const ChildOperation& op, bool is_directory) {
  const int there = open_inside(tree, relative(op.target), O_PATH);
  if (there >= 0 || errno != ENOENT) return there;
  if (make_mount_point(tree, op, is_directory, 0755) != 0) return -1;
  return open_inside(tree, relative(op.target), O_PATH);
}

// The very object that was looked at is mounted over.
int cover(int target, int mount) {
  return move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

// Attaches the detached mount at op's target, which is made if it is missing. What stands there must be of the mounted
// kind: the kernel refuses a directory over a file and the other way round, and a link is an error.
int attach(const Tree& tree, const ChildOperation& op, int mount, bool is_directory) {
  if (mount < 0) return -1;
  const Fd target(open_or_make_target(tree, op, is_directory));
  return target.valid() ? cover(target.get(), mount) : -1;
}

int new_file_system(const char* type, const char* const (*options)[2], std::size_t count, std::uint64_t attributes) {
  const Fd context(fsopen(type, FSOPEN_CLOEXEC));
  if (!context.valid()) return -1;
  for (std::size_t i = 0; i < count; ++i) {
    const char* value = options[i][1];
    if (fsconfig(context.get(), value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, options[i][0], value, 0) != 0)
      return -1;
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return -1;
  return fsmount(context.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes));
}

// Without locale or allocation.
const char* digits(char (&buffer)[24], std::uint64_t number, unsigned base) {
  char* at = buffer + sizeof buffer - 1;
  *at = '\0';
  do {
    *--at = static_cast<char>('0' + number % base);
    number /= base;
  } while (number != 0);
  return at;
}

// The new root is mounted over the old one, so that it belongs to our namespace; pivot drops the old.
int do_root_tmpfs(Tree& tree) {
  const char* const options[][2] = {{"mode", "0755"}, {"size", "4m"}, {"nr_inodes", "4096"}};
  tree.root = new_file_system("tmpfs", options, 3, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (tree.root < 0) return -1;
  return move_mount(tree.root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

int do_root_bind(Tree& tree, const ChildOperation& op) {
  tree.root = clone_mount(AT_FDCWD, op.text, AT_SYMLINK_NOFOLLOW | AT_RECURSIVE);
  if (tree.root < 0) return -1;
  if (set_attributes(tree.root, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, AT_RECURSIVE) != 0) return -1;
  return move_mount(tree.root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

// The directory below, an empty tmpfs above: what the sandbox needs besides (mount points, files of ours) can be made,
// and the directory stays as it is. Everything is read-only once it is sealed.
int do_root_layer(Tree& tree, const ChildOperation& op) {
  const Fd lower(open(op.text, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!lower.valid()) return -1;
  const char* const bounds[][2] = {{"mode", "0700"}, {"size", "4m"}, {"nr_inodes", "4096"}};
  const Fd above(new_file_system("tmpfs", bounds, 3, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  // An overlay takes layers that are mounted in its maker's namespace, and keeps them for itself: mounted over / for
  // that long.
  if (!above.valid() || move_mount(above.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0) return -1;
  if (mkdirat(above.get(), "upper", 0755) != 0 || mkdirat(above.get(), "work", 0700) != 0) return -1;
  char lower_path[64], upper_path[64], work_path[64];
  const auto path_of = [](char(&out)[64], int fd, const char* below) {
    char number[24];
    strcpy(out, "/proc/self/fd/");
    strcat(out, digits(number, static_cast<std::uint64_t>(fd), 10));
    strcat(out, below);
  };
  path_of(lower_path, lower.get(), "");
  path_of(upper_path, above.get(), "/upper");
  path_of(work_path, above.get(), "/work");
  const char* const layers[][2] = {{"lowerdir", lower_path}, {"upperdir", upper_path}, {"workdir", work_path}};
  tree.root = new_file_system("overlay", layers, 3, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (tree.root < 0) return -1;
  // It must go: between the old root and the new one it would be what pivot drops, and the old root would stay on top.
  if (umount2("/", MNT_DETACH) != 0) return -1;
  return move_mount(tree.root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

int do_directory(const Tree& tree, const ChildOperation& op) {
  const Fd parent(open_parent(tree, op));
  if (!parent.valid()) return -1;
  if (mkdirat(parent.get(), op.leaf, op.mode) == 0) return 0;
  if (errno != EEXIST && errno != EROFS) return -1;
  struct stat st;
  if (fstatat(parent.get(), op.leaf, &st, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  if (S_ISDIR(st.st_mode)) return 0;
  errno = ENOTDIR;
  return -1;
}

// A root that came from a directory may have what is needed, or be read-only: what is missing shows at the mount.
int do_mount_point(const Tree& tree, const ChildOperation& op) {
  if (make_mount_point(tree, op, !(op.flags & kFile), 0755) == 0) return 0;
  return errno == EEXIST || errno == EROFS ? 0 : -1;
}

int do_symlink(const Tree& tree, const ChildOperation& op, const char* to) {
  const Fd parent(open_parent(tree, op));
  return parent.valid() ? symlinkat(to, parent.get(), op.leaf) : -1;
}

int do_bind(const Tree& tree, const ChildOperation& op) {
  if (op.source >= 0) return attach(tree, op, op.source, op.source_is_directory);
  BindSource source;
  if (open_bind_source(op, source) != 0) return -1;
  if (source.kind == SourceKind::absent) return 0;
  if (source.kind == SourceKind::link) return do_symlink(tree, op, source.link);
  const Fd mount(source.mount);
  return attach(tree, op, mount.get(), source.kind == SourceKind::directory);
}

int do_tmpfs(const Tree& tree, const ChildOperation& op) {
  char size[24], inodes[24], mode[24], uid[24], gid[24];
  const char* options[5][2];
  std::size_t count = 0;
  const auto option = [&](const char* key, const char* value) {
    options[count][0] = key;
    options[count++][1] = value;
  };
  option("mode", digits(mode, op.mode, 8));
  if (op.number != 0) option("size", digits(size, op.number, 10));
  if (op.inodes != 0) option("nr_inodes", digits(inodes, op.inodes, 10));
  if (op.flags & kSandboxOwned) {
    option("uid", digits(uid, tree.owner_uid, 10));
    option("gid", digits(gid, tree.owner_gid, 10));
  }
  std::uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (op.flags & kNoExec) attributes |= MOUNT_ATTR_NOEXEC;
  const Fd mount(new_file_system("tmpfs", options, count, attributes));
  return attach(tree, op, mount.get(), true);
}

int do_file(const Tree& tree, const ChildOperation& op) {
  const Fd parent(open_parent(tree, op));
  if (!parent.valid()) return -1;
  if ((op.flags & kReplace) && unlinkat(parent.get(), op.leaf, 0) != 0 && errno != ENOENT) return -1;
  const Fd file(openat(parent.get(), op.leaf, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, op.mode));
  if (!file.valid()) return -1;
  const std::size_t length = strlen(op.text);
  return write(file.get(), op.text, length) == static_cast<ssize_t>(length) ? 0 : -1;
}

int do_proc(const Tree& tree, const ChildOperation& op) {
  const Fd mount(new_file_system("proc", nullptr, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!mount.valid()) return -1;
  if ((op.flags & kCovers) && umount2(op.target, MNT_DETACH | UMOUNT_NOFOLLOW) != 0) return -1;
  return attach(tree, op, mount.get(), true);
}

int do_devpts(const Tree& tree, const ChildOperation& op) {
  const char* const options[][2] = {{"newinstance", nullptr}, {"ptmxmode", "0666"}, {"mode", "0620"}, {"max", "64"}};
  const Fd mount(new_file_system("devpts", options, 4, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
  return attach(tree, op, mount.get(), true);
}

// /dev/null as we have bound it ourselves, checked to be just that (CVE-2025-31133), once per tree.
int open_null(Tree& tree) {
  if (tree.null >= 0) return tree.null;
  Fd null(open_inside(tree, "dev/null", O_PATH));
  struct stat st;
  if (!null.valid() || fstat(null.get(), &st) != 0) return -1;
  if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
    errno = ENODEV;
    return -1;
  }
  return tree.null = null.release();
}

int do_mask(Tree& tree, const ChildOperation& op) {
  const Fd target(open_inside(tree, relative(op.target), O_PATH));
  if (!target.valid()) return errno == ENOENT ? 0 : -1;
  struct stat st;
  if (fstat(target.get(), &st) != 0) return -1;
  if (S_ISDIR(st.st_mode)) {
    const char* const options[][2] = {{"mode", "0555"}, {"size", "4k"}, {"nr_inodes", "2"}};
    const Fd empty(new_file_system("tmpfs", options, 3,
                                   MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY));
    return empty.valid() ? cover(target.get(), empty.get()) : -1;
  }
  const int null = open_null(tree);
  if (null < 0) return -1;
  const Fd mount(clone_mount(null, "", AT_EMPTY_PATH));
  return mount.valid() ? cover(target.get(), mount.get()) : -1;
}

int do_read_only(const Tree& tree, const ChildOperation& op) {
  const Fd target(open_inside(tree, relative(op.target), O_PATH));
  if (!target.valid()) return errno == ENOENT ? 0 : -1;
  const Fd mount(clone_mount(target.get(), "", AT_EMPTY_PATH));
  if (!mount.valid()) return -1;
  if (set_attributes(mount.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0) != 0)
    return -1;
  return cover(target.get(), mount.get());
}

int do_seal(const Tree& tree, const ChildOperation& op) {
  const Fd target(open_inside(tree, relative(op.target), O_PATH));
  return target.valid() ? set_attributes(target.get(), MOUNT_ATTR_RDONLY, 0) : -1;
}

int do_pivot(const Tree& tree) {
  if (fchdir(tree.root) != 0) return -1;
  if (syscall(SYS_pivot_root, ".", ".") != 0) return -1;
  // The old root lies under the new one now, at the same place.
  if (umount2(".", MNT_DETACH) != 0) return -1;
  return chdir("/");
}

}  // namespace

int open_bind_source(const ChildOperation& op, BindSource& source) {
  const Fd file(open(op.text, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) {
    source.kind = SourceKind::absent;
    return (op.flags & kOptional) && (errno == ENOENT || errno == ENOTDIR) ? 0 : -1;
  }
  struct stat st;
  if (fstat(file.get(), &st) != 0) return -1;
  if (S_ISLNK(st.st_mode)) {
    const ssize_t n = readlinkat(file.get(), "", source.link, sizeof source.link - 1);
    if (n < 0) return -1;
    source.link[n] = '\0';
    source.kind = SourceKind::link;
    return 0;
  }
  if ((op.flags & kDevice) && !S_ISCHR(st.st_mode)) {
    errno = ENODEV;
    return -1;
  }
  const bool directory = S_ISDIR(st.st_mode);
  const unsigned recursive = directory ? AT_RECURSIVE : 0u;
  Fd mount(clone_mount(file.get(), "", AT_EMPTY_PATH | recursive));
  if (!mount.valid()) return -1;
  std::uint64_t attributes = MOUNT_ATTR_NOSUID;
  if (!(op.flags & kDevice)) attributes |= MOUNT_ATTR_NODEV;
  // A device can be written to on a read-only mount; that its node, the host's own, gets no other time or mode is the
  // point.
  if (op.flags & (kReadOnly | kDevice)) attributes |= MOUNT_ATTR_RDONLY;
  if (op.flags & kNoExec) attributes |= MOUNT_ATTR_NOEXEC;
  if (set_attributes(mount.get(), attributes, recursive) != 0) return -1;
  source.kind = directory ? SourceKind::directory : SourceKind::file;
  source.mount = mount.release();
  return 0;
}

int perform_on_tree(Tree& tree, const ChildOperation& op) {
  switch (op.step) {
    case Step::root_tmpfs:
      return do_root_tmpfs(tree);
    case Step::root_bind:
      return do_root_bind(tree, op);
    case Step::root_layer:
      return do_root_layer(tree, op);
    case Step::directory:
      return do_directory(tree, op);
    case Step::mount_point:
      return do_mount_point(tree, op);
    case Step::bind:
      return do_bind(tree, op);
    case Step::tmpfs:
      return do_tmpfs(tree, op);
    case Step::file:
      return do_file(tree, op);
    case Step::symlink:
      return do_symlink(tree, op, op.text);
    case Step::proc:
      return do_proc(tree, op);
    case Step::devpts:
      return do_devpts(tree, op);
    case Step::mask:
      return do_mask(tree, op);
    case Step::read_only:
      return do_read_only(tree, op);
    case Step::seal:
      return do_seal(tree, op);
    case Step::pivot:
      return do_pivot(tree);
    default:
      errno = ENOSYS;
      return -1;
  }
}

}  // namespace bulkhead
