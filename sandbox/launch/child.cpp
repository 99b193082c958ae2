#include "sandbox/launch/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bulkhead {
namespace {

constexpr std::size_t kStackBytes = 256 * 1024;

// State of one child while it builds. Lives on the child's stack.
struct Tree {
  int root = -1;  // the root mount being built
  bool sealed = false;
};

int set_attributes(int fd, std::uint64_t set, unsigned flags) {
  mount_attr attributes{};
  attributes.attr_set = set;
  attributes.propagation = MS_PRIVATE;
  return mount_setattr(fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes);
}

// Resolves below the root being built: no link, no "..", no magic link on the way.
int open_inside(const Tree& tree, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(syscall(SYS_openat2, tree.root, path, &how, sizeof how));
}

const char* relative(const char* target) { return target[1] == '\0' ? "." : target + 1; }

// Attaches the detached mount `mount` at op's target, which is made if it is missing.
int attach(const Tree& tree, const ChildOperation& op, int mount, bool is_directory) {
  const int parent = open_inside(tree, op.parent, O_PATH | O_DIRECTORY);
  if (parent < 0) return -1;
  int result = 0;
  if (is_directory) {
    result = mkdirat(parent, op.leaf, 0755);
  } else {
    const int fd = openat(parent, op.leaf, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0444);
    result = fd < 0 ? -1 : 0;
    if (fd >= 0) close(fd);
  }
  if (result == 0 || errno == EEXIST || errno == EROFS) {
    // What stands at the target must be what is mounted there: a link is never followed (no MOVE_MOUNT_T_SYMLINKS), and
    // the kernel refuses a directory over a file and the other way round.
    result = move_mount(mount, "", parent, op.leaf, MOVE_MOUNT_F_EMPTY_PATH);
  }
  const int saved = errno;
  close(parent);
  errno = saved;
  return result;
}

int new_file_system(const char* type, const char* const (*options)[2], std::size_t count, std::uint64_t attributes) {
  const int context = fsopen(type, FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  int mount = -1;
  bool ok = true;
  for (std::size_t i = 0; ok && i < count; ++i) {
    const char* value = options[i][1];
    ok = fsconfig(context, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, options[i][0], value, 0) == 0;
  }
  if (ok && fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
    mount = fsmount(context, FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes));
  const int saved = errno;
  close(context);
  errno = saved;
  return mount;
}

// Decimal without locale or allocation.
const char* decimal(char (&buffer)[24], std::uint64_t number) {
  char* at = buffer + sizeof buffer - 1;
  *at = '\0';
  do {
    *--at = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  return at;
}

const char* octal(char (&buffer)[24], std::uint32_t number) {
  char* at = buffer + sizeof buffer - 1;
  *at = '\0';
  do {
    *--at = static_cast<char>('0' + number % 8);
    number /= 8;
  } while (number != 0);
  return at;
}

int do_root_tmpfs(Tree& tree) {
  const char* const options[][2] = {{"mode", "0755"}, {"size", "4m"}, {"nr_inodes", "4096"}};
  tree.root = new_file_system("tmpfs", options, 3, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  if (tree.root < 0) return -1;
  return move_mount(tree.root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

int do_root_bind(Tree& tree, const ChildOperation& op) {
  tree.root = open_tree(AT_FDCWD, op.text, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW | AT_RECURSIVE);
  if (tree.root < 0) return -1;
  if (set_attributes(tree.root, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, AT_RECURSIVE) != 0) return -1;
  return move_mount(tree.root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

int do_directory(const Tree& tree, const ChildOperation& op) {
  const int parent = open_inside(tree, op.parent, O_PATH | O_DIRECTORY);
  if (parent < 0) return -1;
  int result = mkdirat(parent, op.leaf, op.mode);
  if (result != 0 && (errno == EEXIST || errno == EROFS)) {
    struct stat st;
    result = fstatat(parent, op.leaf, &st, AT_SYMLINK_NOFOLLOW);
    if (result == 0 && !S_ISDIR(st.st_mode)) {
      errno = ENOTDIR;
      result = -1;
    }
  }
  const int saved = errno;
  close(parent);
  errno = saved;
  return result;
}

int make_symlink(const Tree& tree, const ChildOperation& op, const char* to) {
  const int parent = open_inside(tree, op.parent, O_PATH | O_DIRECTORY);
  if (parent < 0) return -1;
  const int result = symlinkat(to, parent, op.leaf);
  const int saved = errno;
  close(parent);
  errno = saved;
  return result;
}

int do_bind(const Tree& tree, const ChildOperation& op) {
  const int source = open(op.text, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (source < 0) return (op.flags & kOptional) && (errno == ENOENT || errno == ENOTDIR) ? 0 : -1;
  struct stat st;
  if (fstat(source, &st) != 0) return -1;
  if (S_ISLNK(st.st_mode)) {
    char link[4096];
    const ssize_t n = readlinkat(source, "", link, sizeof link - 1);
    if (n < 0) return -1;
    link[n] = '\0';
    close(source);
    return make_symlink(tree, op, link);
  }
  if (op.flags & kDevice) {
    if (!S_ISCHR(st.st_mode)) {
      errno = ENODEV;
      return -1;
    }
    if (op.number != 0 && st.st_rdev != op.number) {
      errno = ENODEV;
      return -1;
    }
  }
  const int mount = open_tree(
      source, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (S_ISDIR(st.st_mode) ? AT_RECURSIVE : 0u));
  if (mount < 0) return -1;
  std::uint64_t attributes = MOUNT_ATTR_NOSUID;
  if (!(op.flags & kDevice)) attributes |= MOUNT_ATTR_NODEV;
  if (op.flags & kReadOnly) attributes |= MOUNT_ATTR_RDONLY;
  if (op.flags & kNoExec) attributes |= MOUNT_ATTR_NOEXEC;
  if (set_attributes(mount, attributes, S_ISDIR(st.st_mode) ? AT_RECURSIVE : 0u) != 0) return -1;
  const int result = attach(tree, op, mount, S_ISDIR(st.st_mode));
  const int saved = errno;
  close(mount);
  close(source);
  errno = saved;
  return result;
}

int do_tmpfs(const Tree& tree, const ChildOperation& op, const ChildContext& context) {
  char size[24], inodes[24], mode[24], uid[24], gid[24];
  const char* options[5][2];
  std::size_t count = 0;
  options[count][0] = "mode";
  options[count++][1] = octal(mode, op.mode);
  if (op.number != 0) {
    options[count][0] = "size";
    options[count++][1] = decimal(size, op.number);
  }
  if (op.inodes != 0) {
    options[count][0] = "nr_inodes";
    options[count++][1] = decimal(inodes, op.inodes);
  }
  if (op.flags & kSandboxOwned) {
    options[count][0] = "uid";
    options[count++][1] = decimal(uid, context.owner_uid);
    options[count][0] = "gid";
    options[count++][1] = decimal(gid, context.owner_gid);
  }
  std::uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (op.flags & kNoExec) attributes |= MOUNT_ATTR_NOEXEC;
  const int mount = new_file_system("tmpfs", options, count, attributes);
  if (mount < 0) return -1;
  const int result = attach(tree, op, mount, true);
  const int saved = errno;
  close(mount);
  errno = saved;
  return result;
}

int do_file(const Tree& tree, const ChildOperation& op) {
  const int parent = open_inside(tree, op.parent, O_PATH | O_DIRECTORY);
  if (parent < 0) return -1;
  const int fd = openat(parent, op.leaf, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, op.mode);
  const int saved = errno;
  close(parent);
  errno = saved;
  if (fd < 0) return -1;
  const std::size_t length = strlen(op.text);
  if (write(fd, op.text, length) != static_cast<ssize_t>(length)) return -1;
  return close(fd);
}

int mount_and_attach(const Tree& tree, const ChildOperation& op, int mount, bool is_directory = true) {
  if (mount < 0) return -1;
  const int result = attach(tree, op, mount, is_directory);
  const int saved = errno;
  close(mount);
  errno = saved;
  return result;
}

int do_devpts(const Tree& tree, const ChildOperation& op) {
  const char* const options[][2] = {{"newinstance", nullptr}, {"ptmxmode", "0666"}, {"mode", "0620"}, {"max", "64"}};
  return mount_and_attach(tree, op, new_file_system("devpts", options, 4, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));
}

int do_mask(const Tree& tree, const ChildOperation& op) {
  const int target = open_inside(tree, relative(op.target), O_PATH);
  if (target < 0) return errno == ENOENT ? 0 : -1;
  struct stat st;
  const int stated = fstat(target, &st);
  close(target);
  if (stated != 0) return -1;
  if (S_ISDIR(st.st_mode)) {
    const char* const options[][2] = {{"mode", "0555"}, {"size", "4k"}, {"nr_inodes", "2"}};
    return mount_and_attach(
        tree, op,
        new_file_system("tmpfs", options, 3,
                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY));
  }
  // /dev/null as we have bound it ourselves, checked to be just that (CVE-2025-31133).
  const int null = open_inside(tree, "dev/null", O_PATH);
  if (null < 0) return -1;
  if (fstat(null, &st) != 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3)) {
    errno = ENODEV;
    return -1;
  }
  const int mount = open_tree(null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  close(null);
  if (mount >= 0 && set_attributes(mount, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0) != 0) return -1;
  return mount_and_attach(tree, op, mount, false);
}

int do_read_only(const Tree& tree, const ChildOperation& op) {
  const int target = open_inside(tree, relative(op.target), O_PATH);
  if (target < 0) return errno == ENOENT ? 0 : -1;
  struct stat st;
  if (fstat(target, &st) != 0) return -1;
  const int mount = open_tree(target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  close(target);
  if (mount < 0) return -1;
  if (set_attributes(mount, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, 0) != 0)
    return -1;
  return mount_and_attach(tree, op, mount, S_ISDIR(st.st_mode));
}

int do_pivot(const Tree& tree) {
  if (fchdir(tree.root) != 0) return -1;
  if (syscall(SYS_pivot_root, ".", ".") != 0) return -1;
  // The old root lies under the new one now, at the same place.
  if (umount2(".", MNT_DETACH) != 0) return -1;
  return chdir("/");
}

// The working directory must lie below the root we have: a leaked descriptor could say otherwise (CVE-2024-21626).
int do_working_directory(const ChildOperation& op) {
  if (chdir(op.target) != 0) return -1;
  char path[4096];
  if (syscall(SYS_getcwd, path, sizeof path) < 0) return -1;
  if (path[0] != '/') {
    errno = EXDEV;
    return -1;
  }
  return 0;
}

int do_loopback() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  ifreq request{};
  memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int result = ioctl(fd, SIOCSIFFLAGS, &request);
  const int saved = errno;
  close(fd);
  errno = saved;
  return result;
}

int do_session_keyring() {
  const long result = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
  return result >= 0 || errno == ENOSYS ? 0 : -1;  // a kernel without keyrings has none to hide
}

int do_rlimit(const ChildOperation& op) {
  int resource = -1;
  if (strcmp(op.target, "core") == 0) resource = RLIMIT_CORE;
  if (strcmp(op.target, "nofile") == 0) resource = RLIMIT_NOFILE;
  if (strcmp(op.target, "fsize") == 0) resource = RLIMIT_FSIZE;
  if (resource < 0) {
    errno = EINVAL;
    return -1;
  }
  rlimit current{};
  if (getrlimit(static_cast<__rlimit_resource_t>(resource), &current) != 0) return -1;
  // A host whose own hard limit is lower already gives less; raising it is not ours to do.
  const rlim_t value = op.number < current.rlim_max ? op.number : current.rlim_max;
  const rlimit wanted{value, value};
  return setrlimit(static_cast<__rlimit_resource_t>(resource), &wanted);
}

int do_bounding_set(const ChildContext& context) {
  for (int capability = 0; capability <= context.last_capability; ++capability) {
    if (context.kept_capabilities >> capability & 1) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EINVAL) return -1;
  }
  return 0;
}

int do_identity(const ChildContext& context) {
  if (syscall(SYS_setgroups, context.group_count, context.groups) != 0) return -1;
  // Kept across the change of uid, for do_capabilities() to lower.
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return -1;
  if (syscall(SYS_setresgid, context.gid, context.gid, context.gid) != 0) return -1;
  return static_cast<int>(syscall(SYS_setresuid, context.uid, context.uid, context.uid));
}

// Nothing relies on the kernel's fix-ups at a change of uid: the sets are written, whoever we are now.
int do_capabilities(const ChildContext& context) {
  const std::uint64_t kept = context.kept_capabilities;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  for (int half = 0; half < 2; ++half) {
    const auto bits = static_cast<std::uint32_t>(kept >> (32 * half));
    data[half].effective = data[half].permitted = data[half].inheritable = bits;
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (syscall(SYS_capset, &header, data) != 0) return -1;
  // A uid other than 0 loses at exec what is not ambient.
  for (int capability = 0; capability <= context.last_capability; ++capability)
    if ((kept >> capability & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return -1;
  return 0;
}

int load_filter(const sock_fprog& program) {
  return static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

int place_descriptors(const ChildContext& context) {
  if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return -1;
  for (std::size_t i = 0; i < context.move_count; ++i)
    if (dup2(context.moves[i].from, context.moves[i].to) < 0) return -1;
  return 0;
}

int exec_init(const ChildContext& context) {
  // What the launcher ignores, its children must not: an ignored signal stays ignored across exec.
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  if (sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return -1;
  return static_cast<int>(syscall(SYS_execveat, context.init_fd, "", context.argv, context.environment, AT_EMPTY_PATH));
}

int perform(Tree& tree, const ChildOperation& op, const ChildContext& context) {
  switch (op.step) {
    case Step::cgroup_namespace:
      return unshare(CLONE_NEWCGROUP);
    case Step::session_keyring:
      return do_session_keyring();
    case Step::loopback:
      return do_loopback();
    case Step::hostname:
      return sethostname(op.text, strlen(op.text));
    case Step::root_tmpfs:
      return do_root_tmpfs(tree);
    case Step::root_bind:
      return do_root_bind(tree, op);
    case Step::directory:
      return do_directory(tree, op);
    case Step::bind:
      return do_bind(tree, op);
    case Step::tmpfs:
      return do_tmpfs(tree, op, context);
    case Step::file:
      return do_file(tree, op);
    case Step::symlink:
      return make_symlink(tree, op, op.text);
    case Step::proc:
      return mount_and_attach(
          tree, op, new_file_system("proc", nullptr, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
    case Step::devpts:
      return do_devpts(tree, op);
    case Step::mask:
      return do_mask(tree, op);
    case Step::read_only:
      return do_read_only(tree, op);
    case Step::seal_root:
      return set_attributes(tree.root, MOUNT_ATTR_RDONLY, 0);
    case Step::pivot:
      return do_pivot(tree);
    case Step::working_directory:
      return do_working_directory(op);
    case Step::rlimit:
      return do_rlimit(op);
    case Step::enter_user_namespace:
      return setns(context.user_namespace, CLONE_NEWUSER);
    case Step::bounding_set:
      return do_bounding_set(context);
    case Step::identity:
      return do_identity(context);
    case Step::capabilities:
      return do_capabilities(context);
    case Step::no_new_privs:
      return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    case Step::seccomp:
      return load_filter(strcmp(op.text, "terminal-guard") == 0 ? context.guard : context.filter);
    case Step::exec_init:
      return exec_init(context);
    case Step::create_cgroup:
    case Step::limit_cgroup:
    case Step::limit_wall:
    case Step::limit_cpu_time:
    case Step::user_namespace:
    case Step::host_identity:
    case Step::new_namespaces:
      return 0;  // the launcher's part, done before the clone
  }
  errno = EINVAL;
  return -1;
}

[[noreturn]] void give_up(ChildContext& context, std::size_t at, const char* what) {
  context.failed_errno = errno == 0 ? EIO : errno;
  context.failed_at = at;
  context.failed_what = what;
  if (context.report_fd >= 0) {
    const ChildReport report{at, context.failed_errno};
    if (write(context.report_fd, &report, sizeof report) != sizeof report) _exit(126);
  }
  _exit(125);
}

int run_child(void* argument) {
  ChildContext& context = *static_cast<ChildContext*>(argument);
  umask(022);  // the launcher's own is tighter; modes of the tree and the command's files are meant as they stand
  for (std::size_t i = 0; i < context.v1_count; ++i)
    if (write(context.v1_tasks[i], "0", 1) != 1) give_up(context, context.count, "join cgroup");
  // Only now that we are in the cgroup: with nsdelegate nobody enters one from outside the namespace it is the root of.
  if (context.join_pidfd >= 0 && setns(context.join_pidfd, CLONE_NEWCGROUP) != 0)
    give_up(context, context.count, "enter cgroup namespace");
  if (place_descriptors(context) != 0) give_up(context, context.count, "place descriptors");
  Tree tree;
  for (std::size_t i = 0; i < context.count; ++i)
    if (perform(tree, context.operations[i], context) != 0) give_up(context, i, nullptr);
  errno = EINVAL;  // a plan without exec_init
  give_up(context, context.count, "plan");
}

alignas(16) char child_stack[kStackBytes];

// clone3(2) with a stack of the child's own: glibc has no wrapper, and on the parent's stack the child would overwrite
// what the parent returns to.
long clone3_on_stack(clone_args& arguments, char* stack, int (*function)(void*), void* argument) {
  arguments.stack = reinterpret_cast<std::uint64_t>(stack);
  arguments.stack_size = kStackBytes;
#if defined(__x86_64__)
  long result = SYS_clone3;
  register auto function_register asm("r12") = function;
  register auto argument_register asm("r13") = argument;
  asm volatile(
      "syscall\n\t"
      "testq %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xorl %%ebp, %%ebp\n\t"
      "movq %%r13, %%rdi\n\t"
      "callq *%%r12\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&arguments), "S"(sizeof arguments), "r"(function_register), "r"(argument_register)
      : "rcx", "r11", "memory");
  return result;
#else
#error "clone3_on_stack knows x86-64 only; add this architecture's six instructions here"
#endif
}

pid_t clone_on(ChildContext& context, std::uint64_t flags, int cgroup_fd, int& pidfd, char* stack,
               int (*function)(void*)) {
  clone_args arguments{};
  arguments.flags = flags | CLONE_VM | CLONE_VFORK | CLONE_PIDFD | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0);
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = cgroup_fd >= 0 ? static_cast<std::uint64_t>(cgroup_fd) : 0;
  const long pid = clone3_on_stack(arguments, stack, function, &context);
  if (pid < 0) {
    errno = static_cast<int>(-pid);
    return -1;
  }
  return static_cast<pid_t>(pid);
}

// The first of two processes: enters the namespaces (the pid namespace takes effect for its child only) and makes the
// second, whose pid it tells through `tell`.
[[noreturn]] void enter_and_clone(ChildContext& context, int cgroup_fd, int tell) {
  pid_t pid = -1;
  if (do_session_keyring() == 0 && setns(context.join_pidfd, context.join_namespaces) == 0) {
    clone_args arguments{};
    arguments.flags = CLONE_PARENT | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0);
    arguments.cgroup = cgroup_fd >= 0 ? static_cast<std::uint64_t>(cgroup_fd) : 0;
    pid = static_cast<pid_t>(syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid == 0) _exit(run_child(&context));
  }
  const int answer = pid >= 0 ? pid : -errno;
  _exit(write(tell, &answer, sizeof answer) == sizeof answer ? 0 : 1);
}

// Waits for a whole `answer`; false at the stream's end, and after `timeout_ms` with errno ETIMEDOUT.
bool read_within(int fd, void* answer, std::size_t size, int timeout_ms) {
  pollfd ready{fd, POLLIN, 0};
  int polled = 0;
  do polled = poll(&ready, 1, timeout_ms);
  while (polled < 0 && errno == EINTR);
  if (polled <= 0) {
    errno = ETIMEDOUT;
    return false;
  }
  errno = 0;
  return read(fd, answer, size) == static_cast<ssize_t>(size);
}

constexpr int kEnterTimeoutMs = 2000;

}  // namespace

pid_t clone_child(ChildContext& context, std::uint64_t clone_flags, int cgroup_fd, int& pidfd) {
  return clone_on(context, clone_flags, cgroup_fd, pidfd, child_stack, run_child);
}

pid_t clone_into(ChildContext& context, int cgroup_fd, int& pidfd) {
  int tell[2], report[2];
  if (pipe2(tell, O_CLOEXEC) != 0) return -1;
  if (pipe2(report, O_CLOEXEC) != 0) {
    close(tell[0]);
    close(tell[1]);
    return -1;
  }
  context.report_fd = report[1];
  const pid_t helper = fork();
  if (helper == 0) enter_and_clone(context, cgroup_fd, tell[1]);
  close(tell[1]);
  close(report[1]);
  pid_t pid = -1;
  int error = errno;
  if (helper > 0) {
    int answer = 0;
    error = EIO;
    if (read_within(tell[0], &answer, sizeof answer, kEnterTimeoutMs)) {
      pid = answer > 0 ? answer : -1;
      error = answer > 0 ? 0 : -answer;
    }
    if (pid < 0) kill(helper, SIGKILL);
    while (waitpid(helper, nullptr, 0) < 0 && errno == EINTR) continue;
  }
  close(tell[0]);
  if (pid > 0) {
    // Our own child, not reaped yet: its pid cannot be somebody else's.
    pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    ChildReport failed;
    if (read_within(report[0], &failed, sizeof failed, kEnterTimeoutMs)) {
      context.failed_at = failed.failed_at;
      context.failed_errno = failed.failed_errno;
    } else if (errno == ETIMEDOUT) {  // stopped or frozen on the way; killing works on both
      error = ETIMEDOUT;
      syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
      while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
      close(pidfd);
      pid = -1;
    }  // else: the end of the stream, which is the exec
  }
  close(report[0]);
  errno = error;
  return pid;
}

}  // namespace bulkhead
