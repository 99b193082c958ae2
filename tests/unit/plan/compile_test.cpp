// Policy and host in, operations out: no root, no kernel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sandbox/plan/plan.h"
#include "sandbox/sys/files.h"
#include "tests/support/host_facts.h"

namespace bulkhead {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json read_json(const std::string& name) {
  return json::parse(read_file(std::string(BULKHEAD_SOURCE_DIR) + "/" + name).value());
}

SandboxSpec spec_of(json policy) {
  return SandboxSpec::from_policy(apply_defaults(std::move(policy)),
                                  {{"default", read_json("policies/seccomp/default.json")}})
      .value();
}

HostFacts fixed_host() { return testing::whole_host(2); }

Placement fixed_place() {
  Placement place;
  place.cgroup = "run/agent/attempt-1";
  place.range_base = 0x70010000;
  return place;
}

LaunchPlan plan_of(const json& policy, const Placement& place = fixed_place()) {
  const SandboxSpec spec = spec_of(policy);
  const CommandSpec command{
      .argv = {"true"}, .environment = compose_environment(spec, {}, {}), .directory = *SandboxPath::parse("/tmp")};
  auto plan = compile_plan(spec, command, place, fixed_host());
  EXPECT_TRUE(plan) << plan.error().text();
  return *plan;
}

std::size_t index_of(const LaunchPlan& plan, Step step, const std::string& target = {}) {
  for (std::size_t i = 0; i < plan.operations.size(); ++i)
    if (plan.operations[i].step == step && (target.empty() || plan.operations[i].target == target)) return i;
  return plan.operations.size();
}

TEST(Plan, LearnsOnlyWhenTheCallerSaysSo) {
  EXPECT_TRUE(plan_of({{"version", 1}}).learning.empty());
  Placement place = fixed_place();
  place.learn = true;
  const LaunchPlan plan = plan_of({{"version", 1}}, place);
  EXPECT_FALSE(plan.learning.empty());
  EXPECT_EQ(decode(encode(plan)).value().learning.size(), plan.learning.size());
  // Without a filter there is nothing but to tell of paths.
  const LaunchPlan bare = plan_of({{"version", 1}, {"seccomp", "none"}, {"allow", {"no-seccomp"}}}, place);
  EXPECT_TRUE(bare.seccomp.empty());
  EXPECT_FALSE(bare.learning.empty());
}

TEST(Plan, ADiskIsBoundedWhereThereIsOne) {
  const json policy = {{"version", 1}, {"limits", {{"disk", "64Mi"}, {"inodes", 500}}}};
  Placement place = fixed_place();
  const LaunchPlan without = plan_of(policy, place);
  EXPECT_EQ(index_of(without, Step::limit_disk), without.operations.size());
  place.disk = "/state/runs/r/a/1/disk";
  const LaunchPlan plan = plan_of(policy, place);
  const Operation& bytes = plan.operations.at(index_of(plan, Step::limit_disk, place.disk));
  EXPECT_EQ(bytes.number, 64u << 20);
  EXPECT_EQ(bytes.origin, "/limits/disk");
  const Operation& inodes = plan.operations.at(index_of(plan, Step::limit_inodes, place.disk));
  EXPECT_EQ(inodes.number, 500u);
  EXPECT_EQ(inodes.origin, "/limits/inodes");
  EXPECT_THAT(render(plan), HasSubstr("limit_disk /state/runs/r/a/1/disk 64Mi "));
  EXPECT_THAT(render(plan), HasSubstr("limit_inodes /state/runs/r/a/1/disk 500 "));
  const LaunchPlan unbounded =
      plan_of({{"version", 1}, {"limits", {{"disk", "unlimited"}}}, {"allow", {"unbounded-disk"}}}, place);
  EXPECT_EQ(index_of(unbounded, Step::limit_disk), unbounded.operations.size());
}

TEST(Plan, StepsOfTheProcessComeInTheOnlyOrderThatHolds) {
  const LaunchPlan plan = plan_of({{"version", 1}});
  const std::vector<std::size_t> order{index_of(plan, Step::create_cgroup),  index_of(plan, Step::user_namespace),
                                       index_of(plan, Step::new_namespaces), index_of(plan, Step::root_tmpfs),
                                       index_of(plan, Step::tmpfs, "/dev"),  index_of(plan, Step::bind, "/dev/null"),
                                       index_of(plan, Step::seal, "/dev"),   index_of(plan, Step::seal, "/"),
                                       index_of(plan, Step::pivot),          index_of(plan, Step::cgroup_namespace),
                                       index_of(plan, Step::proc),           index_of(plan, Step::mask),
                                       index_of(plan, Step::tmpfs, "/tmp"),  index_of(plan, Step::working_directory),
                                       index_of(plan, Step::rlimit),         index_of(plan, Step::enter_user_namespace),
                                       index_of(plan, Step::bounding_set),   index_of(plan, Step::identity),
                                       index_of(plan, Step::capabilities),   index_of(plan, Step::no_new_privs),
                                       index_of(plan, Step::guard),          index_of(plan, Step::seccomp),
                                       index_of(plan, Step::exec_init)};
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  EXPECT_LT(order.back(), plan.operations.size());
  EXPECT_EQ(plan.operations.back().step, Step::exec_init);
}

TEST(Plan, LandlockNamesWhatCanBeWrittenAndKnowsItsKernel) {
  HostFacts host = fixed_host();
  const SandboxSpec spec = spec_of({{"version", 1}});
  const CommandSpec command{.argv = {"true"}, .environment = {}, .directory = *SandboxPath::parse("/tmp")};
  const auto plan_on = [&](int abi) {
    host.landlock_abi = abi;
    return compile_plan(spec, command, fixed_place(), host).value();
  };
  const LaunchPlan old = plan_on(2), recent = plan_on(7);
  EXPECT_EQ(old.operations[index_of(old, Step::landlock_ruleset)].number, 0x3fffu);
  EXPECT_EQ(old.operations[index_of(old, Step::landlock_ruleset)].mode, 0u);
  EXPECT_EQ(recent.operations[index_of(recent, Step::landlock_ruleset)].number, 0xffffu);
  EXPECT_EQ(recent.operations[index_of(recent, Step::landlock_ruleset)].mode, 3u);
  constexpr std::uint64_t kWrite = 2, kDeviceNodes = 1u << 6 | 1u << 11;
  EXPECT_EQ(recent.operations[index_of(recent, Step::landlock_path, "/")].number & kWrite, 0u);
  EXPECT_EQ(recent.operations[index_of(recent, Step::landlock_path, "/tmp")].number & (kWrite | kDeviceNodes), kWrite);
  EXPECT_EQ(index_of(recent, Step::landlock_path, "/usr"), recent.operations.size());
}

TEST(Plan, SocketsOfTheHostAreReachedByTheirOwnNameOnly) {
  HostFacts host = fixed_host();
  const SandboxSpec spec = spec_of({{"version", 1}, {"mounts", {{"/data", {{"source", "/srv/data"}}}}}});
  const CommandSpec command{.argv = {"true"}, .environment = {}, .directory = *SandboxPath::parse("/tmp")};
  constexpr std::uint64_t kConnect = 1u << 16;
  host.landlock_abi = 9;
  const LaunchPlan newer = compile_plan(spec, command, fixed_place(), host).value();
  EXPECT_EQ(newer.operations[index_of(newer, Step::landlock_ruleset)].number, 0x1ffffu);
  EXPECT_EQ(newer.operations[index_of(newer, Step::landlock_path, "/")].number & kConnect, 0u);
  EXPECT_EQ(newer.operations[index_of(newer, Step::landlock_path, "/tmp")].number & kConnect, kConnect);
  // Nothing but this right, which the launcher gives to what is a socket itself.
  EXPECT_EQ(newer.operations[index_of(newer, Step::landlock_path, "/data")].number, kConnect);
  EXPECT_EQ(index_of(newer, Step::landlock_path, "/usr"), newer.operations.size());
  host.landlock_abi = 8;
  const LaunchPlan older = compile_plan(spec, command, fixed_place(), host).value();
  EXPECT_EQ(index_of(older, Step::landlock_path, "/data"), older.operations.size());
}

TEST(Plan, ProcIsMaskedAndReadOnlyUnlessThePolicySaysOtherwise) {
  const auto covers = [](const LaunchPlan& plan) {
    return std::ranges::count_if(
        plan.operations, [](const Operation& op) { return op.step == Step::mask || op.step == Step::read_only; });
  };
  EXPECT_GT(covers(plan_of({{"version", 1}})), 20);
  const LaunchPlan plain = plan_of({{"version", 1}, {"allow", {"unmasked-proc"}}});
  EXPECT_EQ(covers(plain), 0);
  EXPECT_LT(index_of(plain, Step::proc), plain.operations.size());
}

TEST(Plan, EqualInputsGiveEqualPlans) {
  EXPECT_EQ(plan_of({{"version", 1}}).operations, plan_of({{"version", 1}}).operations);
}

TEST(Plan, EveryOperationKnowsWhoAskedForIt) {
  const LaunchPlan plan =
      plan_of({{"version", 1}, {"limits", {{"memory", "64Mi"}}}, {"mounts", {{"/data", {{"tmpfs", "1Mi"}}}}}});
  for (const Operation& op : plan.operations) EXPECT_FALSE(op.origin.empty()) << name(op.step) << " " << op.target;
  EXPECT_EQ(plan.operations[index_of(plan, Step::limit_cgroup, "memory")].origin, "/limits/memory");
  EXPECT_EQ(plan.operations[index_of(plan, Step::limit_cgroup, "memory")].number, 64u << 20);
  EXPECT_EQ(plan.operations[index_of(plan, Step::hostname)].origin, "/hostname");
  EXPECT_EQ(plan.operations[index_of(plan, Step::pivot)].origin, "built-in");
  EXPECT_EQ(plan.operations[index_of(plan, Step::tmpfs, "/data")].origin, "/mounts/~1data");
}

TEST(Plan, ParentsComeBeforeWhatStandsInThem) {
  Placement place = fixed_place();
  for (const char* target : {"/a/b/c", "/a", "/a/b"}) {
    MountSpec mount;
    mount.target = *SandboxPath::parse(target);
    mount.source = "/srv";
    mount.origin = "test";
    place.mounts.push_back(mount);
  }
  const LaunchPlan plan = plan_of({{"version", 1}}, place);
  EXPECT_LT(index_of(plan, Step::bind, "/a"), index_of(plan, Step::bind, "/a/b"));
  EXPECT_LT(index_of(plan, Step::bind, "/a/b"), index_of(plan, Step::bind, "/a/b/c"));
}

TEST(Plan, OursReplacesThePolicysMountOfTheSamePlace) {
  Placement place = fixed_place();
  MountSpec home;
  home.target = *SandboxPath::parse("/home/agent");
  home.source = "/state/home";
  home.access = MountAccess::read_write;
  home.origin = "supervisor";
  place.mounts.push_back(home);
  const LaunchPlan plan = plan_of({{"version", 1}}, place);
  EXPECT_EQ(index_of(plan, Step::tmpfs, "/home/agent"), plan.operations.size());
  EXPECT_EQ(plan.operations[index_of(plan, Step::bind, "/home/agent")].text, "/state/home");
}

TEST(Plan, OwnFilesGiveWayToAMountedDirectory) {
  Placement place = fixed_place();
  MountSpec etc;
  etc.target = *SandboxPath::parse("/etc");
  etc.source = "/etc";
  etc.origin = "test";
  place.mounts.push_back(etc);
  const LaunchPlan plan = plan_of({{"version", 1}}, place);
  EXPECT_EQ(index_of(plan, Step::file, "/etc/passwd"), plan.operations.size());
}

TEST(Plan, AnImageIsARootBelowALayerOfOurs) {
  const json policy = {{"version", 1}, {"root", {{"from", "image"}, {"path", "/srv/image"}, {"reference", "app"}}}};
  const CommandSpec command{.argv = {"true"}, .environment = {}, .directory = {}};
  EXPECT_EQ(compile_plan(spec_of(policy), command, fixed_place(), fixed_host()).error().text(),
            "plan /root: its image was not unpacked");
  Placement place = fixed_place();
  place.image_tree = "/state/images/x/tree";
  const LaunchPlan plan = plan_of(policy, place);
  const auto at = index_of(plan, Step::root_layer);
  ASSERT_LT(at, plan.operations.size());
  EXPECT_EQ(plan.operations[at].text, "/state/images/x/tree");
  EXPECT_EQ(plan.operations[at].target, "/srv/image:app");
  EXPECT_EQ(plan.operations[at].origin, "/root");
  EXPECT_EQ(index_of(plan, Step::root_tmpfs), plan.operations.size());
  // Accounts are the image's own; the names of the loopback are whose network it is.
  EXPECT_EQ(index_of(plan, Step::file, "/etc/passwd"), plan.operations.size());
  const auto hosts = index_of(plan, Step::file, "/etc/hosts");
  ASSERT_LT(hosts, plan.operations.size());
  EXPECT_EQ(plan.operations[hosts].flags, kReplace);
  EXPECT_LT(hosts, index_of(plan, Step::seal, "/"));
  EXPECT_THAT(render(plan), HasSubstr("root_layer /srv/image:app from /state/images/x/tree"));
  EXPECT_EQ(decode(encode(plan)).value().operations, plan.operations);
}

TEST(Plan, RefusesWhatTheHostCannotDo) {
  const SandboxSpec spec = spec_of({{"version", 1}});
  const CommandSpec command{.argv = {"true"}, .environment = {}, .directory = {}};
  HostFacts host = fixed_host();
  host.device_nodes = {"null"};
  EXPECT_THAT(compile_plan(spec, command, fixed_place(), host).error().text(), HasSubstr("this host has no /dev/"));
  EXPECT_EQ(compile_plan(spec, {}, fixed_place(), fixed_host()).error().text(), "plan command: is empty");
}

TEST(Plan, LimitsOfDisksNeedTheirController) {
  const SandboxSpec spec = spec_of({{"version", 1}, {"limits", {{"io_read", "20Mi"}, {"io_write", "10Mi"}}}});
  const CommandSpec command{.argv = {"true"}, .environment = {}, .directory = {}};
  HostFacts host = fixed_host();
  EXPECT_EQ(compile_plan(spec, command, fixed_place(), host).error().text(),
            "plan /limits/io_read: needs the io controller, which /sys/fs/cgroup/cgroup.controllers does not name");
  host.cgroups.mode = CgroupMode::hybrid;
  EXPECT_EQ(compile_plan(spec, command, fixed_place(), host).error().text(),
            "plan /limits/io_read: needs the blkio controller, which is mounted as no v1 hierarchy");
  host.cgroups.io = true;
  const LaunchPlan plan = compile_plan(spec, command, fixed_place(), host).value();
  const std::size_t at = index_of(plan, Step::limit_cgroup, "io_write");
  ASSERT_LT(at, plan.operations.size());
  EXPECT_EQ(plan.operations[at].number, 10u << 20);
  EXPECT_EQ(plan.operations[at].origin, "/limits/io_write");
  EXPECT_THAT(render(plan), HasSubstr("io_write 10Mi a second on each disk"));
}

TEST(Plan, AHostIdentityNeedsItsWord) {
  Placement place = fixed_place();
  place.use_host_identity = true;
  place.host_uid = 1000;
  const auto refused = compile_plan(spec_of({{"version", 1}}), {.argv = {"true"}, .environment = {}, .directory = {}},
                                    place, fixed_host());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(),
            "plan /allow: running as a host user needs the word 'host-identity' in the policy's allow list");
  const LaunchPlan plan = plan_of({{"version", 1}, {"allow", {"host-identity"}}}, place);
  EXPECT_EQ(index_of(plan, Step::user_namespace), plan.operations.size());
  EXPECT_EQ(index_of(plan, Step::enter_user_namespace), plan.operations.size());
  EXPECT_EQ(plan.operations[index_of(plan, Step::identity)].number, 1000u);
}

