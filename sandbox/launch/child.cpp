#include "sandbox/launch/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/launch/landlock.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {
namespace {

constexpr std::size_t kStackBytes = 256 * 1024;

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

int do_session_keyring() { return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 ? -1 : 0; }

int do_rlimit(const ChildOperation& op) {
  int resource = -1;
  if (strcmp(op.target, "core") == 0) resource = RLIMIT_CORE;
  if (strcmp(op.target, "nofile") == 0) resource = RLIMIT_NOFILE;
  if (strcmp(op.target, "fsize") == 0) resource = RLIMIT_FSIZE;
  if (strcmp(op.target, "data") == 0) resource = RLIMIT_DATA;
  if (strcmp(op.target, "nproc") == 0) resource = RLIMIT_NPROC;
  if (strcmp(op.target, "cpu") == 0) resource = RLIMIT_CPU;
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

// With a listener, whose descriptor init inherits. On a host where somebody above us listens already there cannot be a
// second one: then refusals are answered by the filter itself and seen by nobody, unless the plan says they must be.
int load_observed_filter(ChildContext& context) {
  const sock_fprog& program = context.filter;
  constexpr unsigned long kWaitKillable = 1UL << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, from Linux 5.19
  long listener =
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | kWaitKillable, &program);
  if (listener < 0 && errno == EINVAL)
    listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (listener < 0) {
    if (context.must_observe) return -1;
    context.unseen_errno = errno;
    for (unsigned i = 0; i < program.len; ++i)
      if (program.filter[i].code == (BPF_RET | BPF_K) && program.filter[i].k == SECCOMP_RET_USER_NOTIF)
        program.filter[i].k = SECCOMP_RET_ERRNO | EPERM;
    return load_filter(program);
  }
  if (fcntl(static_cast<int>(listener), F_SETFD, 0) != 0) return -1;
  char digits[12];
  int n = 0;
  for (long rest = listener; n == 0 || rest != 0; rest /= 10) digits[n++] = static_cast<char>('0' + rest % 10);
  for (int i = 0; i < n; ++i) context.listener_word[i] = digits[n - 1 - i];
  context.listener_word[n] = '\0';
  return 0;
}

template <class Visit>
void visit_kept(const ChildContext& context, Visit visit) {
  for (std::size_t i = 0; i < context.move_count; ++i) visit(context.moves[i].from);
  for (std::size_t i = 0; i < context.count; ++i) visit(context.operations[i].source);
  for (const int fd : {context.user_namespace, context.network, context.init_fd}) visit(fd);
}

// Parts from the launcher's table of descriptors and closes in ours all that is not for us. Left open until the exec it
// would count against our limit of open files.
int close_others(const ChildContext& context) {
  unsigned last = kFirstKeptFd - 1;
  visit_kept(context, [&](int fd) {
    if (fd > static_cast<int>(last)) last = static_cast<unsigned>(fd);
  });
  if (close_range(last + 1, ~0U, CLOSE_RANGE_UNSHARE) != 0) return -1;
  for (unsigned first = 3;;) {
    unsigned kept = ~0U;
    visit_kept(context, [&](int fd) {
      const auto number = static_cast<unsigned>(fd);
      if (fd >= 0 && number >= first && number < kept) kept = number;
    });
    if (kept == ~0U) return close_range(first, kept, 0);
    if (kept > first && close_range(first, kept - 1, 0) != 0) return -1;
    first = kept + 1;
  }
}

// Everything that is kept is at or above kFirstPrivateFd and closes at the exec; what is moved stays.
int place_descriptors(const ChildContext& context) {
  if (close_others(context) != 0) return -1;
  for (std::size_t i = 0; i < context.move_count; ++i) {
    const Fd from(context.moves[i].from);
    if (dup2(from.get(), context.moves[i].to) < 0) return -1;
  }
  return 0;
}

int exec_init(const ChildContext& context) {
  // What the launcher ignores, its children must not: an ignored signal stays ignored across exec.
  // By the call itself: glibc passes over two signals of its own, which posix_spawn(3) leaves ignored.
  const unsigned long by_default[4] = {};  // the kernel's struct sigaction
  for (int number = 1; number < NSIG; ++number) syscall(SYS_rt_sigaction, number, by_default, nullptr, 8);
  sigset_t none;
  sigemptyset(&none);
  if (sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return -1;
  return static_cast<int>(syscall(SYS_execveat, context.init_fd, "", context.argv, context.environment, AT_EMPTY_PATH));
}

int perform(Tree& tree, int& ruleset, const ChildOperation& op, ChildContext& context) {
  switch (op.step) {
    case Step::landlock_ruleset:
    case Step::landlock_path:
    case Step::landlock_port:
    case Step::landlock_enforce:
      return perform_landlock(ruleset, op);
    case Step::cgroup_namespace:
      return unshare(CLONE_NEWCGROUP);
    case Step::session_keyring:
      return do_session_keyring();
    case Step::loopback:
      return context.network >= 0 ? 0 : loopback_up();  // one made ahead has it up
    case Step::hostname:
      return sethostname(op.text, strlen(op.text));
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
    case Step::guard:
      return load_filter(context.guard);
    case Step::seccomp:
      return context.observe_refusals ? load_observed_filter(context) : load_filter(context.filter);
    case Step::exec_init:
      return exec_init(context);
    case Step::create_cgroup:
    case Step::limit_cgroup:
    case Step::limit_wall:
    case Step::limit_cpu_time:
    case Step::limit_disk:
    case Step::limit_inodes:
    case Step::user_namespace:
    case Step::host_identity:
    case Step::new_namespaces:
      return 0;  // the launcher's part, done before the clone
    default:
      return perform_on_tree(tree, op);
  }
}

[[noreturn]] void give_up(ChildContext& context, std::size_t at, const char* what) {
  context.failed_errno = errno == 0 ? EIO : errno;
  context.failed_at = at;
  context.failed_what = what;
  _exit(125);
}

int run_child(void* argument) {
  ChildContext& context = *static_cast<ChildContext*>(argument);
  umask(022);  // the launcher's own is tighter; modes of the tree and the command's files are meant as they stand
  for (std::size_t i = 0; i < context.v1_count; ++i)
    if (write(context.v1_tasks[i], "0", 1) != 1) give_up(context, context.count, "join cgroup");
  if (place_descriptors(context) != 0) give_up(context, context.count, "place descriptors");
  // By no step of the plan: without the step it would be the host's network.
  if (context.network >= 0 && setns(context.network, CLONE_NEWNET) != 0)
    give_up(context, context.count, "enter network");
  Tree tree{.owner_uid = context.owner_uid, .owner_gid = context.owner_gid};
  tree.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (tree.root < 0) give_up(context, context.count, "open root");
  int ruleset = -1;
  for (std::size_t i = 0; i < context.count; ++i)
    if (perform(tree, ruleset, context.operations[i], context) != 0) give_up(context, i, nullptr);
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
  arguments.flags =
      flags | CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | (cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0);
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

}  // namespace

pid_t clone_beside(int (*function)(void*), void* argument, int& pidfd) {
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_FILES | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const long pid = clone3_on_stack(arguments, child_stack, function, argument);
  if (pid < 0) errno = static_cast<int>(-pid);
  return pid < 0 ? -1 : static_cast<pid_t>(pid);
}

Fd keep(Fd fd) {
  Fd kept(fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstKeptFd));
  return kept.valid() ? std::move(kept) : std::move(fd);
}

int loopback_up() {
  const Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return -1;
  ifreq request{};
  memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ioctl(fd.get(), SIOCSIFFLAGS, &request);
}

pid_t clone_child(ChildContext& context, std::uint64_t clone_flags, int cgroup_fd, int& pidfd) {
  return clone_on(context, clone_flags, cgroup_fd, pidfd, child_stack, run_child);
}

}  // namespace bulkhead
