// The launcher as bulkheadd uses it: detached, with a named socket, workspaces and exit records that outlive a client.
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fstream>
#include <set>

#include "sandbox/launch/descriptors.h"
#include "sandbox/launch/uid_ranges.h"
#include "sandbox/launch/user_namespace.h"
#include "tests/support/launcher_fixture.h"

namespace bulkhead::test {
namespace {

using ::testing::HasSubstr;

class RootLauncher : public DetachedLauncherTest {
 protected:
  void reconnect() {
    client_.reset();
    auto client = LauncherClient::connect(state_ + "/launcher.sock");
    ASSERT_TRUE(client) << client.error().text();
    client_ = std::make_unique<LauncherClient>(std::move(*client));
  }
  void make_owned(const std::string& path, std::uint32_t owner) {
    ASSERT_TRUE(make_directory(path, 0755));
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
    ASSERT_EQ(::lchown(path.c_str(), owner, owner), 0);
  }
};

TEST_F(RootLauncher, SandboxesOutliveAClientAndTheNextFindsThem) {
  auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("run/agent/attempt-1"));
  ASSERT_TRUE(client_->launch({.id = "run/agent/attempt-1", .plan = *plan, .extra_fds = {}}));
  reconnect();
  const auto live = client_->list().value();
  ASSERT_EQ(live.size(), 1u);
  EXPECT_EQ(live[0].id, "run/agent/attempt-1");
  EXPECT_EQ(live[0].start_time, process_start_time(live[0].pid).value());
  EXPECT_EQ(live[0].cgroup, "run/agent/attempt-1");
  ASSERT_TRUE(client_->kill("run/agent/attempt-1", EndReason::killed_by_request));
  EXPECT_EQ(client_->next_exit()->reason, EndReason::killed_by_request);
}

TEST_F(RootLauncher, AnExitNobodySawIsToldUntilItIsAcknowledged) {
  auto plan = plan_for(spec_of(policy()), {"sh", "-c", "exit 5"}, placement("run/agent/attempt-1"));
  ASSERT_TRUE(client_->launch({.id = "run/agent/attempt-1", .plan = *plan, .extra_fds = {}}));
  ASSERT_TRUE(client_->next_exit());
  const std::string file = state_ + "/exits/run~agent~attempt-1.json";
  EXPECT_EQ(nlohmann::json::parse(read_file(file).value()).at("exit_code"), 5);
  reconnect();
  const auto again = client_->next_exit();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->exit_code, 5);
  EXPECT_EQ(client_->list().value().at(0).ended->exit_code, 5);
  ASSERT_TRUE(client_->acknowledge("run/agent/attempt-1"));
  EXPECT_TRUE(client_->list().value().empty());
  EXPECT_FALSE(exists(file));
}

TEST_F(RootLauncher, NetworksMadeAheadAreEachUsedOnceAndAreLikeAnyOther) {
  // More than are kept ahead: those that were ready and those made at the start look alike, and none is another's.
  const std::string look =
      "cat /proc/net/dev | wc -l; cat /proc/net/route | wc -l; python3 -c 'import socket as s; "
      "a = s.create_server((\"127.0.0.1\", 7000)); s.create_connection((\"127.0.0.1\", 7000)); print(\"up\")'";
  EXPECT_EQ(run(spec_of(policy()), {"sh", "-c", look}).out, "3\n1\nup\n");
  ::poll(nullptr, 0, 50);  // if this is too short, there are fewer of them
  std::set<std::string> seen;
  const auto network = [](const std::string& process) {
    char name[64] = {};
    return ::readlink(("/proc/" + process + "/ns/net").c_str(), name, sizeof name - 1) > 0 ? std::string(name)
                                                                                           : process;
  };
  for (int i = 0; i < 7; ++i) {
    const std::string id = "n" + std::to_string(i);
    auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement(id));
    const auto live = client_->launch({.id = id, .plan = *plan, .extra_fds = {}});
    ASSERT_TRUE(live) << live.error().text();
    seen.insert(network(std::to_string(live->pid)));
  }
  EXPECT_EQ(seen.size(), 7u);
  EXPECT_FALSE(seen.contains(network("self")));
}

