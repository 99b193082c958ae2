// Policies and profiles with parts swapped at random: accepted or refused with a place, never anything else.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "sandbox/spec/spec.h"

namespace bulkhead {
namespace {

using nlohmann::json;

json read_json_file(const std::string& path) {
  std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/" + path);
  return json::parse(file);
}

// Replaces one part of the document, somewhere, by something else.
void mutate(json& document, std::mt19937& random) {
  static const std::vector<json> oddities{nullptr,
                                          true,
                                          -1,
                                          0,
                                          1e300,
                                          "",
                                          "/",
                                          "/../x",
                                          "unlimited",
                                          "99999999999999999999Ei",
                                          json::array(),
                                          json::object(),
                                          json::array({1}),
                                          {{"", 1}},
                                          "\x01",
                                          std::string(5000, '/'),
                                          ~0ULL,
                                          "CAP_"};
  json* at = &document;
  while (at->is_structured() && !at->empty() && random() % 4 != 0) {
    auto member = at->begin();
    std::advance(member, static_cast<std::ptrdiff_t>(random() % at->size()));
    at = &*member;
  }
  switch (random() % 3) {
    case 0:
      *at = oddities[random() % oddities.size()];
      break;
    case 1:
      if (at->is_object()) (*at)[random() % 2 == 0 ? "extra" : "/x"] = oddities[random() % oddities.size()];
      if (at->is_array()) at->push_back(oddities[random() % oddities.size()]);
      break;
    default:
      if (at->is_structured() && !at->empty()) {
        auto member = at->begin();
        std::advance(member, static_cast<std::ptrdiff_t>(random() % at->size()));
        at->erase(member);
      }
  }
}

void expect_place(const Error& error, const json& document) {
  EXPECT_FALSE(error.detail.empty());
  EXPECT_NO_THROW(static_cast<void>(document.contains(json::json_pointer(error.object)))) << error.object;
}

TEST(Mutation, PoliciesAreAcceptedOrRefused) {
  const std::map<std::string, json> profiles{{"default", {{"defaultAction", "SCMP_ACT_ERRNO"}}}};
  const std::vector<json> seeds{
      apply_defaults({{"version", 1}}), read_json_file("policies/copy-worker.json"), {{"version", 1}}};
  std::mt19937 random(3);
  int accepted = 0;
  for (int i = 0; i < 1'500; ++i) {
    json document = seeds[random() % seeds.size()];
    for (unsigned n = random() % 3 + 1; n > 0; --n) mutate(document, random);
    const auto spec = SandboxSpec::from_policy(document, profiles);
    if (!spec) {
      expect_place(spec.error(), document);
      continue;
    }
    ++accepted;
    // What passed says the same when its defaults are spelt out.
    EXPECT_TRUE(SandboxSpec::from_policy(apply_defaults(document), profiles));
    for (const MountSpec& mount : spec->mounts()) {
      EXPECT_FALSE(mount.target.is_root());
      EXPECT_TRUE(mount.access == MountAccess::read_only || mount.type == MountType::tmpfs ||
                  spec->allows(Loosening::writable_host));
      EXPECT_EQ(mount.type == MountType::tmpfs, mount.source.empty());
    }
    EXPECT_TRUE(spec->limits().memory_bytes != 0 || spec->allows(Loosening::unlimited_memory));
    EXPECT_TRUE(spec->limits().pids != 0 || spec->allows(Loosening::unlimited_pids));
    EXPECT_TRUE(spec->capabilities().empty() || spec->allows(Loosening::capabilities));
  }
  EXPECT_GT(accepted, 20);
  EXPECT_LT(accepted, 1'450);
}

TEST(Mutation, ProfilesAreAcceptedOrRefused) {
  const json seed = read_json_file("policies/seccomp/default.json");
  std::mt19937 random(5);
  int accepted = 0;
  for (int i = 0; i < 300; ++i) {
    json document = seed;
    for (unsigned n = random() % 3 + 1; n > 0; --n) mutate(document, random);
    const auto profile = parse_seccomp_profile("x", document, {});
    if (!profile) {
      expect_place(profile.error(), document);
      continue;
    }
    ++accepted;
    if (accepted % 20 == 0) EXPECT_TRUE(compile_seccomp(*profile)) << document.dump();
  }
  EXPECT_GT(accepted, 20);
  EXPECT_LT(accepted, 295);
}

}  // namespace
}  // namespace bulkhead
