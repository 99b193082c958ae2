// What is read as the user before a run starts, and what is found lying about after one: real files, no root.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>

#include "sandbox/sys/files.h"
#include "supervisor/cli/leftovers.h"
#include "supervisor/cli/repository.h"
#include "supervisor/cli/run_input.h"
#include "supervisor/core/api/socket_address.h"

namespace bulkhead {
namespace {

namespace fs = std::filesystem;

class Scratch : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "bulkhead-cli-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root = fs::canonical(name);
    ASSERT_EQ(::setenv("BULKHEAD_POLICIES", (std::string(BULKHEAD_SOURCE_DIR) + "/policies").c_str(), 1), 0);
  }
  void TearDown() override { fs::remove_all(root); }
  std::string make(const std::string& path) {
    fs::create_directories(root / path);
    return (root / path).string();
  }
  std::string write(const std::string& path, const std::string& content) {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << content;
    return (root / path).string();
  }
  void make_git_directory(const std::string& path) {
    make(path + "/objects");
    make(path + "/refs");
    write(path + "/HEAD", "ref: refs/heads/main\n");
  }
  fs::path root;
};

class Repository : public Scratch {};

TEST_F(Repository, IsFoundFromBelow) {
  make_git_directory("p/.git");
  EXPECT_EQ(find_repository(make("p/a/b")).value(), (root / "p").string());
  EXPECT_EQ(find_repository((root / "p").string()).value(), (root / "p").string());
  EXPECT_EQ(find_repository((root / "p/.git/objects").string()).value(), (root / "p").string());
}

TEST_F(Repository, LinkedWorktreesBareOnesAndLinks) {
  write("linked/.git", "gitdir: /elsewhere\n");
  EXPECT_EQ(find_repository(make("linked/x")).value(), (root / "linked").string());
  make_git_directory("bare.git");
  EXPECT_EQ(find_repository((root / "bare.git").string()).value(), (root / "bare.git").string());
  fs::create_directory_symlink(root / "linked", root / "link");
  EXPECT_EQ(find_repository((root / "link").string()).value(), (root / "linked").string());
}

TEST_F(Repository, NothingThatLooksLikeOne) {
  make("p/.git");  // an empty directory of that name is not one
  const auto got = find_repository(make("p/a"));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().text(),
            "find repository " + (root / "p/a").string() + ": not a git repository, nor is any directory above it");
  EXPECT_EQ(find_repository((root / "none").string()).error().code, ENOENT);
}

class RunInput : public Scratch {
 protected:
  void SetUp() override {
    Scratch::SetUp();
    make_git_directory("p/.git");
    context.directory = make("p");
    context.caller = {.uid = 1000, .gid = 1000, .groups = {}, .user = "ann", .home = "/home/ann", .environment = {}};
    context.environment = {{"FLAVOUR", "mint"}};
  }
  Outcome<RunRequest> read(const std::string& workflow) {
    return read_run_input(context, {.workflow = write("p/w.yaml", workflow)}, "r");
  }
  std::string refused(const std::string& workflow) {
    const auto got = read(workflow);
    if (got) return "accepted";
    EXPECT_EQ(got.error().code, 2) << got.error().error.text();
    std::string text =
        got.error().error.text() + (got.error().error.hint.empty() ? "" : " | " + got.error().error.hint);
    for (auto at = text.find(root.string()); at != std::string::npos; at = text.find(root.string()))
      text.replace(at, root.string().size(), "ROOT");
    return text;
  }
  Context context;
};

TEST_F(RunInput, ACommandHasOnePolicyAndTheRepositoryItStandsIn) {
  context.directory = make("p/sub");
  const auto got = read_run_input(context, {.command = {"make", "test"}}, "20261120-093027-ab12");
  ASSERT_TRUE(got) << got.error().error.text();
  EXPECT_EQ(got->run, "20261120-093027-ab12");
  EXPECT_EQ(got->repository, (root / "p").string());
  EXPECT_EQ(got->workflow_file, "");
  EXPECT_EQ(got->caller.user, "ann");
  ASSERT_TRUE(got->policies.contains("default"));
  EXPECT_EQ(got->policies.at("default").document.at("name"), "default");
  EXPECT_TRUE(got->seccomp.contains("default"));
  EXPECT_TRUE(encode(Request(*got))) << "it fits a message";
}

TEST_F(RunInput, AWorkflowIsReadWhole) {
  write("p/tight.yaml", "version: 1\nlimits: {memory: 64Mi}\n");
  write("p/data.txt", "x");
  const auto got = read(
      "version: 1\npolicy: ./tight.yaml\ntasks:\n  a: {command: 'echo ${FLAVOUR}', inputs: {/in: data.txt}}\n"
      "  b: {command: 'true', policy: default, limits: {memory: 1Gi}}\n");
  ASSERT_TRUE(got) << got.error().error.text();
  EXPECT_EQ(got->workflow_file, (root / "p/w.yaml").string());
  EXPECT_EQ(got->policies.size(), 2u);
  EXPECT_NE(got->workflow.dump().find("echo mint"), std::string::npos) << got->workflow.dump();
  EXPECT_NE(got->workflow.dump().find((root / "p/data.txt").string()), std::string::npos);
}