// Whether a network is made ahead or by the clone, it does not hang on another step of the plan.
TEST_F(RootLauncher, WithoutLoopbackItHasANetworkOfItsOwnAllTheSame) {
  auto plan = plan_for(spec_of(policy()), {"sh", "-c", "cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '"},
                       placement("n"));
  ASSERT_EQ(std::erase_if(plan->operations, [](const Operation& op) { return op.step == Step::loopback; }), 1u);
  ::poll(nullptr, 0, 50);  // if this is too short, the clone makes it
  const Fd out = std::move(*open_file(scratch_ + "/out", O_RDWR | O_CREAT, 0600));
  const auto live = client_->launch({.id = "n", .plan = *plan, .stdout_fd = out.get(), .extra_fds = {}});
  ASSERT_TRUE(live) << live.error().text();
  EXPECT_EQ(client_->next_exit()->exit_code, 0);
  EXPECT_EQ(read_file(scratch_ + "/out").value(), "lo\n");
  char host[64] = {}, made[64] = {};
  plan->command.argv = {"sleep", "1000"};
  const auto second = client_->launch({.id = "m", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(second) << second.error().text();
  ASSERT_GT(::readlink("/proc/self/ns/net", host, sizeof host - 1), 0);
  ASSERT_GT(::readlink(("/proc/" + std::to_string(second->pid) + "/ns/net").c_str(), made, sizeof made - 1), 0);
  EXPECT_STRNE(host, made);
}

TEST_F(RootLauncher, EveryLimitIsWrittenWhereTheKernelEnforcesIt) {
  auto plan = plan_for(
      spec_of(
          policy({{"limits",
                   {{"memory", "64Mi"}, {"memory_high", "32Mi"}, {"cpu", "0.5"}, {"cpu_weight", 50}, {"pids", 33}}}})),
      {"sleep", "1000"}, placement("l"));
  ASSERT_TRUE(client_->launch({.id = "l", .plan = *plan, .extra_fds = {}}));
  const std::string node = "/" + cgroup_root_name(state_) + "/l/";
  const auto value = [&](const char* controller, const char* v1, const char* v2) {
    const bool hybrid = host_.cgroups.mode == CgroupMode::hybrid;
    std::string text =
        read_file((hybrid ? host_.cgroups.v1.at(controller) : host_.cgroups.v2_parent) + node + (hybrid ? v1 : v2))
            .value_or("unreadable\n");
    return text.substr(0, text.find('\n'));
  };
  EXPECT_EQ(value("memory", "memory.limit_in_bytes", "memory.max"), std::to_string(64 << 20));
  EXPECT_EQ(value("memory", "memory.soft_limit_in_bytes", "memory.high"), std::to_string(32 << 20));
  EXPECT_EQ(value("pids", "pids.max", "pids.max"), "33");
  EXPECT_THAT(value("cpu", "cpu.cfs_quota_us", "cpu.max"), ::testing::StartsWith("50000"));
  EXPECT_THAT(value("cpu", "cpu.shares", "cpu.weight"), ::testing::AnyOf("512", "50"));
}

TEST_F(RootLauncher, AnIdTakenIsRefused) {
  auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("a"));
  ASSERT_TRUE(client_->launch({.id = "a", .plan = *plan, .extra_fds = {}}));
  const auto again = client_->launch({.id = "a", .plan = *plan, .extra_fds = {}});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().text(), "launch a: File exists");
  const auto hostile = client_->launch({.id = "../a", .plan = *plan, .extra_fds = {}});
  ASSERT_FALSE(hostile);
  EXPECT_EQ(hostile.error().text(), "launch ../a: not a usable sandbox id");
}

TEST_F(RootLauncher, RangesAreSharedWithNobody) {
  const auto first = client_->acquire_range().value();
  const auto second = client_->acquire_range().value();
  EXPECT_NE(first, second);
  auto other = UidRanges::open(kUidRangesLock).value();
  EXPECT_EQ(other.adopt(first).error().code, EAGAIN);
  ASSERT_TRUE(client_->release_range(first));
  EXPECT_TRUE(other.adopt(first));
  EXPECT_FALSE(client_->adopt_range(first));
  EXPECT_TRUE(other.release(first));
  EXPECT_FALSE(client_->adopt_range(12345));
}

