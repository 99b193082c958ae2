// The policy's key `require`: which walls must stand.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "sandbox/spec/policy_diff.h"
#include "sandbox/spec/spec.h"

namespace bulkhead {
namespace {

using nlohmann::json;

Result<SandboxSpec> read(const std::string& text) {
  std::ifstream profile(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/default.json");
  json document = {{"version", 1}, {"name", "test"}};
  document.update(json::parse(text));
  return SandboxSpec::from_policy(document, {{"default", json::parse(profile)}});
}

std::string refusal(const std::string& text) {
  const auto spec = read(text);
  return spec ? "accepted" : spec.error().object + ": " + spec.error().detail + " | " + spec.error().hint;
}

TEST(Require, IsByDefaultAllThatANormalHostHas) {
  WallSet expected;
  for (const WallInfo& info : all_walls())
    if (info.need == WallNeed::always || info.need == WallNeed::default_) expected.insert(info.wall);
  EXPECT_EQ(read("{}")->required(), expected);
  EXPECT_EQ(expected.size(), 10u);
  EXPECT_FALSE(expected.contains(Wall::refusals_seen));
  EXPECT_FALSE(expected.contains(Wall::workspaces));
}

TEST(Require, WhatIsListedReplacesTheDefaultButNotWhatIsAlwaysNeeded) {
  EXPECT_EQ(read(R"({"require": ["limits", "refusals-seen"]})")->required(),
            (WallSet{Wall::namespaces, Wall::mounts, Wall::network, Wall::seccomp, Wall::limits, Wall::refusals_seen}));
  EXPECT_EQ(read(R"({"require": []})")->required(),
            (WallSet{Wall::namespaces, Wall::mounts, Wall::network, Wall::seccomp}));
}

TEST(Require, WhatALooseningTakesAwayIsNotRequired) {
  EXPECT_FALSE(read(R"({"allow": ["no-landlock"]})")->required().contains(Wall::landlock));
  EXPECT_FALSE(read(R"({"allow": ["host-network"]})")->required().contains(Wall::network));
}

TEST(Require, RefusesWhatIsNoWallWithTheNearestOne) {
  EXPECT_EQ(refusal(R"({"require": ["limit"]})"), "/require/0: unknown wall 'limit' | did you mean 'limits'?");
  EXPECT_EQ(refusal(R"({"require": ["keyring", "fresh_proc"]})"),
            "/require/1: unknown wall 'fresh_proc' | did you mean 'fresh-proc'?");
  EXPECT_EQ(refusal(R"({"require": ["limits", "limits"]})"), "/require/1: 'limits' is there twice | ");
  EXPECT_EQ(refusal(R"({"require": "limits"})"), "/require: expected a list, got 'limits' | ");
  EXPECT_EQ(refusal(R"({"require": [7]})").substr(0, 30), "/require/0: expected a string,");
  // Of `bulkhead run`, which needs it whatever a policy says.
  EXPECT_EQ(refusal(R"({"require": ["workspaces"]})").substr(0, 36), "/require/0: unknown wall 'workspaces");
}

TEST(Require, IsInTheSchemaWordForWord) {
  std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/policies/policy.schema.json");
  const json schema = json::parse(file);
  EXPECT_EQ(schema.at("/properties/require/items/enum"_json_pointer).get<std::vector<std::string>>(),
            requirable_walls());
}

TEST(Require, ADifferenceIsNamed) {
  const PolicyDiff diff = diff_policies(*read("{}"), *read(R"({"require": ["user-namespace", "no-namespaces-below",
      "fresh-proc", "landlock", "keyring"]})"));
  ASSERT_EQ(diff.allows.size(), 1u);
  EXPECT_EQ(diff.allows[0].key, "require");
  EXPECT_EQ(diff.allows[0].text, "be made without the wall limits, where a host lacks it");
  EXPECT_TRUE(diff.takes.empty());
  EXPECT_TRUE(diff_policies(*read(R"({"require": []})"), *read("{}")).allows.empty());
}

TEST(Walls, AreOneClosedListWithWordsForEach) {
  std::set<std::string_view> names;
  for (const WallInfo& info : all_walls()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(find_wall(info.name), &about(info.wall));
    EXPECT_FALSE(info.what.empty()) << info.name;
    EXPECT_FALSE(info.provide.empty()) << info.name;
    // Who may go on without is told what stands in and what is lost; who may not is promised nothing.
    const bool dispensable = info.need == WallNeed::default_ || info.need == WallNeed::on_demand;
    EXPECT_EQ(info.instead.empty(), !dispensable) << info.name;
    EXPECT_EQ(info.lost.empty(), info.need == WallNeed::always) << info.name;
  }
  EXPECT_EQ(find_wall("nonsense"), nullptr);
}

}  // namespace
}  // namespace bulkhead
