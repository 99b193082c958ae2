// What a plan becomes on hosts that lack a wall each, and what is said where the policy requires it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sandbox/plan/required_walls.h"
#include "tests/support/host_facts.h"

namespace bulkhead {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

SandboxSpec spec_of(json more = json::object()) {
  std::ifstream profile(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/default.json");
  json policy = {{"version", 1}};
  policy.update(more);
  return SandboxSpec::from_policy(apply_defaults(policy), {{"default", json::parse(profile)}}).value();
}

HostFacts whole_host() { return testing::whole_host(2); }

HostFacts host_without(Wall wall) {
  HostFacts host = whole_host();
  host.missing[wall] = "the kernel's answer";
  return host;
}

Placement place() {
  Placement place;
  place.cgroup = "run/agent";
  place.range_base = 0x70010000;
  return place;
}

Result<LaunchPlan> plan_of(const SandboxSpec& spec, const HostFacts& host, const Placement& where = place()) {
  return compile_plan(spec, {.argv = {"true"}, .environment = {}, .directory = *SandboxPath::parse("/tmp")}, where,
                      host);
}

// All that a policy requires by default, but for one.
json all_but(Wall wall) {
  json names = json::array();
  for (const std::string& word : walls_required_by_default())
    if (word != name(wall)) names.push_back(word);
  return {{"require", names}};
}

const Operation* find(const LaunchPlan& plan, Step step, const std::string& target = {}) {
  for (const Operation& op : plan.operations)
    if (op.step == step && (target.empty() || op.target == target)) return &op;
  return nullptr;
}

constexpr std::array kDispensable{
    Wall::user_namespace, Wall::no_namespaces_below, Wall::fresh_proc, Wall::limits, Wall::landlock, Wall::keyring};
constexpr std::array kAlways{Wall::namespaces, Wall::mounts, Wall::network, Wall::seccomp};

TEST(Walls, AWholeHostLeavesNothingOut) {
  EXPECT_TRUE(plan_of(spec_of(), whole_host()).value().left_out.empty());
  // Nor does a policy that requires less: only what is missing is left out, never what is not required.
  const LaunchPlan less = plan_of(spec_of({{"require", json::array()}}), whole_host()).value();
  EXPECT_TRUE(less.left_out.empty());
  for (const Step step :
       {Step::create_cgroup, Step::user_namespace, Step::session_keyring, Step::proc, Step::landlock_enforce})
    EXPECT_NE(find(less, step), nullptr) << name(step);
}

TEST(Walls, EachIsRequiredByDefaultAndRefusedInWordsThatHelp) {
  for (const Wall wall : kDispensable) {
    const auto refused = plan_of(spec_of(), host_without(wall));
    ASSERT_FALSE(refused) << name(wall);
    const std::string word(name(wall));
    EXPECT_EQ(refused.error().text(), "missing walls: " + word + ": the kernel's answer");
    EXPECT_THAT(refused.error().hint, HasSubstr(word + " needs " + std::string(about(wall).provide)));
    EXPECT_THAT(refused.error().hint, HasSubstr("go on without " + word));
    EXPECT_THAT(refused.error().hint, HasSubstr(require_line(spec_of().required(), {{wall, ""}})));
    EXPECT_TRUE(is_missing_walls(refused.error()));
    // The line that the message proposes is one that does it.
    EXPECT_TRUE(plan_of(spec_of(all_but(wall)), host_without(wall))) << word;
  }
}

TEST(Walls, SomeNobodyGoesOnWithout) {
  for (const Wall wall : kAlways) {
    const auto refused = plan_of(spec_of({{"require", json::array()}}), host_without(wall));
    ASSERT_FALSE(refused) << name(wall);
    EXPECT_THAT(refused.error().hint, HasSubstr("no policy goes on without " + std::string(name(wall))));
  }
  EXPECT_TRUE(plan_of(spec_of({{"allow", {"host-network"}}}), host_without(Wall::network)));
}

TEST(Walls, OneErrorNamesAllThatAreMissing) {
  HostFacts host = host_without(Wall::fresh_proc);
  host.missing[Wall::keyring] = "refused";
  const auto refused = plan_of(spec_of(), host);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(), "missing walls: fresh-proc: the kernel's answer; keyring: refused");
  EXPECT_THAT(refused.error().hint, HasSubstr("require: [user-namespace, no-namespaces-below, limits, landlock]"));
}

TEST(Walls, WhatIsLeftOutIsShownWithItsReason) {
  for (const Wall wall : kDispensable) {
    const LaunchPlan plan = plan_of(spec_of(all_but(wall)), host_without(wall)).value();
    ASSERT_EQ(plan.left_out.size(), 1u) << name(wall);
    EXPECT_EQ(plan.left_out[0].wall, wall);
    EXPECT_THAT(render(plan), HasSubstr("# without " + missing_text(wall, "the kernel's answer")));
    const json shown = to_json(plan).at("missing_walls").at(0);
    EXPECT_EQ(shown.at("wall"), name(wall));
    EXPECT_EQ(shown.at("answer"), "the kernel's answer");
    EXPECT_EQ(shown.at("instead"), about(wall).instead);
    for (const Operation& op : plan.left_out[0].operations) EXPECT_EQ(find(plan, op.step), nullptr) << name(op.step);
  }
}

TEST(Walls, WithoutLimitsProcessesHaveLimitsEach) {
  json policy = all_but(Wall::limits);
  policy["limits"] = {{"memory", "64Mi"}, {"pids", 20}, {"cpu_time", "1500ms"}, {"wall", "3s"}, {"cpu", 1}};
  const LaunchPlan plan = plan_of(spec_of(policy), host_without(Wall::limits)).value();
  EXPECT_EQ(find(plan, Step::create_cgroup), nullptr);
  EXPECT_EQ(find(plan, Step::limit_cgroup), nullptr);
  EXPECT_EQ(find(plan, Step::limit_cpu_time), nullptr);
  EXPECT_EQ(find(plan, Step::rlimit, "data")->number, 64u << 20);
  EXPECT_EQ(find(plan, Step::rlimit, "data")->origin, "/limits/memory");
  EXPECT_EQ(find(plan, Step::rlimit, "nproc")->number, 20u);
  EXPECT_EQ(find(plan, Step::rlimit, "cpu")->number, 2u);  // whole seconds, never fewer than asked for
  EXPECT_EQ(find(plan, Step::limit_wall)->number, 3000u);  // the launcher's own clock
  EXPECT_THAT(render(plan), HasSubstr("left out: limit_cgroup memory 64Mi  # /limits/memory"));
  // A host user's processes are not the sandbox's to count.
  Placement owner = place();
  owner.use_host_identity = true;
  owner.host_uid = 1000;
  policy["allow"] = {"host-identity"};
  EXPECT_EQ(find(plan_of(spec_of(policy), host_without(Wall::limits), owner).value(), Step::rlimit, "nproc"), nullptr);
  // Nor are an agent's those of a worker that reads its workspace.
  Placement worker = place();
  worker.shares_uid = true;
  const LaunchPlan beside = plan_of(spec_of(policy), host_without(Wall::limits), worker).value();
  EXPECT_EQ(find(beside, Step::rlimit, "nproc"), nullptr);
  EXPECT_NE(find(beside, Step::rlimit, "data"), nullptr);
  // Where there is a cgroup, it is what limits.
  EXPECT_EQ(find(plan_of(spec_of(policy), whole_host()).value(), Step::rlimit, "data"), nullptr);
}

// However it was found that there are no cgroups.
TEST(Walls, WithoutLimitsInputAndOutputAreNotLimitedEither) {
  json policy = all_but(Wall::limits);
  policy["limits"] = {{"io_read", "1Mi"}, {"io_write", "2Mi"}, {"memory_high", "1Gi"}};
  HostFacts none = whole_host(), tried = host_without(Wall::limits);
  none.cgroups = {.mode = CgroupMode::none, .v2_parent = {}, .v1 = {}, .reason = "the kernel's answer"};
  tried.cgroups.io = true;
  for (const HostFacts& host : {none, tried}) {
    const auto plan = plan_of(spec_of(policy), host);
    ASSERT_TRUE(plan) << plan.error().text();
    for (const char* lost : {"memory_high", "io_read", "io_write"}) {
      EXPECT_THAT(render(*plan), HasSubstr(std::string("left out: limit_cgroup ") + lost));
      EXPECT_THAT(about(Wall::limits).lost, HasSubstr(lost));
    }
    policy.erase("require");
    EXPECT_EQ(plan_of(spec_of(policy), host).error().text(), "missing walls: limits: the kernel's answer");
    policy.update(all_but(Wall::limits));
  }
}

TEST(Walls, WithoutAUserNamespaceTheUidIsItsOwnAllTheSame) {
  json policy = all_but(Wall::user_namespace);
  const LaunchPlan plan = plan_of(spec_of(policy), host_without(Wall::user_namespace)).value();
  EXPECT_EQ(find(plan, Step::user_namespace), nullptr);
  EXPECT_EQ(find(plan, Step::enter_user_namespace), nullptr);
  EXPECT_EQ(find(plan, Step::host_identity)->number, 0x70010000u + 1000);
  EXPECT_EQ(find(plan, Step::host_identity)->text, std::to_string(0x70010000u + 1000));
  EXPECT_EQ(find(plan, Step::identity)->number, 0x70010000u + 1000);
  EXPECT_THAT(find(plan, Step::file, "/etc/passwd")->text, HasSubstr("agent:x:1879114728:1879114728:"));
  // What only a user namespace can give is refused, not given by the host.
  for (const char* word : {"inside-root", "capabilities"}) {
    policy["allow"] = {word};
    const auto refused = plan_of(spec_of(policy), host_without(Wall::user_namespace));
    ASSERT_FALSE(refused) << word;
    EXPECT_EQ(refused.error().text(),
              "plan /allow: '" + std::string(word) + "' needs a user namespace: the kernel's answer");
  }
}

TEST(Walls, WithoutAFreshProcThereIsNone) {
  const LaunchPlan plan = plan_of(spec_of(all_but(Wall::fresh_proc)), host_without(Wall::fresh_proc)).value();
  EXPECT_EQ(find(plan, Step::proc), nullptr);
  EXPECT_EQ(find(plan, Step::mask), nullptr);
  EXPECT_NE(find(plan, Step::mount_point, "/proc"), nullptr);
  EXPECT_EQ(find(plan, Step::bind, "/proc"), nullptr);
  HostFacts container = host_without(Wall::fresh_proc);
  container.in_user_namespace = true;
  EXPECT_EQ(find(plan_of(spec_of(all_but(Wall::fresh_proc)), container).value(), Step::bind, "/proc"), nullptr);
}

TEST(Walls, RefusalsThatCannotBeToldApartAreNotSeen) {
  json profile = {{"defaultAction", "SCMP_ACT_ERRNO"}, {"syscalls", json::array()}};
  profile["syscalls"].push_back({{"names", {"prctl"}}, {"action", "SCMP_ACT_ALLOW"}});
  const auto plan_with = [&](const json& require) {
    const json policy = {{"version", 1}, {"name", "test"}, {"seccomp", "given"}, {"require", require}};
    return plan_of(SandboxSpec::from_policy(apply_defaults(policy), {{"given", profile}}).value(), whole_host());
  };
  EXPECT_TRUE(plan_with({"refusals-seen"}));
  profile["syscalls"][0]["args"] = {{{"index", 0}, {"value", 15}, {"op", "SCMP_CMP_EQ"}}};
  EXPECT_TRUE(plan_with({"landlock"}));
  const auto refused = plan_with({"refusals-seen"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(), HasSubstr("plan /seccomp: what the profile's default refuses cannot be seen"));
}

TEST(Walls, WithoutAFreshProcNothingIsObserved) {
  CommandSpec command{.argv = {"/bin/true"}, .environment = {}, .directory = {}};
  const SandboxSpec spec = spec_of(all_but(Wall::fresh_proc));
  const Placement place{.cgroup = "c", .range_base = 0x70000000, .learn = true};
  EXPECT_FALSE(compile_plan(spec, command, place, whole_host()).value().learning.empty());
  EXPECT_TRUE(compile_plan(spec, command, place, host_without(Wall::fresh_proc)).value().learning.empty());
}

// The kernel wants one in view: it is put where the fresh one takes its place.
TEST(Walls, InsideAUserNamespaceAFreshProcTakesThePlaceOfTheOldOne) {
  HostFacts container = whole_host();
  container.in_user_namespace = true;
  const LaunchPlan plan = plan_of(spec_of(), container).value();
  ASSERT_NE(find(plan, Step::bind, "/proc"), nullptr);
  EXPECT_EQ(find(plan, Step::bind, "/proc")->flags, std::uint32_t{kReadOnly | kNoExec});
  EXPECT_EQ(find(plan, Step::proc)->flags, std::uint32_t{kCovers});
  EXPECT_EQ(find(plan_of(spec_of(), whole_host()).value(), Step::bind, "/proc"), nullptr);
  EXPECT_EQ(find(plan_of(spec_of(), whole_host()).value(), Step::proc)->flags, 0u);
}

// A wall that stands is used, whether required or not: the launch fails where it turns out not to stand.
TEST(Walls, NamespacesBelowAreForbiddenUnlessThatIsKnownToBeMissing) {
  const Wall below = Wall::no_namespaces_below;
  for (const SandboxSpec& spec : {spec_of(), spec_of(all_but(below))})
    EXPECT_EQ(find(plan_of(spec, whole_host()).value(), Step::user_namespace)->flags, std::uint32_t{kNoneBelow});
  EXPECT_EQ(find(plan_of(spec_of(all_but(below)), host_without(below)).value(), Step::user_namespace)->flags, 0u);
}

// Bits mean different things to different steps.
TEST(Walls, FlagsAreShownByTheirStepsWords) {
  HostFacts container = whole_host();
  container.in_user_namespace = true;
  const LaunchPlan plan =
      plan_of(spec_of({{"allow", {"inside-root"}}, {"require", {"refusals-seen", "user-namespace"}}}), container)
          .value();
  std::map<std::string, json> rows;
  for (const json& row : to_json(plan).at("operations"))
    rows[row.at("step").get<std::string>() + row.value("target", "")] = row;
  EXPECT_EQ(rows.at("user_namespace").at("flags"), "uid 0 inside,no namespaces below");
  EXPECT_EQ(rows.at("seccomp").at("flags"), "refusals must be seen");
  EXPECT_EQ(rows.at("proc/proc").at("flags"), "covers");
  EXPECT_EQ(rows.at("bind/usr").at("flags"), "read-only,optional");
  EXPECT_EQ(rows.at("bind/dev/null").at("flags"), "noexec,device");
  const std::string text = render(plan);
  EXPECT_THAT(text, HasSubstr("user_namespace uids 1879113728-1879179263 [uid 0 inside,no namespaces below]"));
  EXPECT_THAT(text, HasSubstr("proc /proc [covers]"));
  EXPECT_THAT(text, HasSubstr("instructions) [refusals must be seen]"));
}

TEST(Walls, RefusalsAreSeenWhereItCanBeAndMustBeWhereThePolicySaysSo) {
  const auto seccomp = [](const LaunchPlan& plan) { return find(plan, Step::seccomp)->flags; };
  EXPECT_EQ(seccomp(plan_of(spec_of(), whole_host()).value()), 0u);
  const SandboxSpec strict = spec_of({{"require", {"refusals-seen"}}});
  EXPECT_EQ(seccomp(plan_of(strict, whole_host()).value()), std::uint32_t{kMustBeSeen});
  EXPECT_FALSE(plan_of(strict, host_without(Wall::refusals_seen)));
  const LaunchPlan unseen = plan_of(spec_of(), host_without(Wall::refusals_seen)).value();
  EXPECT_EQ(unseen.left_out.at(0).wall, Wall::refusals_seen);
}

TEST(Walls, AKernelWithoutKeyringsHasNoneToHide) {
  HostFacts host = whole_host();
  EXPECT_NE(find(plan_of(spec_of(), host).value(), Step::session_keyring), nullptr);
  host.keyrings = false;
  const LaunchPlan plan = plan_of(spec_of(), host).value();
  EXPECT_EQ(find(plan, Step::session_keyring), nullptr);
  EXPECT_TRUE(plan.left_out.empty());
}

TEST(Walls, LandlockIsMissingByWhatTheHostsFactsSay) {
  HostFacts host = whole_host();
  host.landlock_reason = "the kernel's answer";
  for (const auto& [abi, answer] :
       {std::pair{0, "the kernel's answer"}, {1, "ABI 1 refuses renames between directories"}}) {
    host.landlock_abi = abi;
    const auto refused = plan_of(spec_of(), host);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().text(), std::string("missing walls: landlock: ") + answer);
    const LaunchPlan plan = plan_of(spec_of(all_but(Wall::landlock)), host).value();
    EXPECT_EQ(find(plan, Step::landlock_ruleset), nullptr);
    EXPECT_EQ(find(plan, Step::landlock_enforce), nullptr);
    EXPECT_TRUE(plan_of(spec_of({{"allow", {"no-landlock"}}}), host).value().left_out.empty());
  }
}

TEST(Walls, NoCgroupsAreNoLimits) {
  HostFacts host = whole_host();
  host.cgroups = {.mode = CgroupMode::none, .v2_parent = {}, .v1 = {}, .reason = "no cgroup2 file system is mounted"};
  EXPECT_EQ(plan_of(spec_of(), host).error().text(), "missing walls: limits: no cgroup2 file system is mounted");
  EXPECT_TRUE(plan_of(spec_of(all_but(Wall::limits)), host));
}

// Workers of ours run with what the run's own policies go on without, and with nothing less.
TEST(Walls, AWorkerForgoesWhatItsRunDoes) {
  Placement worker = place();
  worker.forgo = {Wall::limits, Wall::mounts};
  EXPECT_TRUE(plan_of(spec_of(), host_without(Wall::limits), worker));
  EXPECT_FALSE(plan_of(spec_of(), host_without(Wall::landlock), worker));
  EXPECT_FALSE(plan_of(spec_of(), host_without(Wall::mounts), worker));
}

}  // namespace
}  // namespace bulkhead