TEST_F(RootLauncher, AWorkspaceIsTheAgentsOwnAndTheLowerStaysWhole) {
  const std::uint32_t base = range();
  const std::uint32_t store = client_->acquire_range().value();
  const std::string lower = scratch_ + "/lower";
  make_owned(lower, store + 1000);
  make_owned(lower + "/dir", store + 1000);
  ASSERT_TRUE(write_file_atomic(lower + "/file", "from the base\n", 0644));
  ASSERT_EQ(::lchown((lower + "/file").c_str(), store + 1000, store + 1000), 0);
  const std::string place = scratch_ + "/attempt";
  ASSERT_TRUE(make_directory(place, 0711));
  ASSERT_EQ(::chmod(place.c_str(), 0711), 0);
  make_owned(place + "/upper", base + 1000);
  make_owned(place + "/work", base + 1000);
  auto mounted = client_->mount_workspace({.name = "run/agent/1",
                                           .lower = lower,
                                           .lower_uid = store + 1000,
                                           .range_base = base,
                                           .upper = place + "/upper",
                                           .work = place + "/work"});
  ASSERT_TRUE(mounted) << mounted.error().text();
  // Nothing of it shows in our own mount table.
  EXPECT_THAT(read_file("/proc/self/mountinfo").value(), ::testing::Not(HasSubstr(state_ + "/mnt/")));

  Placement where = placement("run/agent/attempt-1");
  MountSpec mount;
  mount.target = *SandboxPath::parse("/workspace");
  mount.source = *mounted;
  mount.access = MountAccess::read_write;
  mount.origin = "test";
  where.mounts.push_back(mount);
  const auto r = run(spec_of(policy()),
                     {"/bin/sh", "-c",
                      "stat -c '%u %a' file dir . && cat file && echo mine >> file && rm -r dir && mkdir dir && touch "
                      "dir/new && chmod 4755 file && git init -q g && echo ok"},
                     where, "/workspace");
  EXPECT_EQ(r.record.exit_code, 0) << r.err << r.record.detail;
  EXPECT_THAT(r.out, HasSubstr("1000 644\n1000 755\n1000 755\nfrom the base\n"));
  EXPECT_THAT(r.out, HasSubstr("ok\n"));
  EXPECT_EQ(read_file(lower + "/file").value(), "from the base\n");
  struct stat st{};
  ASSERT_EQ(::stat((place + "/upper/file").c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, base + 1000);
  // The same workspace serves a second sandbox of the agent; it goes when it is unmounted.
  const auto second = run(
      spec_of(policy()), {"cat", "/workspace/file"},
      [&] {
        auto w = where;
        w.cgroup = "run/agent/attempt-2";
        return w;
      }(),
      "/workspace");
  EXPECT_EQ(second.out, "from the base\nmine\n");
  EXPECT_EQ(client_
                ->mount_workspace({.name = "run/agent/1",
                                   .lower = lower,
                                   .lower_uid = store + 1000,
                                   .range_base = base,
                                   .upper = place + "/upper",
                                   .work = place + "/work"})
                .error()
                .code,
            EEXIST);
  ASSERT_TRUE(client_->unmount_workspace("run/agent/1"));
  EXPECT_FALSE(client_->unmount_workspace("run/agent/1"));
}

TEST_F(RootLauncher, FrozenNothingMovesAndKilledItIsGone) {
  auto plan = plan_for(spec_of(policy()), {"/bin/sh", "-c", "while :; do date +%N > /tmp/now; done"}, placement("f"));
  ASSERT_TRUE(client_->launch({.id = "f", .plan = *plan, .extra_fds = {}}));
  ASSERT_TRUE(client_->freeze("f"));
  auto cgroup = Cgroup::open(host_.cgroups, cgroup_root_name(state_), "f").value();
  const std::string events = host_.cgroups.v2_parent + "/" + cgroup_root_name(state_) + "/f/cgroup.events";
  for (int i = 0; i < 400 && read_file(events)->find("frozen 1") == std::string::npos; ++i) ::poll(nullptr, 0, 5);
  EXPECT_THAT(read_file(events).value(), HasSubstr("frozen 1"));
  // A loop that runs uses CPU between any two looks; one that has just been frozen may still be on its way off the CPU.
  bool stands_still = false;
  for (int i = 0; i < 20 && !stands_still; ++i) {
    const auto used = cgroup.usage().cpu_us;
    ::poll(nullptr, 0, 50);
    stands_still = cgroup.usage().cpu_us == used;
  }
  EXPECT_TRUE(stands_still);
  ASSERT_TRUE(client_->thaw("f"));
  ASSERT_TRUE(client_->freeze("f"));
  ASSERT_TRUE(client_->kill("f", EndReason::idle));
  EXPECT_EQ(client_->next_exit()->reason, EndReason::idle);
}

TEST_F(RootLauncher, AFurtherCommandIsRefusedWhileTheSandboxIsFrozen) {
  auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("f"));
  ASSERT_TRUE(client_->launch({.id = "f", .plan = *plan, .extra_fds = {}}));
  ASSERT_TRUE(client_->freeze("f"));
  const auto refused = client_->exec("f", "f.exec", {"true"}, {}, "/tmp", -1, -1, -1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(), "enter sandbox f: Device or resource busy (a checkpoint is being taken)");
  ASSERT_TRUE(client_->thaw("f"));
  ASSERT_TRUE(client_->exec("f", "f.exec", {"true"}, {{"PATH", "/usr/bin"}}, "/tmp", -1, -1, -1));
  EXPECT_EQ(client_->next_exit()->exit_code, 0);
}

