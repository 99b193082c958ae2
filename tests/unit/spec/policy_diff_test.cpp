#include "sandbox/spec/policy_diff.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "sandbox/spec/seccomp_verdicts.h"

namespace bulkhead {
namespace {

using nlohmann::json;

SandboxSpec spec(const std::string& text = "{}") {
  std::ifstream normal(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/default.json");
  std::ifstream strict(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/strict.json");
  json document = {{"version", 1}, {"name", "test"}};
  document.update(json::parse(text));
  return SandboxSpec::from_policy(document, {{"default", json::parse(normal)}, {"strict", json::parse(strict)}})
      .value();
}

std::vector<std::string> texts(const std::vector<PolicyChange>& changes) {
  std::vector<std::string> out;
  for (const PolicyChange& change : changes) out.push_back(change.key + ": " + change.text);
  return out;
}
using Lines = std::vector<std::string>;

// The default against a policy with `text`: what it allows; and that the way back takes the same away.
Lines allows(const std::string& text, const std::string& from = "{}") {
  const PolicyDiff there = diff_policies(spec(from), spec(text)), back = diff_policies(spec(text), spec(from));
  EXPECT_EQ(there.allows, back.takes);
  EXPECT_EQ(there.takes, back.allows);
  return texts(there.allows);
}

TEST(PolicyDiff, APolicyAllowsNothingBeyondItself) {
  EXPECT_EQ(diff_policies(spec(), spec()), PolicyDiff{});
  const std::string much = R"({"allow": ["writable-host", "host-network"],
    "mounts": {"/data": {"source": "/srv", "access": "read_write"}}, "seccomp_allow": ["@debug"]})";
  EXPECT_EQ(diff_policies(spec(much), spec(much)), PolicyDiff{});
}

TEST(PolicyDiff, Paths) {
  EXPECT_EQ(allows(R"({"mounts": {"/data": {"source": "/srv/data"}}})"),
            (Lines{"mounts: read /data (/srv/data of the host)"}));
  EXPECT_EQ(allows(R"({"mounts": {"/cache": {"tmpfs": "1Gi", "executable": true}}})"),
            (Lines{"mounts: write to /cache, a tmpfs of up to 1Gi",
                   "mounts: run programs from /cache, which can be written"}));
  EXPECT_EQ(allows(R"({"allow": ["writable-host"], "mounts": {"/d": {"source": "/d", "access": "read_write"}}})",
                   R"({"allow": ["writable-host"], "mounts": {"/d": {"source": "/d", "executable": false}}})"),
            (Lines{"mounts: write to /d, on the host", "mounts: run programs from /d, which can be written"}));
  // The same host path through a mount above it is nothing new; another one in its place is.
  EXPECT_EQ(allows(R"({"mounts": {"/usr/lib/x": {"source": "/usr/lib/x"}}})"), Lines{});
  EXPECT_EQ(allows(R"({"mounts": {"/usr/lib/x": {"source": "/opt/x"}}})"),
            (Lines{"mounts: read /usr/lib/x (/opt/x of the host)"}));
}

TEST(PolicyDiff, Images) {
  const auto image = [](const std::string& more) {
    return R"({"root": {"from": "image", "path": "/srv/image")" + more + "}}";
  };
  const std::string one = image(R"(, "reference": "one")"), two = image(R"(, "reference": "two")");
  EXPECT_EQ(diff_policies(spec(one), spec(one)), PolicyDiff{});
  EXPECT_EQ(allows(two, one), (Lines{"mounts: read / of the image /srv/image:two"}));
  EXPECT_EQ(allows(one), (Lines{"mounts: read / of the image /srv/image:one"}));
  EXPECT_EQ(
      allows(image(R"(, "environment": ["PATH", "GO*"], "keep": ["xattrs"], "size": "16Gi", "inodes": 2000000)"),
             image(R"(, "environment": ["GO*"])")),
      (Lines{"root.environment: have its variable PATH set by the image",
             "root.keep: see the image's extended attributes", "root.size: have a larger image: 16Gi instead of 8Gi",
             "root.inodes: have an image of more files: 2000000 instead of 1000000"}));
}

TEST(PolicyDiff, WhatAMountHidesComesToLightWithoutIt) {
  EXPECT_EQ(allows(R"({"mounts": {"/srv": {"source": "/srv"}}})",
                   R"({"mounts": {"/srv": {"source": "/srv"}, "/srv/keys": {"tmpfs": "1Mi"}}})"),
            (Lines{"mounts: read /srv/keys"}));
}

TEST(PolicyDiff, LimitsCountZeroAsUnlimited) {
  EXPECT_EQ(allows(R"({"limits": {"memory": "8Gi", "pids": 100}})"),
            (Lines{"limits.memory: use more memory: 8Gi instead of 2Gi"}));
  EXPECT_EQ(allows("{}", R"({"limits": {"wall": "30s"}})"),
            (Lines{"limits.wall: run longer: unlimited instead of 30s"}));
  EXPECT_EQ(allows("{}", R"({"limits": {"memory_high": "1Gi"}})"),
            (Lines{"limits.memory_high: use more memory before it is slowed: unlimited instead of 1Gi"}));
  EXPECT_EQ(allows(R"({"limits": {"io_write": "2Mi"}})", R"({"limits": {"io_read": "1Mi", "io_write": "1Mi"}})"),
            (Lines{"limits.io_read: read more from each disk in a second: unlimited instead of 1Mi",
                   "limits.io_write: write more to each disk in a second: 2Mi instead of 1Mi"}));
  EXPECT_EQ(allows(R"({"limits": {"cpu_weight": 200}})"),
            (Lines{"limits.cpu_weight: have a larger share of the CPU: 200 instead of 100"}));
  EXPECT_EQ(allows(R"({"limits": {"swap": "1Gi"}})"), (Lines{"limits.swap: use more swap: 1Gi instead of 0"}));
}

TEST(PolicyDiff, SystemCallsByNameAndGroup) {
  EXPECT_EQ(allows(R"({"seccomp_allow": ["unshare", "setns", "keyctl"]})"),
            (Lines{"seccomp: make system calls of @keyring: keyctl",
                   "seccomp: make system calls of @namespaces: setns, unshare"}));
  // A call that was allowed under conditions.
  EXPECT_EQ(
      allows(R"({"seccomp_allow": ["clone"]})"),
      (Lines{"seccomp: make system calls of @namespaces: clone, with any arguments instead of under conditions"}));
  const Lines strict = allows(R"({"seccomp": "strict"})");
  EXPECT_EQ(strict, Lines{}) << strict.front();
  EXPECT_NE(texts(diff_policies(spec(), spec(R"({"seccomp": "strict"})")).takes), Lines{});
}

TEST(PolicyDiff, ConditionsThatDifferAreSaidToDiffer) {
  const auto profile = [](std::uint64_t value) {
    return json{{"defaultAction", "SCMP_ACT_ERRNO"},
                {"syscalls",
                 {{{"names", {"personality"}},
                   {"action", "SCMP_ACT_ALLOW"},
                   {"args", {{{"index", 0}, {"value", value}, {"op", "SCMP_CMP_EQ"}}}}}}}};
  };
  const json document = {{"version", 1}, {"name", "test"}, {"seccomp", "mine"}};
  const auto a = SandboxSpec::from_policy(document, {{"mine", profile(0)}}).value();
  const auto b = SandboxSpec::from_policy(document, {{"mine", profile(8)}}).value();
  const Lines both{"seccomp: make system calls: personality, with other conditions on their arguments"};
  EXPECT_EQ(texts(diff_policies(a, b).allows), both);
  EXPECT_EQ(texts(diff_policies(b, a).allows), both);
}

TEST(PolicyDiff, TheRest) {
  EXPECT_EQ(allows(R"({"allow": ["capabilities"], "capabilities": ["CAP_CHOWN"]})"),
            (Lines{"allow: be loosened by the word capabilities", "capabilities: have the capability CAP_CHOWN"}));
  EXPECT_EQ(allows("{}", R"({"devices": ["null"]})").size(), 5U);
  EXPECT_EQ(allows(R"({"tcp": {"bind": [80, 81]}})", R"({"tcp": {"bind": [80]}})"),
            (Lines{"tcp.bind: listen at TCP ports: 81"}));
  EXPECT_EQ(allows("{}", R"({"tcp": {"connect": [80]}})"), (Lines{"tcp.connect: connect to TCP ports: any"}));
  EXPECT_EQ(allows(R"({"environment": {"pass": ["LC_ALL", "TOKEN"]}})", R"({"environment": {"pass": ["LC_*"]}})"),
            (Lines{"environment.pass: see the caller's variable TOKEN"}));
  const PolicyDiff named = diff_policies(spec(), spec(R"({"hostname": "other", "environment": {"set": {"A": "b"}}})"));
  EXPECT_EQ(named.allows, std::vector<PolicyChange>{});
  EXPECT_EQ(texts(named.other), (Lines{"hostname: the hostname is other instead of bulkhead",
                                       "environment.set: A is 'b' instead of not set"}));
}

TEST(PolicyDiff, AsJson) {
  const json diff = diff_policies(spec(), spec(R"({"hostname": "other"})"));
  EXPECT_EQ(diff.at("allows"), json::array());
  EXPECT_EQ(diff.at("other").at(0).at("key"), "hostname");
}

TEST(SeccompVerdicts, TheRulesOfACall) {
  SeccompProfile profile{.name = "p", .default_action = "SCMP_ACT_ERRNO", .default_errno = -1, .rules = {}};
  const SeccompCondition zero{.index = 0, .value = 0, .value_two = 0, .op = "SCMP_CMP_EQ"};
  profile.rules = {{{"read"}, "SCMP_ACT_ALLOW", -1, {}},
                   {{"socket"}, "SCMP_ACT_ALLOW", -1, {zero}},
                   {{"clone"}, "SCMP_ACT_KILL", -1, {zero}}};
  const auto verdicts = seccomp_verdicts(profile);
  EXPECT_EQ(verdicts.at("read").kind, SeccompVerdict::allowed);
  EXPECT_EQ(verdicts.at("write").kind, SeccompVerdict::refused);
  EXPECT_EQ(verdicts.at("socket").kind, SeccompVerdict::conditional);
  EXPECT_EQ(verdicts.at("clone").kind, SeccompVerdict::refused);  // one way or the other
}

}  // namespace
}  // namespace bulkhead
