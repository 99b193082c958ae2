#include "supervisor/config/policy_files.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace bulkhead {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kShipped = std::string(BULKHEAD_SOURCE_DIR) + "/policies";

class PolicyFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = (fs::temp_directory_path() / "bulkhead-policies-XXXXXX").string();
    ASSERT_NE(mkdtemp(directory_.data()), nullptr);
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) const {
    const fs::path path = fs::path(directory_) / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path.string();
  }
  std::vector<std::string> dirs() const { return {directory_, kShipped}; }

  static std::string refusal(const Result<SandboxSpec>& spec) {
    if (spec) return "accepted";
    return spec.error().text() + (spec.error().hint.empty() ? "" : " | " + spec.error().hint);
  }

  std::string directory_;
};

const MountSpec* mount_at(const SandboxSpec& spec, std::string_view target) {
  const auto at = std::ranges::find_if(spec.mounts(), [&](const MountSpec& m) { return m.target.str() == target; });
  return at == spec.mounts().end() ? nullptr : &*at;
}

TEST_F(PolicyFilesTest, ShippedOnesLoadAndCompile) {
  for (const char* name : {"default", "worker", "copy-worker", "owner-worker", "image-worker"}) {
    const auto spec = load_policy(name, {kShipped});
    ASSERT_TRUE(spec) << refusal(spec);
    EXPECT_EQ(spec->name(), name);
    EXPECT_TRUE(compile_seccomp(spec->seccomp())) << name;
  }
}

TEST_F(PolicyFilesTest, AreFoundByNameInOrder) {
  write("default.yaml", "version: 1\nhostname: mine\n");
  EXPECT_EQ(find_policy("default", dirs()).value(), directory_ + "/default.yaml");
  EXPECT_EQ(load_policy("default", dirs()).value().hostname(), "mine");
  EXPECT_EQ(load_policy("default", dirs()).value().name(), "default");  // after its file
  EXPECT_EQ(find_policy("worker", dirs()).value(), kShipped + "/worker.json");
}

TEST_F(PolicyFilesTest, AreFoundByPath) {
  const std::string path = write("odd/my.yml", "version: 1\nlimits: {memory: 64Mi}\n");
  EXPECT_EQ(load_policy(path, {kShipped}).value().limits().memory_bytes, 64ULL << 20);
  EXPECT_EQ(refusal(load_policy(directory_ + "/no.yaml", dirs())),
            "read policy " + directory_ + "/no.yaml: No such file or directory");
  EXPECT_EQ(refusal(load_policy(directory_ + "/odd", dirs())),
            "read policy " + directory_ + "/odd: is not a regular file");
}

TEST_F(PolicyFilesTest, ThatAreNotThereAreNamedWithTheNearOne) {
  EXPECT_EQ(refusal(load_policy("defualt", {kShipped})),
            "find policy 'defualt': no such policy | did you mean 'default'? Looked in " + kShipped);
  EXPECT_EQ(refusal(load_policy("zzz", {kShipped})), "find policy 'zzz': no such policy | looked in " + kShipped +
                                                         "; a path to a policy has a '/' or ends in .json");
  EXPECT_EQ(
      refusal(load_policy("zzz", {})),
      "find policy 'zzz': no such policy | looked in no directory; a path to a policy has a '/' or ends in .json");
}

TEST_F(PolicyFilesTest, AreRefusedWithFileLineAndColumn) {
  const std::string path = write("p.yaml", "version: 1\nlimits:\n  memroy: 1Gi\n");
  EXPECT_EQ(refusal(load_policy("p", dirs())),
            path + ":3:3: /limits/memroy: unknown key 'memroy' | did you mean 'memory'?");
  const std::string other =
      write("q.json", "{\n  \"version\": 1,\n  \"mounts\": {\"/a\": {\"source\": \"/x\", \"access\": \"rw\"}}\n}\n");
  EXPECT_EQ(refusal(load_policy("q", dirs())),
            other + ":3:37: /mounts/~1a/access: expected 'read_only' or 'read_write', got 'rw'");
  const std::string list = write("r.yaml", "- version: 1\n");
  EXPECT_EQ(refusal(load_policy("r", dirs())), list + ":1:1: expected a map, got a list");
}

TEST_F(PolicyFilesTest, TakeOverrides) {
  const SandboxSpec spec =
      load_policy("default", {kShipped}, json::parse(R"({"limits": {"memory": "1Gi", "wall": "5m"}, "name": "x"})"))
          .value();
  EXPECT_EQ(spec.limits().memory_bytes, 1ULL << 30);
  EXPECT_EQ(spec.limits().wall, std::chrono::minutes(5));
  EXPECT_EQ(spec.limits().pids, 512U);
  EXPECT_EQ(spec.name(), "x");
  // null takes a policy's own value away, back to the built-in one
  write("p.yaml", "version: 1\nlimits: {pids: 5}\n");
  EXPECT_EQ(load_policy("p", dirs(), json::parse(R"({"limits": {"pids": null}})")).value().limits().pids, 512U);
}