// An agent that stops every process it can see catches the further command half made; the launcher must not wait for
// it.
TEST_F(RootLauncher, AHostileAgentCannotHoldTheLauncherByStoppingAFurtherCommand) {
  auto plan = plan_for(spec_of(policy()), {"python3", "-c", R"(
import os, signal
me = {1, os.getpid()}
while True:
    for name in os.listdir('/proc'):
        if name.isdigit() and int(name) not in me:
            try: os.kill(int(name), signal.SIGSTOP)
            except OSError: pass
)"},
                       placement("h"));
  ASSERT_TRUE(client_->launch({.id = "h", .plan = *plan, .extra_fds = {}}));
  for (int i = 0; i < 3; ++i)
    (void)client_->exec("h", "h.exec" + std::to_string(i), {"true"}, {{"PATH", "/usr/bin"}}, "/tmp", -1, -1, -1);
  EXPECT_FALSE(client_->list()->empty());  // it answers
}

TEST_F(RootLauncher, AFurtherCommandsEndIsTold) {
  auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("g"));
  ASSERT_TRUE(client_->launch({.id = "g", .plan = *plan, .extra_fds = {}}));
  const auto exec = [&](const std::string& id, const std::vector<std::string>& argv) {
    return client_->exec("g", id, argv, {{"PATH", "/usr/bin"}}, "/tmp", -1, -1, -1);
  };
  ASSERT_TRUE(exec("g.seven", {"sh", "-c", "exit 7"}));
  EXPECT_EQ(client_->next_exit()->exit_code, 7);
  EXPECT_FALSE(exec("g.seven", {"true"}));  // its record is not acknowledged yet
  ASSERT_TRUE(client_->acknowledge("g.seven"));
  ASSERT_TRUE(exec("g.seven", {"sh", "-c", "kill -SEGV $$"}));
  EXPECT_EQ(client_->next_exit()->detail, "killed by signal SIGSEGV");
  ASSERT_TRUE(exec("g.none", {"no-such-program"}));
  const auto none = client_->next_exit();
  EXPECT_EQ(none->reason, EndReason::setup_failed);
  EXPECT_EQ(none->detail, "exec_command no-such-program: No such file or directory");
  ASSERT_TRUE(exec("g.asked", {"sleep", "1000"}));
  auto taken = plan_for(spec_of(policy()), {"true"}, placement("taken"));
  const auto twice = client_->launch({.id = "g.asked", .plan = *taken, .extra_fds = {}});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().text(), "launch g.asked: File exists");
  ASSERT_TRUE(client_->signal("g.asked", SIGTERM));
  EXPECT_EQ(client_->next_exit()->signal, SIGTERM);
  ASSERT_TRUE(exec("g.killed", {"sleep", "1000"}));
  ASSERT_TRUE(client_->kill("g.killed", EndReason::idle));
  EXPECT_EQ(client_->next_exit()->reason, EndReason::idle);
  EXPECT_FALSE(exec("g.large", {"true", std::string(200 * 1024, 'x')}));
  EXPECT_FALSE(exec("g.many", std::vector<std::string>(10000, "x")));
  ASSERT_TRUE(exec("g.last", {"sleep", "1000"}));
  ASSERT_TRUE(client_->kill("g", EndReason::killed_by_request));
  const auto last = client_->next_exit();
  EXPECT_EQ(last->id, "g.last");
  EXPECT_EQ(last->detail, "ended with its sandbox");
  EXPECT_EQ(client_->next_exit()->id, "g");
}

