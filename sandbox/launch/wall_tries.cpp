#include "sandbox/launch/wall_tries.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "sandbox/base/shortage.h"
#include "sandbox/host/landlock_abi.h"
#include "sandbox/launch/cgroup.h"
#include "sandbox/launch/child.h"
#include "sandbox/launch/own_mounts.h"
#include "sandbox/launch/prepared_root.h"
#include "sandbox/launch/uid_space.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/launch/workspace_mount.h"
#include "sandbox/plan/required_walls.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr std::string_view kTryName = "bulkhead-try-";  // of a directory; then what mkdtemp(3) makes of it

enum Verdict { kStands = 0, kMissing = 1, kUnknown = 2 };  // a child's exit status

Error not_tried(std::string why) {
  return {.operation = std::move(why),
          .object = {},
          .code = 0,
          .detail = {},
          .hint = "try again: this host was short of it just then"};
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

// Runs `attempt` in a child, whose namespaces, filters and keyrings end with it. `own`: CLONE_NEW…, for what a process
// must be born with.
TriedWall in_child(const std::function<Result<>()>& attempt, std::uint64_t own = 0) {
  const auto judged = [](const Error& error) -> TriedWall {
    if (is_shortage(error.code)) return std::unexpected(not_tried(error.text()));
    return error.text();
  };
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return judged(errno_error("pipe").error());
  Fd answer(ends[0]), tell(ends[1]);
  clone_args arguments{};
  arguments.flags = own;
  arguments.exit_signal = SIGCHLD;
  const auto pid = own == 0 ? ::fork() : static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid < 0) return judged(errno_error(own == 0 ? "fork" : "clone3").error());
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    answer.reset();
    const auto done = attempt();
    const std::string text = done ? "" : done.error().text();
    const bool told = ::write(tell.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::_exit(!told ? kUnknown : done ? kStands : is_shortage(done.error().code) ? kUnknown : kMissing);
  }
  tell.reset();
  const auto text = read_fd(answer.get(), 4096);
  const int status = wait_for(pid);
  if (!text) return std::unexpected(not_tried(text.error().text()));
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) return "a system call filter kills who tries";
  if (!WIFEXITED(status)) return std::unexpected(not_tried("the process that tried it was killed"));
  if (WEXITSTATUS(status) == kStands) return std::nullopt;
  if (WEXITSTATUS(status) == kMissing && !text->empty()) return *text;
  return std::unexpected(not_tried(text->empty() ? "the process that tried it said nothing" : *text));
}

// Made as a launch makes them: all but one with the process, by clone3(2).
Result<> try_namespaces() {
  clone_args arguments{};
  arguments.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
  arguments.exit_signal = SIGCHLD;
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return errno_error("clone3");
  if (pid == 0) ::_exit(::unshare(CLONE_NEWCGROUP) == 0 ? 0 : errno);
  const int status = wait_for(static_cast<pid_t>(pid));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return errno_error("unshare cgroups", "", WIFEXITED(status) ? WEXITSTATUS(status) : EINTR);
  return {};
}

// One operation on what stands at the root, `leaf` of it where there is one.
Result<> perform(Tree& tree, Step step, const char* leaf = nullptr, std::uint32_t flags = 0) {
  const std::string target = leaf == nullptr ? "/" : std::string("/") + leaf;
  const ChildOperation op{.step = step,
                          .target = target.c_str(),
                          .parent = ".",
                          .leaf = leaf == nullptr ? "." : leaf,
                          .text = target.c_str(),  // of a bind: from the same place outside
                          .flags = flags,
                          .mode = 0755};
  if (perform_on_tree(tree, op) != 0) return errno_error(std::string(name(step)), target);
  return {};
}