TEST_F(PolicyFilesTest, AnOverridingMountTakesTheWholePlace) {
  const auto spec = load_policy("default", {kShipped}, json::parse(R"({
      "mounts": {"/home/agent/": {"source": "/srv/home", "access": "read_write"}, "/tmp": null}, "allow": ["writable-host"]})"));
  ASSERT_TRUE(spec) << refusal(spec);
  ASSERT_NE(mount_at(*spec, "/home/agent"), nullptr);
  EXPECT_EQ(mount_at(*spec, "/home/agent")->type, MountType::bind);
  EXPECT_EQ(mount_at(*spec, "/tmp"), nullptr);
  EXPECT_NE(mount_at(*spec, "/dev/shm"), nullptr);
}

TEST_F(PolicyFilesTest, OverridesAreBlamedForWhatTheyBring) {
  EXPECT_EQ(refusal(load_policy("default", {kShipped}, json::parse(R"({"limits": {"memory": "lots"}})"))),
            "override of policy 'default': /limits/memory: expected a size such as 512Mi or 2Gi, got 'lots'");
  EXPECT_EQ(refusal(load_policy("default", {kShipped}, json::parse(R"({"mounts": []})"))),
            "override of policy 'default': /mounts: expected a map, got a list");
}

TEST_F(PolicyFilesTest, BringTheirSeccompProfile) {
  write("seccomp/mine.json",
        R"({"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{"names": ["exit"], "action": "SCMP_ACT_ALLOW"}]})");
  write("named.yaml", "version: 1\nseccomp: mine\n");
  EXPECT_EQ(load_policy("named", dirs()).value().seccomp().default_action, "SCMP_ACT_KILL_PROCESS");
  write("beside.yaml", "version: 1\nseccomp: ./seccomp/mine.json\n");
  EXPECT_EQ(load_policy("beside", dirs()).value().seccomp().rules.size(), 1U);
  write("shipped.yaml", "version: 1\n");
  EXPECT_EQ(load_policy("shipped", dirs()).value().seccomp().name, "default");
  write("none.yaml", "version: 1\nseccomp: none\nallow: [no-seccomp]\n");
  EXPECT_EQ(load_policy("none", {directory_}).value().seccomp().name, "none");
}

TEST_F(PolicyFilesTest, AProfileThatIsWrongOrMissingIsNamed) {
  const std::string missing = write("p.yaml", "version: 1\nseccomp: defualt\n");
  EXPECT_EQ(refusal(load_policy("p", dirs())),
            missing + ":2:1: /seccomp: no seccomp profile 'defualt' | did you mean 'default'? Looked in " + directory_ +
                "/seccomp, " + directory_ + "/seccomp, " + kShipped + "/seccomp");
  const std::string wrong =
      write("seccomp/bad.json", "{\n  \"defaultAction\": \"SCMP_ACT_ERRNO\",\n  \"syscals\": []\n}\n");
  write("q.yaml", "version: 1\nseccomp: bad\n");
  EXPECT_EQ(refusal(load_policy("q", dirs())),
            wrong + ":3:3: /syscals: unknown key 'syscals' | did you mean 'syscalls'?");
  write("r.yaml", "version: 1\nseccomp: ./gone.json\n");
  EXPECT_EQ(refusal(load_policy("r", dirs())), "read " + directory_ + "/./gone.json: No such file or directory");
  const std::string number = write("s.yaml", "version: 1\nseccomp: 3\n");
  EXPECT_EQ(refusal(load_policy("s", dirs())),
            number + ":2:1: /seccomp: expected a string, got number 3 | put it in quotes");
}

TEST_F(PolicyFilesTest, YamlAndJsonSayTheSame) {
  write(
      "a.json",
      R"({"version": 1, "name": "same", "limits": {"memory": "1Gi", "cpu": 1.5}, "environment": {"set": {"A": "1"}}})");
  write("b.yaml", "version: 1\nname: same\nlimits: {memory: 1Gi, cpu: 1.5}\nenvironment:\n  set:\n    A: \"1\"\n");
  EXPECT_EQ(load_policy("a", dirs()).value(), load_policy("b", dirs()).value());
}

TEST_F(PolicyFilesTest, DefaultDirectoriesBeginWithTheEnvironments) {
  ASSERT_EQ(setenv("BULKHEAD_POLICIES", "/one:/two:", 1), 0);
  const auto dirs = default_policy_dirs();
  unsetenv("BULKHEAD_POLICIES");
  ASSERT_GE(dirs.size(), 4U);
  EXPECT_EQ(dirs[0], "/one");
  EXPECT_EQ(dirs[1], "/two");
  EXPECT_EQ(dirs.back(), "/usr/share/bulkhead/policies");
  EXPECT_EQ(default_policy_dirs().back(), "/usr/share/bulkhead/policies");
}

}  // namespace
}  // namespace bulkhead