// What init needs for further commands is missing in the profile: it says so, and the sandbox lives on.
TEST_F(RootLauncher, AProfileThatForbidsFurtherCommandsOnlyForbidsThose) {
  const std::map<std::string, nlohmann::json> profiles{
      {"default",
       {{"defaultAction", "SCMP_ACT_ALLOW"}, {"syscalls", {{{"names", {"recvmsg"}}, {"action", "SCMP_ACT_ERRNO"}}}}}}};
  auto spec = SandboxSpec::from_policy(policy(), profiles);
  ASSERT_TRUE(spec) << spec.error().text();
  auto plan = plan_for(*spec, {"sleep", "1000"}, placement("r"));
  ASSERT_TRUE(client_->launch({.id = "r", .plan = *plan, .extra_fds = {}}));
  ASSERT_TRUE(client_->exec("r", "r.exec", {"true"}, {{"PATH", "/usr/bin"}}, "/tmp", -1, -1, -1));
  EXPECT_EQ(client_->next_exit()->id, "r.exec");
  const auto refused = client_->exec("r", "r.again", {"true"}, {{"PATH", "/usr/bin"}}, "/tmp", -1, -1, -1);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("takes no further commands"));
  ASSERT_TRUE(client_->kill("r", EndReason::killed_by_request));
  EXPECT_EQ(client_->next_exit()->id, "r");
}

// The supervisor is told to end while somebody stands in a compartment.
TEST_F(RootLauncher, ShutsDownWithAFurtherCommandAlive) {
  auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("s"));
  ASSERT_TRUE(client_->launch({.id = "s", .plan = *plan, .extra_fds = {}}));
  ASSERT_TRUE(client_->exec("s", "s.exec", {"sleep", "1000"}, {{"PATH", "/usr/bin"}}, "/tmp", -1, -1, -1));
}

TEST_F(RootLauncher, TheNextLauncherEndsWhatADeadOneLeftAndKnowsHowItEnded) {
  auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("orphan"));
  const auto live = client_->launch({.id = "orphan", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(live);
  auto quick = plan_for(spec_of(policy()), {"sh", "-c", "exit 9"}, placement("quick"));
  ASSERT_TRUE(client_->launch({.id = "quick", .plan = *quick, .extra_fds = {}}));
  ASSERT_EQ(client_->next_exit()->exit_code, 9);
  kill_launcher();
  start();
  // Whoever adopted it may not have reaped it yet: what counts is that it runs nowhere.
  EXPECT_TRUE(cgroup_root_processes(host_.cgroups, cgroup_root_name(state_)).empty());
  std::map<std::string, ExitRecord> records;
  for (const auto& row : client_->list().value()) records[row.id] = row.ended.value();
  EXPECT_EQ(records.at("quick").exit_code, 9);
  EXPECT_EQ(records.at("orphan").reason, EndReason::lost);
}

// More than one message holds: a supervisor must always be able to come back.
TEST_F(RootLauncher, AThousandUnacknowledgedExitsAreAllListed) {
  ASSERT_TRUE(client_->shutdown());
  while (client_->poll_exits()) ::poll(nullptr, 0, 5);
  std::set<std::string> expected;
  for (int i = 0; i < 1000; ++i) {
    ExitRecord record;
    record.id = "run/agent/" + std::to_string(i);
    record.reason = EndReason::exited;
    record.exit_code = 0;
    record.detail = std::string(200, 'x');
    std::ofstream(state_ + "/exits/run~agent~" + std::to_string(i) + ".json") << nlohmann::json(record);
    expected.insert(record.id);
  }
  auto client = LauncherClient::start_detached(launcher_path(), state_, state_ + "/launcher.sock");
  ASSERT_TRUE(client) << client.error().text();
  client_ = std::make_unique<LauncherClient>(std::move(*client));
  auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("a"));
  ASSERT_TRUE(client_->launch({.id = "run/a", .plan = *plan, .extra_fds = {}}));
  expected.insert("run/a");
  const auto rows = client_->list();
  ASSERT_TRUE(rows) << rows.error().text();
  std::set<std::string> listed;
  for (const LiveSandbox& row : *rows) {
    EXPECT_EQ(row.ended.has_value(), row.id != "run/a");
    listed.insert(row.id);
  }
  EXPECT_EQ(rows->size(), 1001u);
  EXPECT_EQ(listed, expected);
}

