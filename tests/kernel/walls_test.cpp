// Sandboxes without one of their walls, made on a host that has it: what stands in does what it says.
#include <gmock/gmock.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <functional>

#include "sandbox/launch/wall_tries.h"
#include "tests/support/sandbox_fixture.h"

namespace bulkhead::test {
namespace {

using ::testing::HasSubstr;

class RootWallsTest : public RootSandboxTest {
 protected:
  // From here on plans are for a host without `wall`.
  SandboxSpec without(Wall wall, nlohmann::json more = nlohmann::json::object()) {
    host_.missing = {{wall, "left out by a test"}};
    nlohmann::json names = nlohmann::json::array();
    for (const std::string& word : walls_required_by_default())
      if (word != name(wall)) names.push_back(word);
    more["require"] = names;
    return spec_of(policy(std::move(more)));
  }
  static std::string said(const TriedWall& tried) {
    return !tried ? "not known: " + tried.error().text() : *tried ? "missing: " + **tried : "stands";
  }
  Outcome shell(const SandboxSpec& spec, const std::string& script) { return run(spec, {"/bin/sh", "-c", script}); }
};

TEST_F(RootWallsTest, EveryWallStandsOnThisHost) {
  for (const WallInfo& info : all_walls())
    if (info.need != WallNeed::runs) EXPECT_EQ(said(try_wall(info.wall, host_)), "stands") << info.name;
  EXPECT_EQ(said(try_wall(Wall::workspaces, host_)), "missing: has a try of its own");
  EXPECT_EQ(said(try_workspaces(scratch_)), "stands");
  EXPECT_TRUE(list_directory(scratch_)->empty()) << "the try left something behind";
}

// Of descriptors here; of memory or processes it is the same. Whoever goes on without what is missing must not go on
// without what could not be looked at.
TEST_F(RootWallsTest, AWallThatCouldNotBeTriedIsNotSaidToBeMissing) {
  const auto nodes = list_cgroup_roots(host_.cgroups);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const Fd lowest(::dup(STDERR_FILENO));
  int unknown = 0;
  for (rlim_t room = 0; room < 12; ++room) {
    const rlimit few{static_cast<rlim_t>(lowest.get()) + 1 + room, before.rlim_max};
    std::map<Wall, std::string> answers;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    for (const WallInfo& info : all_walls())
      if (info.need != WallNeed::runs) answers[info.wall] = said(try_wall(info.wall, host_));
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    for (const auto& [wall, answer] : answers) {
      EXPECT_FALSE(answer.starts_with("missing")) << name(wall) << ", room for " << room << ": " << answer;
      unknown += answer.starts_with("not known");
    }
  }
  EXPECT_GT(unknown, 12);  // with no room at all it is each of them
  EXPECT_EQ(list_cgroup_roots(host_.cgroups), nodes);
}

// Whoever cleans up meanwhile takes what a try has made for a living launcher's; and a process is born into it.
TEST_F(RootWallsTest, LimitsAreTriedAsALauncherOfOnesOwnDoes) {
  const pid_t trying = ::fork();
  if (trying == 0) {
    for (int i = 0; i < 50; ++i)
      if (said(try_wall(Wall::limits, host_)) != "stands") ::_exit(1);
    ::_exit(0);
  }
  std::set<std::string> names;
  int born = 0, status = 0;
  const std::string parent = "PPid:\t" + std::to_string(trying) + "\n";
  while (::waitpid(trying, &status, WNOHANG) == 0)
    for (const std::string& root : list_cgroup_roots(host_.cgroups)) {
      const std::string its = "/proc/" + root.substr(std::min(root.size(), std::string("bulkhead-p").size()));
      const auto comm = read_file(its + "/comm"), about_it = read_file(its + "/status");
      if (!comm || !about_it || !about_it->contains(parent)) continue;
      names.insert(*comm);
      born += cgroup_root_processes(host_.cgroups, root).empty() ? 0 : 1;
    }
  EXPECT_EQ(status, 0);
  EXPECT_THAT(names, ::testing::ElementsAre("bulkhead-launch\n"));
  EXPECT_GT(born, 0);
}

TEST_F(RootWallsTest, WithoutLimitsItIsKilledWholeAndNotFrozenAndNothingIsMeasured) {
  auto plan = plan_for(without(Wall::limits), {"/bin/sh", "-c", "setsid sleep 1000 & sleep 1000"}, placement());
  ASSERT_TRUE(plan) << plan.error().text();
  auto live = client_->launch({.id = "w", .plan = std::move(*plan)});
  ASSERT_TRUE(live) << live.error().text();
  EXPECT_EQ(live->cgroup, "");
  EXPECT_TRUE(cgroup_processes().empty());
  const auto entered = client_->exec("w", "w-guest", {"/bin/sleep", "1000"}, {}, "/", -1, -1, -1);
  ASSERT_TRUE(entered) << entered.error().text();
  const auto frozen = client_->freeze("w");
  ASSERT_FALSE(frozen);
  EXPECT_EQ(frozen.error().text(), "freeze w: has no cgroup: the wall limits is missing here");
  ASSERT_TRUE(client_->kill("w", EndReason::killed_by_request));
  for (int i = 0; i < 2; ++i) {
    const ExitRecord record = client_->next_exit().value();
    EXPECT_FALSE(record.metered);
    EXPECT_EQ(record.reason, record.id == "w" ? EndReason::killed_by_request : EndReason::signalled) << record.id;
  }
}

TEST_F(RootWallsTest, WithoutLimitsProcessesAndMemoryHaveLimitsAllTheSame) {
  const SandboxSpec spec = without(Wall::limits, {{"limits", {{"pids", 12}, {"memory", "32Mi"}}}});
  const Outcome forks = shell(spec, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do sleep 5 & done; echo all");
  EXPECT_THAT(forks.err, HasSubstr("fork")) << forks.out;
  EXPECT_NE(shell(spec, "exec dd if=/dev/zero of=/dev/null bs=100M count=1").record.exit_code, 0);
  EXPECT_EQ(shell(spec, "exec dd if=/dev/zero of=/dev/null bs=1M count=1").record.exit_code, 0);
}

TEST_F(RootWallsTest, WithoutAUserNamespaceTheUidIsItsOwnAndHasNoCapability) {
  const Outcome outcome =
      shell(without(Wall::user_namespace),
            "id -u; grep -c ':[[:space:]]0*$' /proc/self/status; touch /tmp/x && stat -c %u /tmp/x; "
            "cat /proc/self/uid_map; touch /usr/x /proc/sys/kernel/core_pattern");
  const std::string uid = std::to_string(range() + 1000);
  EXPECT_THAT(outcome.out, HasSubstr(uid + "\n"));
  EXPECT_THAT(outcome.out, HasSubstr("4294967295"));  // the host's own namespace
  EXPECT_THAT(outcome.err, HasSubstr("touch: cannot touch '/usr/x': Read-only file system"));
  EXPECT_THAT(outcome.err, HasSubstr("core_pattern"));
  EXPECT_THAT(shell(without(Wall::user_namespace), "grep ^Cap /proc/self/status").out,
              ::testing::Not(::testing::ContainsRegex("Cap...:[[:space:]]0*[1-9a-f]")));
}

TEST_F(RootWallsTest, WithoutAFreshProcThereIsAnEmptyOneThatStays) {
  const Outcome outcome = shell(without(Wall::fresh_proc), "ls -A /proc; mkdir /proc/x || echo refused");
  EXPECT_EQ(outcome.out, "refused\n") << outcome.err;
}

TEST_F(RootWallsTest, WithoutLandlockOrAKeyringItRuns) {
  EXPECT_EQ(shell(without(Wall::landlock), "id -u; touch /usr/x || echo refused").out, "1000\nrefused\n");
  EXPECT_EQ(shell(without(Wall::keyring), "id -u").out, "1000\n");
}

// What stands in: none of the calls gets to the session keyring that was inherited.
TEST_F(RootWallsTest, WithoutAKeyringTheCallsAreRefused) {
  const std::string numbers =
      std::to_string(SYS_add_key) + ", " + std::to_string(SYS_request_key) + ", " + std::to_string(SYS_keyctl);
  const Outcome outcome = run(without(Wall::keyring), {"python3", "-c", R"(
import ctypes, errno
kernel = ctypes.CDLL(None, use_errno=True)
for number in ()" + numbers + R"():
    print(kernel.syscall(number, 0, 0, 0, 0, 0), errno.errorcode[ctypes.get_errno()])
)"});
  EXPECT_EQ(outcome.out, "-1 EPERM\n-1 EPERM\n-1 EPERM\n") << outcome.err << outcome.record.detail;
}

// By the limit alone: this profile allows the calls. What a plan does where it cannot be set: tests/e2e/nested.sh.
TEST_F(RootWallsTest, NamespacesBelowAreForbidden) {
  const auto profile = read_json(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/permissive.json");
  const auto spec =
      SandboxSpec::from_policy(apply_defaults(policy({{"seccomp", "permissive"}})), {{"permissive", profile}});
  ASSERT_TRUE(spec) << spec.error().text();
  const Outcome outcome = shell(*spec, "cat /proc/sys/user/max_user_namespaces; unshare --user true");
  EXPECT_EQ(outcome.out, "0\n");
  EXPECT_THAT(outcome.err, HasSubstr("No space left on device"));
}

// By the filter alone, where there is no user namespace to set a limit in.
TEST_F(RootWallsTest, WithoutAUserNamespaceTheCallsThatMakeOneAreRefused) {
  const Outcome outcome = shell(without(Wall::user_namespace), "unshare --user true");
  EXPECT_THAT(outcome.err, HasSubstr("Operation not permitted"));
  EXPECT_NE(outcome.record.exit_code, 0);
}

// What a plan says must hold holds, or nothing starts: on a host that has another container's walls around it.
class RootConfinedLauncher : public RootWallsTest {
 protected:
  // What a launcher that a confined process starts says to this policy.
  std::string said_below(const std::function<bool()>& confine, const SandboxSpec& spec) {
    const pid_t confined = ::fork();
    if (confined == 0) {
      std::string said = "could not be confined";
      if (confine()) {
        auto client = LauncherClient::start_private(launcher_path(), "");
        if (!client) ::_exit(1);
        client_ = std::make_unique<LauncherClient>(std::move(*client));
        range_ = 0;
        auto plan = plan_for(spec, {"true"}, placement());
        const auto live = client_->launch({.id = "c", .plan = std::move(*plan), .extra_fds = {}});
        said = live ? "it runs" : live.error().text();
        client_.reset();
      }
      ::_exit(write_file_atomic(scratch_ + "/said", said) ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(confined, &status, 0), confined);
    EXPECT_EQ(status, 0);
    return read_file(scratch_ + "/said").value_or("");
  }
  // The filter answers `number` with EPERM and lets all else go on.
  static bool load_filter(std::uint32_t number, unsigned flags) {
    sock_filter filter[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const sock_fprog program{4, filter};
    return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) >= 0;
  }
};

TEST_F(RootConfinedLauncher, RefusalsThatMustBeSeenAreNotLeftUnseen) {
  const auto below_a_listener = [] { return load_filter(~0u, SECCOMP_FILTER_FLAG_NEW_LISTENER); };
  auto all = walls_required_by_default();
  all.emplace_back(name(Wall::refusals_seen));
  EXPECT_THAT(said_below(below_a_listener, spec_of(policy({{"require", all}}))),
              ::testing::AllOf(HasSubstr("seccomp"), HasSubstr("Device or resource busy")));
  EXPECT_EQ(said_below(below_a_listener, spec_of(policy())), "it runs");  // which does not ask for it
}

TEST_F(RootConfinedLauncher, NamespacesBelowThatMustBeForbiddenAre) {
  const auto with_closed_settings = [] {
    return ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("/proc/sys", "/proc/sys", nullptr, MS_BIND, nullptr) == 0 &&
           ::mount(nullptr, "/proc/sys", nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) == 0 &&
           load_filter(SYS_fsopen, 0);  // no proc file system of the launcher's own
  };
  EXPECT_EQ(said_below(with_closed_settings, spec_of(policy())),
            "forbid namespaces below /proc/sys/user/max_user_namespaces: Read-only file system");
}

}  // namespace
}  // namespace bulkhead::test