TEST(Plan, TravelsWhole) {
  LaunchPlan plan = plan_of({{"version", 1}});
  const LaunchPlan back = decode(encode(plan)).value();
  EXPECT_EQ(back.operations, plan.operations);
  EXPECT_EQ(back.command.argv, plan.command.argv);
  EXPECT_EQ(back.command.environment, plan.command.environment);
  ASSERT_EQ(back.seccomp.size(), plan.seccomp.size());
  EXPECT_EQ(std::memcmp(back.seccomp.data(), plan.seccomp.data(), plan.seccomp.size() * sizeof(sock_filter)), 0);
  EXPECT_EQ(back.guard.size(), plan.guard.size());
}

TEST(Plan, WhatIsNoPlanIsRefused) {
  EXPECT_FALSE(decode("not a plan"));
  EXPECT_FALSE(decode(""));
  std::string bytes = encode(plan_of({{"version", 1}}));
  for (std::size_t at = 0; at < bytes.size(); at += 97) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x5a);
    (void)decode(damaged);  // an error or another plan, never a crash
  }
}

TEST(Plan, ReadsAsOneOperationALineWithItsOrigin) {
  const std::string text = render(plan_of({{"version", 1}, {"limits", {{"memory", "64Mi"}}}}));
  EXPECT_THAT(text, HasSubstr("limit_cgroup memory 64Mi"));
  EXPECT_THAT(text, HasSubstr("# /limits/memory\n"));
  EXPECT_THAT(text, HasSubstr("bind /usr from /usr [read-only"));
  EXPECT_THAT(text, HasSubstr("capabilities none"));
}

TEST(Environment, PassesOnlyWhatIsNamedAndSetsTheRest) {
  const SandboxSpec spec =
      spec_of({{"version", 1}, {"environment", {{"pass", {"LANG", "LC_*"}}, {"set", {{"A", "policy"}}}}}});
  const auto environment =
      compose_environment(spec, {{"LANG", "C"}, {"LC_ALL", "C"}, {"SECRET", "x"}, {"LCX", "y"}}, {{"A", "task"}});
  EXPECT_EQ(environment.at("LANG"), "C");
  EXPECT_EQ(environment.at("LC_ALL"), "C");
  EXPECT_FALSE(environment.contains("SECRET"));
  EXPECT_FALSE(environment.contains("LCX"));
  EXPECT_EQ(environment.at("A"), "task");
}

}  // namespace
}  // namespace bulkhead