// One that has a client of its own does not wait for another to come.
TEST_F(RootLauncher, APrivateOneTellsWhatItsForerunnerRecorded) {
  ASSERT_TRUE(client_->shutdown());
  while (client_->poll_exits()) ::poll(nullptr, 0, 5);
  ExitRecord record;
  record.id = "before";
  record.reason = EndReason::exited;
  record.exit_code = 7;
  std::ofstream(state_ + "/exits/before.json") << nlohmann::json(record);
  auto client = LauncherClient::start_private(launcher_path(), state_);
  ASSERT_TRUE(client) << client.error().text();
  client_ = std::make_unique<LauncherClient>(std::move(*client));
  std::vector<ExitRecord> told;
  for (int i = 0; i < 1000 && told.empty(); ++i) {
    told = client_->poll_exits().value();
    ::poll(nullptr, 0, 5);
  }
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told.front().id, "before");
  EXPECT_EQ(told.front().exit_code, 7);
}

TEST_F(RootLauncher, AnAnswerThatFitsIntoNoMessageIsAnError) {
  auto raw = Channel::connect(state_ + "/launcher.sock");
  ASSERT_TRUE(raw) << raw.error().text();
  // The id is in the answer, with more around it than in the request.
  const auto request = nlohmann::json::to_cbor({{"op", "launch"}, {"serial", 7}, {"id", std::string(196560, 'x')}});
  ASSERT_TRUE(raw->send({reinterpret_cast<const char*>(request.data()), request.size()}));
  const auto message = raw->receive();
  ASSERT_TRUE(message && *message);
  const auto answer = nlohmann::json::from_cbor((*message)->text);
  EXPECT_EQ(answer.at("serial"), 7);
  EXPECT_EQ(answer.at("error").at("code"), EMSGSIZE);
}

// A cgroup in which all are dead looks empty to the kernel, and still has the figures of who has not been concluded.
TEST_F(RootLauncher, TidyingUpTakesNothingFromASandboxThatHasJustEnded) {
  auto plan = plan_for(spec_of(policy()), {"true"}, placement("run/a/first"));
  ASSERT_TRUE(client_->launch({.id = "first", .plan = *plan, .extra_fds = {}}));
  plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("run/b/second"));
  const auto second = client_->launch({.id = "second", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(second) << second.error().text();
  const pid_t launcher = launcher_pid();
  ASSERT_EQ(client_->next_exit()->id, "first");
  const std::string root = host_.cgroups.v2_parent + "/" + cgroup_root_name(state_);
  // It waits for the time to tidy up. Stopped, it sees neither that time come nor the second one end, and then both.
  ASSERT_EQ(::kill(launcher, SIGSTOP), 0);
  ASSERT_EQ(::kill(second->pid, SIGKILL), 0);
  ::poll(nullptr, 0, 1200);
  EXPECT_TRUE(exists(root + "/run/a"));
  ASSERT_EQ(::kill(launcher, SIGCONT), 0);
  const auto record = client_->next_exit();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->id, "second");
  EXPECT_GT(record->peak_memory, 0u);
  for (int i = 0; i < 400 && exists(root + "/run"); ++i) ::poll(nullptr, 0, 10);
  EXPECT_FALSE(exists(root + "/run"));
}