// A root as a plan makes one, and the old one gone.
Result<> try_mounts() {
  BULKHEAD_TRY(enter_own_mounts());
  BULKHEAD_ASSIGN(const PreparedRoots roots, PreparedRoots::open());
  Tree tree;
  BULKHEAD_TRY(perform(tree, Step::root_tmpfs));
  BULKHEAD_TRY(perform(tree, Step::directory, "usr"));
  BULKHEAD_TRY(perform(tree, Step::bind, "usr", kReadOnly));
  BULKHEAD_TRY(perform(tree, Step::seal));
  return perform(tree, Step::pivot);
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

struct TriedRange {
  std::uint32_t base = 0;
  RangeNamespace made;
};

// Of any range for sandboxes, also where a sandbox has it, which may be the only one there is: a namespace of the try's
// own, in which nothing runs, ends with the try and is seen by nobody. In mounts of our own: the kernel makes no user
// namespace in a chroot, which the launcher has left.
Result<TriedRange> make_range() {
  BULKHEAD_TRY(enter_own_mounts());
  BULKHEAD_ASSIGN(const UidSpace space, own_uid_space());
  if (!space.has_ranges())
    return fail("map ids", "", "too few are mapped here for a range of 65536 (/proc/self/uid_map)");
  ProcInstance instance;
  BULKHEAD_ASSIGN(const int proc, instance.get());
  BULKHEAD_ASSIGN(RangeNamespace made, make_range_namespace(space.first, proc));
  return TriedRange{.base = space.first, .made = std::move(made)};
}

Result<> try_user_namespace() {
  BULKHEAD_ASSIGN(const TriedRange range, make_range());
  if (::setns(range.made.fd.get(), CLONE_NEWUSER) != 0) return errno_error("enter user namespace");
  return {};
}

// Where there is no range's namespace to forbid them in: can somebody without privilege make one?
Result<> try_none_without_range() {
  constexpr uid_t kNobody = 65534;
  if (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0 ||
      ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0)
    return errno_error("become nobody");
  if (::unshare(CLONE_NEWUSER) != 0) return is_shortage(errno) ? Result<>(errno_error("unshare")) : Result<>();
  return fail("everybody can make user namespaces here, and without a range's own there is none to forbid it in", "",
              "");
}

Result<> try_no_namespaces_below() {
  const auto range = make_range();
  if (!range && is_shortage(range.error().code)) return std::unexpected(range.error());
  if (!range) return try_none_without_range();
  const int below = range->made.below_errno;
  if (below != 0) return errno_error("write", "/proc/sys/user/max_user_namespaces", below);
  return {};
}

// With in sight what a sandbox has in sight, and nothing else: the kernel asks whether another /proc is in full view.
Result<> try_fresh_proc(const HostFacts& facts) {
  BULKHEAD_TRY(enter_own_mounts());
  Tree tree;
  BULKHEAD_TRY(perform(tree, Step::root_tmpfs));
  BULKHEAD_TRY(perform(tree, Step::directory, "proc"));
  if (facts.in_user_namespace) BULKHEAD_TRY(perform(tree, Step::bind, "proc", kReadOnly | kNoExec));
  BULKHEAD_TRY(perform(tree, Step::seal));
  BULKHEAD_TRY(perform(tree, Step::pivot));
  return perform(tree, Step::proc, "proc", facts.in_user_namespace ? kCovers : 0u);
}

// A process born into the cgroup as a sandbox is, which waits.
Result<pid_t> born_into(const Cgroup& cgroup) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_error("pipe");
  const Fd answer(ends[0]);
  Fd tell(ends[1]);
  clone_args arguments{};
  arguments.flags = CLONE_INTO_CGROUP;
  arguments.exit_signal = SIGCHLD;
  arguments.cgroup = static_cast<std::uint64_t>(cgroup.v2_fd());
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid < 0) return errno_error("clone3 into cgroup");
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    int code = 0;
    for (const Fd& tasks : cgroup.v1_tasks())
      if (code == 0 && ::write(tasks.get(), "0", 1) != 1) code = errno;
    if (::write(tell.get(), &code, sizeof code) == sizeof code && code == 0)
      for (;;) ::pause();
    ::_exit(1);
  }
  tell.reset();
  int code = 0;
  if (::read(answer.get(), &code, sizeof code) != sizeof code) code = EAGAIN;  // it was killed
  if (code == 0) return pid;
  ::kill(pid, SIGKILL);
  wait_for(pid);
  return errno_error("join cgroup", "", code);
}

Result<> remove_when_empty(Cgroup& cgroup) {
  constexpr int kTries = 500;
  constexpr int kPauseMs = 2;
  for (int i = 0;; ++i) {
    auto removed = cgroup.remove();
    if (removed || removed.error().code != EBUSY || i == kTries) return removed;
    ::poll(nullptr, 0, kPauseMs);  // its last process is still being taken off
  }
}

