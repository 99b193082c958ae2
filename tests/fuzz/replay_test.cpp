// The corpus of the fuzzers, in which every input that once broke something stays, through the same targets.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "tests/fuzz/targets.h"

namespace bulkhead::fuzz {
namespace {

void replay(bool (*target)(std::string_view), const std::string& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(BULKHEAD_SOURCE_DIR "/" + directory))
    if (entry.is_regular_file()) files.push_back(entry.path());
  ASSERT_FALSE(files.empty()) << directory;
  std::ranges::sort(files);
  bool any_read = false;  // else the corpus is of a form that nobody reads any more, and says nothing
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    ASSERT_TRUE(file) << path;
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    EXPECT_NO_THROW(any_read |= target(bytes)) << path;
    EXPECT_NO_THROW(target(std::string_view(bytes).substr(0, bytes.size() / 2))) << path << ", cut in half";
  }
  EXPECT_TRUE(any_read) << directory;
}

TEST(FuzzCorpus, Policy) { replay(policy, "tests/fuzz/corpus/policy"); }
TEST(FuzzCorpus, ShippedPolicies) { replay(policy, "policies"); }
TEST(FuzzCorpus, Config) { replay(config, "tests/fuzz/corpus/config"); }
TEST(FuzzCorpus, SeccompProfile) { replay(seccomp_profile, "tests/fuzz/corpus/seccomp_profile"); }
TEST(FuzzCorpus, ShippedSeccompProfiles) { replay(seccomp_profile, "policies/seccomp"); }
TEST(FuzzCorpus, SeccompRules) { replay(seccomp_rules, "tests/fuzz/corpus/seccomp_rules"); }
TEST(FuzzCorpus, Plan) { replay(plan, "tests/fuzz/corpus/plan"); }
TEST(FuzzCorpus, ImageLayers) { replay(image_layers, "tests/fuzz/corpus/image_layers"); }
TEST(FuzzCorpus, InitRecord) { replay(init_record, "tests/fuzz/corpus/init_record"); }
TEST(FuzzCorpus, Observed) { replay(observed, "tests/fuzz/corpus/observed"); }

}  // namespace
}  // namespace bulkhead::fuzz