TEST_F(RootLauncher, OfALaunchThatFailedNoCgroupIsLeft) {
  auto plan = plan_for(spec_of(policy()), {"true"}, placement("run/a/fails"));
  std::erase_if(plan->operations, [](const Operation& op) { return op.step == Step::exec_init; });
  EXPECT_FALSE(client_->launch({.id = "fails", .plan = *plan, .extra_fds = {}}));
  const auto gone = [&] {
    for (const std::string& root : list_cgroup_roots(host_.cgroups))
      if (root == cgroup_root_name(state_)) return false;
    return true;
  };
  for (int i = 0; i < 400 && !gone(); ++i) ::poll(nullptr, 0, 10);
  EXPECT_TRUE(gone());
}

// cgroup.kill is a file to be opened: a launcher that has no descriptor left for it ends its sandboxes all the same.
TEST_F(RootLauncher, ALimitHoldsWithoutADescriptorToSpare) {
  auto plan = plan_for(spec_of(policy({{"limits", {{"wall", "500ms"}}}})), {"sleep", "1000"}, placement("limited"));
  const auto live = client_->launch({.id = "limited", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(live) << live.error().text();
  auto other = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("asked"));
  ASSERT_TRUE(client_->launch({.id = "asked", .plan = *other, .extra_fds = {}}));
  const pid_t launcher = launcher_pid();
  rlimit before{};
  ASSERT_EQ(::prlimit(launcher, RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit none{3, before.rlim_max};
  ASSERT_EQ(::prlimit(launcher, RLIMIT_NOFILE, &none, nullptr), 0);
  EXPECT_TRUE(client_->kill("asked", EndReason::killed_by_request));
  std::set<EndReason> reasons;
  for (int i = 0; i < 1000 && reasons.size() < 2; ++i) {
    for (const ExitRecord& record : client_->poll_exits().value()) reasons.insert(record.reason);
    ::poll(nullptr, 0, 5);
  }
  EXPECT_THAT(reasons, ::testing::ElementsAre(EndReason::wall_time, EndReason::killed_by_request));
  EXPECT_EQ(::prlimit(launcher, RLIMIT_NOFILE, &before, nullptr), 0);
}

// Of a launcher that may have 200 descriptors open.
TEST_F(RootLauncher, WithItsDescriptorsAllTakenItRefusesMoreAndKeepsTheRest) {
  const SandboxSpec spec = spec_of(policy());
  const Fd out = std::move(*open_file("/dev/null", O_RDWR));
  pid_t launcher = 0;
  const auto launch = [&](const std::string& id) {
    auto plan = plan_for(spec, {"sleep", "1000"}, placement("many/" + id));
    return client_->launch({.id = id,
                            .plan = *plan,
                            .stdin_fd = out.get(),
                            .stdout_fd = out.get(),
                            .stderr_fd = out.get(),
                            .extra_fds = {}});
  };
  int alive = 0;
  Result<LiveSandbox> live = launch("0");
  for (; live && alive < 200; live = launch(std::to_string(alive))) {
    ++alive;
    if (launcher != 0) continue;
    launcher = launcher_pid();
    const rlimit few{200 - kReservedFds, 200};
    ASSERT_EQ(::prlimit(launcher, RLIMIT_NOFILE, &few, nullptr), 0);
  }
  ASSERT_FALSE(live);
  EXPECT_EQ(live.error().code, EMFILE);
  EXPECT_THAT(live.error().hint, HasSubstr("of 200 descriptors"));
  EXPECT_GT(alive, 10);
  const auto listed = client_->list();
  ASSERT_TRUE(listed) << listed.error().text();
  EXPECT_EQ(static_cast<int>(listed->size()), alive);
  for (int i = 0; i < 5; ++i) {  // what a start needs for a moment too
    ASSERT_TRUE(client_->kill(std::to_string(i), EndReason::killed_by_request));
    const auto ended = client_->next_exit();
    ASSERT_TRUE(ended) << ended.error().text();
    EXPECT_GT(ended->peak_memory, 0u);
  }
  EXPECT_TRUE(launch("one more"));
}

TEST_F(RootLauncher, AClientThatCannotBeLetInCostsNothingMeanwhile) {
  auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("a"));
  const auto live = client_->launch({.id = "a", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(live) << live.error().text();
  const pid_t launcher = launcher_pid();
  const rlimit few{200 - kReservedFds, 200};
  ASSERT_EQ(::prlimit(launcher, RLIMIT_NOFILE, &few, nullptr), 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  (state_ + "/launcher.sock").copy(address.sun_path, sizeof address.sun_path - 1);
  std::vector<Fd> clients;
  for (int waited = 0; waited < 40;) {  // until nobody takes them out of the queue any more
    Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      clients.push_back(std::move(fd));
      waited = 0;
    } else {
      ++waited;
      ::poll(nullptr, 0, 10);
    }
  }
  const auto ticks = [&] {  // utime and stime: fields 14 and 15 of proc_pid_stat(5)
    const std::string stat = read_file("/proc/" + std::to_string(launcher) + "/stat").value();
    std::istringstream fields(stat.substr(stat.rfind(')') + 2));
    std::string skipped;
    for (int i = 3; i < 14; ++i) fields >> skipped;
    long user = 0, system = 0;
    fields >> user >> system;
    return user + system;
  };
  const long before = ticks();
  ::poll(nullptr, 0, 600);
  EXPECT_LT(ticks() - before, 6);
  clients.clear();
  EXPECT_TRUE(client_->list());
  auto another = LauncherClient::connect(state_ + "/launcher.sock");
  ASSERT_TRUE(another) << another.error().text();
  EXPECT_TRUE(another->list());
}

// A further command is nobody's any more when init has lost its launcher: it ends at once, not only with its sandbox.
TEST_F(RootLauncher, AFurtherCommandEndsWithItsLauncher) {
  auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("host"));
  const auto live = client_->launch({.id = "host", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(live);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd from(ends[0]);
  Fd to(ends[1]);
  ASSERT_TRUE(client_->exec("host", "guest", {"sh", "-c", "echo ready; exec sleep 1000"}, {{"PATH", "/usr/bin"}},
                            "/tmp", -1, to.get(), -1));
  to.reset();
  char ready[6];
  ASSERT_EQ(::read(from.get(), ready, sizeof ready), 6);
  ASSERT_EQ(::kill(launcher_pid(), SIGKILL), 0);
  pollfd held{from.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&held, 1, 10'000), 1);  // POLLHUP: nobody writes any more
  while (client_->poll_exits()) ::poll(nullptr, 0, 5);
  client_.reset();
  auto next = LauncherClient::start_detached(launcher_path(), state_, state_ + "/launcher.sock");
  ASSERT_TRUE(next) << next.error().text();
  client_ = std::make_unique<LauncherClient>(std::move(*next));
}

// What the launcher holds open for all of them counts against the limit of none.
TEST_F(RootLauncher, ManyAtOnceEndTogether) {
  const SandboxSpec spec = spec_of(policy({{"limits", {{"open_files", 64}}}}));
  for (int i = 0; i < 60; ++i) {
    auto plan = plan_for(spec, {"sleep", "1000"}, placement("many/" + std::to_string(i)));
    auto live = client_->launch({.id = "many/" + std::to_string(i), .plan = *plan, .extra_fds = {}});
    ASSERT_TRUE(live) << live.error().text();
  }
  EXPECT_EQ(client_->list()->size(), 60u);
}

TEST_F(RootLauncher, ASecondOneCannotListenAtTheSameSocket) {
  const auto second = LauncherClient::start_detached(launcher_path(), state_, state_ + "/launcher.sock");
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().text(), HasSubstr("Address already in use"));
}

class RootPrivateLauncher : public RootSandboxTest {};

TEST_F(RootPrivateLauncher, EndsWithItsClientAndTakesEverythingWithIt) {
  auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("p"));
  const auto live = client_->launch({.id = "p", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(live);
  EXPECT_FALSE(cgroup_processes().empty());
  client_.reset();
  EXPECT_TRUE(cgroup_free());
  // Whoever inherits it reaps it in a moment.
  for (int i = 0; i < 200 && ::kill(live->pid, 0) == 0; ++i) ::poll(nullptr, 0, 10);
  EXPECT_NE(::kill(live->pid, 0), 0);
}

}  // namespace
}  // namespace bulkhead::test