// As a launch makes one: a node below a root node of ours, its limits set, a process born into it, killed and gone.
Result<> try_limits(const HostFacts& facts) {
  const CgroupLayout& layout = facts.cgroups;
  // If we are killed, `bulkhead clean` finds it; as long as we live, it takes us for the private launcher of that name.
  const std::string root = "bulkhead-p" + std::to_string(::getpid());
  ::prctl(PR_SET_NAME, "bulkhead-launcher");
  const auto attempt = [&]() -> Result<> {
    BULKHEAD_ASSIGN(Cgroup cgroup, Cgroup::create(layout, root, "wall", {"memory", "cpu", "pids"}));
    BULKHEAD_TRY(cgroup.limit("memory", 64U << 20));
    BULKHEAD_TRY(cgroup.limit("pids", 8));
    BULKHEAD_TRY(cgroup.limit("cpu", 1000));
    BULKHEAD_ASSIGN(const pid_t pid, born_into(cgroup));
    auto ended = cgroup.set_frozen(true);
    if (ended) ended = cgroup.kill();
    if (!ended) ::kill(pid, SIGKILL);
    wait_for(pid);
    BULKHEAD_TRY(ended);
    return remove_when_empty(cgroup);
  };
  auto done = attempt();
  const auto removed = remove_cgroup_root(layout, root);
  return done ? removed : done;
}

Result<> try_landlock(const HostFacts& facts) {
  const landlock::RulesetAttributes attributes{.handled_files = landlock::file_rights(facts.landlock_abi),
                                               .handled_net = 0,
                                               .scoped = landlock::scopes(facts.landlock_abi)};
  const Fd ruleset(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0)));
  if (!ruleset.valid()) return errno_error("landlock_create_ruleset");
  BULKHEAD_ASSIGN(const Fd root, open_file("/", O_PATH));
  const landlock::PathRule rule{.access = landlock::kReadFile, .parent = root.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset.get(), landlock::kPathRule, &rule, 0) != 0)
    return errno_error("landlock_add_rule");
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error("no_new_privs");
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return errno_error("landlock_restrict_self");
  return {};
}

Result<> try_keyring(const HostFacts& facts) {
  if (!facts.keyrings) return {};  // none to hide
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0) return errno_error("join session keyring");
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
      return [&facts] { return try_fresh_proc(facts); };
    case Wall::limits:
      return [&facts] { return try_limits(facts); };
    case Wall::landlock:
      return [&facts] { return try_landlock(facts); };
    case Wall::keyring:
      return [&facts] { return try_keyring(facts); };
    case Wall::refusals_seen:
      return [] { return load(SECCOMP_FILTER_FLAG_NEW_LISTENER); };
    case Wall::workspaces:
      break;
  }
  return [] { return Result<>(fail("has a try of its own", "", "")); };
}

Result<> build_workspace(const std::string& at) {
  BULKHEAD_ASSIGN(const TriedRange range, make_range());
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
  BULKHEAD_ASSIGN(const Fd overlay, make_workspace_overlay(workspace, range.made.fd.get(), at + "/staging"));
  return {};
}

}  // namespace

TriedWall try_wall(Wall wall, const HostFacts& facts) {
  const MissingWalls known = missing_walls(facts);
  if (const auto answer = known.find(wall); answer != known.end()) return answer->second;
  auto tried = in_child(attempt_of(wall, facts), wall == Wall::fresh_proc ? CLONE_NEWPID : 0);
  if (!tried) tried.error().operation = "try the wall " + std::string(name(wall)) + ": " + tried.error().operation;
  return tried;
}

Result<MissingWalls> try_walls(const WallSet& walls, const HostFacts& facts) {
  MissingWalls missing;
  for (const Wall wall : walls) {
    BULKHEAD_ASSIGN(auto answer, try_wall(wall, facts));
    if (answer) missing[wall] = *std::move(answer);
  }
  return missing;
}

// Whoever tries holds a lock on the directory, which ends with it.
TriedWall try_workspaces(const std::string& directory) {
  std::string at = directory + "/" + std::string(kTryName) + "XXXXXX";
  if (::mkdtemp(at.data()) == nullptr) return errno_error("make directory below", directory).error().text();
  const Fd lock(::open(at.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!lock.valid() || ::flock(lock.get(), LOCK_EX) != 0) {
    const Error failed = errno_error("lock", at).error();
    ::rmdir(at.c_str());
    return std::unexpected(not_tried(failed.text()));
  }
  auto tried = in_child([&] { return build_workspace(at); });
  if (const auto removed = remove_tree(at); !removed && tried && !*tried) return removed.error().text();
  return tried;
}

std::vector<std::string> abandoned_tries(const std::string& directory) {
  std::vector<std::string> abandoned;
  for (const std::string& name : list_directory(directory).value_or(std::vector<std::string>{})) {
    if (!name.starts_with(kTryName)) continue;
    const Fd fd(::open((directory + "/" + name).c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat st{};
    const bool ours = fd.valid() && ::fstat(fd.get(), &st) == 0 && st.st_uid == ::geteuid();
    if (ours && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) abandoned.push_back(directory + "/" + name);
  }
  return abandoned;
}

}  // namespace bulkhead
