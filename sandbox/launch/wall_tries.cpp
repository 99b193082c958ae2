#include "sandbox/launch/wall_tries.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "sandbox/host/landlock_abi.h"
#include "sandbox/launch/cgroup.h"
#include "sandbox/launch/child.h"
#include "sandbox/launch/own_mounts.h"
#include "sandbox/launch/prepared_root.h"
#include "sandbox/launch/uid_ranges.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/launch/workspace_mount.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

// Runs `attempt` in a child, whose namespaces, filters and keyrings end with it.
std::optional<std::string> in_child(const std::function<Result<>()>& attempt) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("pipe").error().text();
  const Fd answer(ends[0]);
  Fd tell(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork").error().text();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const auto done = attempt();
    const std::string text = done ? "" : done.error().text();
    const bool told = ::write(tell.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::_exit(done && told ? 0 : 1);
  }
  tell.reset();
  const std::string text = read_fd(answer.get(), 4096).value_or("");
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return std::nullopt;
  return text.empty() ? "the process that tried it was killed" : text;
}

// Made as a launch makes them: all but one with the process, by clone3(2).
Result<> try_namespaces() {
  clone_args arguments{};
  arguments.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
  arguments.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return errno_error("clone3");
  if (pid == 0) ::_exit(::unshare(CLONE_NEWCGROUP) == 0 ? 0 : errno);
  int status = 0;
  while (::waitpid(static_cast<pid_t>(pid), &status, 0) < 0 && errno == EINTR) continue;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return errno_error("unshare cgroups", "", WIFEXITED(status) ? WEXITSTATUS(status) : EINTR);
  return {};
}

// A root as a plan makes one, and the old one gone.
Result<> try_mounts() {
  BULKHEAD_TRY(enter_own_mounts());
  BULKHEAD_ASSIGN(const PreparedRoots roots, PreparedRoots::open());
  Tree tree;
  const auto perform = [&](Step step, const char* target, const char* parent, const char* leaf,
                           const char* text = nullptr, std::uint32_t flags = 0) -> Result<> {
    const ChildOperation op{
        .step = step, .target = target, .parent = parent, .leaf = leaf, .text = text, .flags = flags, .mode = 0755};
    if (perform_on_tree(tree, op) != 0) return errno_error(std::string(name(step)), target == nullptr ? "" : target);
    return {};
  };
  BULKHEAD_TRY(perform(Step::root_tmpfs, nullptr, nullptr, nullptr));
  BULKHEAD_TRY(perform(Step::directory, "/usr", ".", "usr"));
  BULKHEAD_TRY(perform(Step::bind, "/usr", ".", "usr", "/usr", kReadOnly));
  BULKHEAD_TRY(perform(Step::seal, "/", ".", "."));
  return perform(Step::pivot, nullptr, nullptr, nullptr);
}

Result<> try_network() {
  if (::unshare(CLONE_NEWNET) != 0) return errno_error("unshare");
  if (loopback_up() != 0) return errno_error("bring lo up");
  return {};
}

Result<> load(unsigned long flags) {
  sock_filter allow[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  sock_fprog program{.len = 1, .filter = allow};
  const std::uint32_t kill = SECCOMP_RET_KILL_PROCESS;
  if (::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &kill) != 0) return errno_error("seccomp", "KILL_PROCESS");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error("no_new_privs");
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0)
    return errno_error("seccomp", flags == 0 ? "filter" : "listener");
  return {};
}

// A range of our own as long as this lives, as a launcher has one, and its namespace.
struct TriedRange {
  UidRanges ranges;
  std::uint32_t base = 0;
  const RangeNamespace* made = nullptr;
};
Result<TriedRange> take_range() {
  BULKHEAD_TRY(enter_own_mounts());  // the kernel makes no user namespace in a chroot; the launcher has left it
  BULKHEAD_ASSIGN(UidRanges ranges, UidRanges::open(kUidRangesLock));
  TriedRange taken{.ranges = std::move(ranges)};
  BULKHEAD_ASSIGN(taken.base, taken.ranges.acquire());
  BULKHEAD_ASSIGN(taken.made, taken.ranges.user_namespace(taken.base));
  return taken;
}