TEST_F(RunInput, MistakesHaveTheirPlace) {
  using testing::MatchesRegex;
  EXPECT_EQ(refused("version: 1\nconcurency: 4\ntasks: {a: {command: x}}\n"),
            "ROOT/p/w.yaml:2:1: /concurency: unknown key 'concurency' | did you mean 'concurrency'?");
  EXPECT_THAT(
      refused("version: 1\ntasks:\n  a:\n    command: x\n    policy: defautl\n"),
      MatchesRegex("ROOT/p/w.yaml:5:[0-9]+: /tasks/a/policy: find policy 'defautl': no such policy .*'default'.*"));
  EXPECT_THAT(
      refused("version: 1\ntasks:\n  a: {command: x, inputs: {/in: none.txt}}\n"),
      MatchesRegex(
          "ROOT/p/w.yaml:3:[0-9]+: /tasks/a/inputs/~1in: input 'ROOT/p/none.txt': No such file or directory .*"));
  EXPECT_THAT(refused("version: 1\ntasks:\n  a: {command: x, limits: {memory: lots}}\n"),
              MatchesRegex("ROOT/p/w.yaml:3:[0-9]+: /tasks/a/limits/memory: .*"));
  EXPECT_THAT(refused("version: 1\nrepository: ../none\ntasks: {a: {command: x}}\n"),
              MatchesRegex("ROOT/p/w.yaml:2:[0-9]+: /repository: open directory ROOT/none: No such file or directory"));
  write("p/bad.yaml", "version: 1\nlimits: {memry: 1Gi}\n");
  EXPECT_THAT(refused("version: 1\npolicy: ./bad.yaml\ntasks: {a: {command: x}}\n"),
              MatchesRegex("ROOT/p/bad.yaml:2:10: /limits/memry: .*"));
}

TEST_F(RunInput, AWordThatIsNoFileWasMeantAsACommand) {
  const auto got = read_run_input(context, {.workflow = "make"}, "r");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().error.text(), "read workflow make: No such file or directory");
  EXPECT_EQ(got.error().error.hint, "to run a command: bulkhead run -- make …");
}

class LeftoversTest : public Scratch {
 protected:
  std::vector<std::string> found(const Survivors& survivors = {}) {
    std::vector<std::string> out;
    for (const Leftover& leftover : find_leftovers(StatePaths((root / "state").string()), {}, survivors)) {
      std::string line = text(leftover);
      for (auto at = line.find(root.string()); at != std::string::npos; at = line.find(root.string()))
        line.replace(at, root.string().size(), "ROOT");
      out.push_back(line);
    }
    return out;
  }
  void bind_socket(const std::string& path) {
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = SocketAddress::of((root / path).string());
    ASSERT_TRUE(address);
    ASSERT_EQ(::bind(socket.get(), address->address(), address->size()), 0);
  }
};

TEST_F(LeftoversTest, NothingInADirectoryThatIsNotThere) { EXPECT_TRUE(found().empty()); }

TEST_F(LeftoversTest, FindsWhatNobodyAliveHolds) {
  const std::string commit(40, 'a'), half(40, 'b');
  make("state/runs/dead/agent");
  make("state/runs/live/agent");
  make("state/runs/kept/agent");
  make("state/mnt/x");
  make("state/blobs/aa");
  make("state/bulkhead-try-killed/rw/upper");
  make("bulkhead-try-before/rw");  // the state directory was not there yet
  make("state/bulkhead-try-living");
  const Fd living = open_file((root / "state/bulkhead-try-living").string(), O_RDONLY | O_DIRECTORY).value();
  ASSERT_EQ(::flock(living.get(), LOCK_EX), 0);
  const std::vector<std::string> tries{"directory of a try that was killed: ROOT/state/bulkhead-try-killed",
                                       "directory of a try that was killed: ROOT/bulkhead-try-before"};
  const auto with_tries = [&](std::vector<std::string> lines) {
    lines.insert(lines.end(), tries.begin(), tries.end());
    return lines;
  };
  write("state/bases/p-1/" + commit + "/ready", "");
  make("state/bases/p-1/" + half);
  bind_socket("state/control.sock");
  bind_socket("state/launcher.sock");
  EXPECT_EQ(found({.daemon = false, .launcher = false, .live_runs = {}, .kept_runs = {"kept", "live"}}),
            with_tries({"socket that nobody serves: ROOT/state/control.sock",
                        "socket that nobody serves: ROOT/state/launcher.sock", "mount point ROOT/state/mnt/x",
                        "half-made base ROOT/state/bases/p-1/" + half,
                        "directory of a run that is over: ROOT/state/runs/dead"}));
  EXPECT_EQ(found({.daemon = true, .launcher = true, .live_runs = {"live"}, .kept_runs = {"kept"}}),
            with_tries({"directory of a run that is over: ROOT/state/runs/dead"}));
  EXPECT_EQ(found({.daemon = false, .launcher = true, .live_runs = {"live", "dead"}, .kept_runs = {"kept"}}).front(),
            "launcher without a daemon at ROOT/state/launcher.sock");

  const StatePaths paths((root / "state").string());
  const auto all =
      find_leftovers(paths, {}, {.daemon = false, .launcher = false, .live_runs = {}, .kept_runs = {"kept"}});
  EXPECT_TRUE(remove_leftovers(paths, {}, all).empty());
  EXPECT_TRUE(
      find_leftovers(paths, {}, {.daemon = false, .launcher = false, .live_runs = {}, .kept_runs = {"kept"}}).empty());
  EXPECT_TRUE(fs::exists(root / "state/bases/p-1" / commit / "ready"));
  EXPECT_TRUE(fs::exists(root / "state/runs/kept"));
  EXPECT_TRUE(fs::exists(root / "state/blobs/aa"));
  EXPECT_TRUE(fs::exists(root / "state/bulkhead-try-living"));
}

}  // namespace
}  // namespace bulkhead