Result<> try_user_namespace() {
  BULKHEAD_ASSIGN(const TriedRange range, take_range());
  if (::setns(range.made->fd.get(), CLONE_NEWUSER) != 0) return errno_error("enter user namespace");
  return {};
}

// Where there is no range's namespace to forbid them in: can somebody without privilege make one?
Result<> try_none_without_range() {
  constexpr uid_t kNobody = 65534;
  if (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0 ||
      ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0)
    return errno_error("become nobody");
  if (::unshare(CLONE_NEWUSER) != 0) return {};
  return fail("everybody can make user namespaces here, and without a range's own there is none to forbid it in", "",
              "");
}

Result<> try_no_namespaces_below() {
  const auto range = take_range();
  if (!range) return try_none_without_range();
  const int below = range->made->below_errno;
  if (below != 0) return errno_error("write", "/proc/sys/user/max_user_namespaces", below);
  return {};
}

Result<> try_fresh_proc() {
  if (::unshare(CLONE_NEWPID) != 0) return errno_error("unshare");
  const auto missing = in_child([]() -> Result<> {  // the pid namespace takes effect for children only
    BULKHEAD_TRY(enter_own_mounts());
    const Fd context(::fsopen("proc", FSOPEN_CLOEXEC));
    if (!context.valid() || ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
      return errno_error("mount", "proc");
    const Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
    if (!mount.valid()) return errno_error("mount", "proc");
    return {};
  });
  if (missing) return fail(*missing, "", "");
  return {};
}

// A process in the cgroup, as a launch has one born: there is no moment in which it is outside.
Result<pid_t> born_into(const Cgroup& cgroup) {
  clone_args arguments{};
  arguments.flags = CLONE_INTO_CGROUP;
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<std::uint64_t>(cgroup.v2_fd());
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return errno_error("clone3 into cgroup");
  if (pid > 0) return static_cast<pid_t>(pid);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const Fd& tasks : cgroup.v1_tasks())
    if (::write(tasks.get(), "0", 1) != 1) ::_exit(1);
  for (;;) ::pause();
}

// Whether it ended by the cgroup's end and no other.
Result<> ended_with(const Cgroup& cgroup, pid_t pid) {
  const auto killed = cgroup.kill();
  if (!killed) (void)::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (killed && !WIFSIGNALED(status)) return fail("join cgroup", cgroup.node(), "its first process could not");
  return killed;
}

// One whose last process was just reaped answers EBUSY for a moment.
Result<> gone(const std::function<Result<>()>& remove) {
  constexpr int kTries = 500;
  auto removed = remove();
  for (int i = 0; i < kTries && !removed && removed.error().code == EBUSY; ++i) {
    ::poll(nullptr, 0, 2);
    removed = remove();
  }
  return removed;
}

// As a launch makes one: a node below a root node of ours, its limits set, a process born into it, frozen, killed and
// gone. `bulkhead clean` knows a private launcher that lives by its name, and removes what of this a killed one left.
Result<> try_limits(const HostFacts& facts) {
  const CgroupLayout& layout = facts.cgroups;
  if (layout.mode == CgroupMode::none) return fail(layout.reason, "", "");
  if (::prctl(PR_SET_NAME, "bulkhead-launch") != 0) return errno_error("take a launcher's name");
  const std::string root = "bulkhead-p" + std::to_string(::getpid());
  const auto attempt = [&]() -> Result<> {
    BULKHEAD_ASSIGN(Cgroup cgroup, Cgroup::create(layout, root, "wall", {"memory", "cpu", "pids"}));
    BULKHEAD_TRY(cgroup.limit("memory", 64U << 20));
    BULKHEAD_TRY(cgroup.limit("pids", 8));
    BULKHEAD_TRY(cgroup.limit("cpu", 1000));
    BULKHEAD_ASSIGN(const pid_t first, born_into(cgroup));
    const auto frozen = cgroup.set_frozen(true);
    BULKHEAD_TRY(ended_with(cgroup, first));
    BULKHEAD_TRY(frozen);
    return gone([&] { return cgroup.remove(); });
  };
  auto done = attempt();
  const auto removed = gone([&] { return remove_cgroup_root(layout, root); });
  return done ? removed : done;
}

Result<> try_landlock() {
  const int abi = landlock::supported_abi();
  if (abi == 0) return errno_error("landlock_create_ruleset");
  if (abi < landlock::kLeastAbi) return fail("ABI 1 refuses renames between directories", "", "");
  const landlock::RulesetAttributes attributes{
      .handled_files = landlock::file_rights(abi), .handled_net = 0, .scoped = landlock::scopes(abi)};
  const Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!ruleset.valid()) return errno_error("landlock_create_ruleset");
  const Fd root(::open("/", O_PATH | O_CLOEXEC));
  const landlock::PathRule rule{.access = landlock::kReadFile, .parent = root.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), landlock::kPathRule, &rule, 0) != 0)
    return errno_error("landlock_add_rule");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error("no_new_privs");
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return errno_error("landlock_restrict_self");
  return {};
}

Result<> try_keyring() {
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0 && errno != ENOSYS)
    return errno_error("join session keyring");  // a kernel without keyrings has none to hide
  return {};
}

std::function<Result<>()> attempt_of(Wall wall, const HostFacts& facts) {
  switch (wall) {
    case Wall::namespaces:
      return try_namespaces;
    case Wall::mounts:
      return try_mounts;
    case Wall::network:
      return try_network;
    case Wall::seccomp:
      return [] { return load(0); };
    case Wall::user_namespace:
      return try_user_namespace;
    case Wall::no_namespaces_below:
      return try_no_namespaces_below;
    case Wall::fresh_proc:
      return try_fresh_proc;
    case Wall::limits:
      return [&facts] { return try_limits(facts); };
    case Wall::landlock:
      return try_landlock;
    case Wall::keyring:
      return try_keyring;
    case Wall::refusals_seen:
      return [] { return load(SECCOMP_FILTER_FLAG_NEW_LISTENER); };
    case Wall::workspaces:
      break;
  }
  return [] { return Result<>(); };
}

Result<> build_workspace(const std::string& at) {
  BULKHEAD_ASSIGN(const TriedRange range, take_range());
  const WorkspaceMount workspace{.name = "wall",
                                 .lower = at + "/lower",
                                 .lower_uid = 0,
                                 .range_base = range.base,
                                 .upper = at + "/rw/upper",
                                 .work = at + "/rw/work"};
  for (const std::string& directory : {at + "/lower", at + "/rw", workspace.upper, workspace.work, at + "/staging"})
    if (::mkdir(directory.c_str(), 0755) != 0) return errno_error("make directory", directory);
  const uid_t owner = workspace.range_base + kInsideUserId;
  for (const std::string& directory : {workspace.upper, workspace.work})
    if (::chown(directory.c_str(), owner, owner) != 0) return errno_error("chown", directory);
  BULKHEAD_ASSIGN(const Fd overlay, make_workspace_overlay(workspace, range.made->fd.get(), at + "/staging"));
  return {};
}

}  // namespace

std::optional<std::string> try_wall(Wall wall, const HostFacts& facts) { return in_child(attempt_of(wall, facts)); }

MissingWalls try_walls(const WallSet& walls, const HostFacts& facts) {
  MissingWalls missing;
  for (const Wall wall : walls)
    if (auto answer = try_wall(wall, facts)) missing[wall] = *std::move(answer);
  return missing;
}

Result<Fd> lock_try(const std::string& directory) {
  BULKHEAD_ASSIGN(Fd fd, open_file(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return errno_error("lock", directory, errno == EWOULDBLOCK ? EBUSY : errno);
  return fd;
}

std::optional<std::string> try_workspaces(const std::string& directory) {
  std::string at = directory + "/" + kTryPrefix + "XXXXXX";
  if (::mkdtemp(at.data()) == nullptr) return errno_error("make directory below", directory).error().text();
  const auto ours = lock_try(at);
  auto missing = in_child([&] { return build_workspace(at); });
  if (const auto removed = remove_tree(at); !removed && !missing) missing = removed.error().text();
  return missing;
}

}  // namespace bulkhead
