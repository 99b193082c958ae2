#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/sys/channel.h"
#include "supervisor/core/workspaces/worker_serving.h"
#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {
namespace {

using testing::HasSubstr;

// The worker's own binary as a process that stays, and our end of its channel.
class Serve : public AgentTest {
 protected:
  static constexpr int inside = 10;

  Serve() {
    auto channels = Channel::pair();
    EXPECT_TRUE(channels);
    channel_ = std::move(channels->first);
    const Fd theirs = channels->second.take();
    // Not the number it gets: dup2() onto itself would leave it closed on exec.
    const Fd lifted(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, inside + 1));
    std::vector<std::string> words = worker_serve_argv(inside);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    char* environment[] = {nullptr};
    posix_spawn_file_actions_t actions{};
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, lifted.get(), inside);
    EXPECT_EQ(::posix_spawn(&pid_, BULKHEAD_WORKER, &actions, nullptr, argv.data(), environment), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  ~Serve() override {
    if (pid_ > 0) hang_up();
  }

  // Its exit status once it finds its channel closed.
  int hang_up() {
    channel_ = Channel();
    int status = -1;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  void say(const std::string& message) const {
    const auto sent = channel_.send(message);
    EXPECT_TRUE(sent) << sent.error().text();
  }
  std::string hear() const {
    auto message = channel_.receive();
    EXPECT_TRUE(message && *message);
    return message && *message ? (*message)->text : "";
  }
  template <class Request>
  Result<typename Request::Facts> hear_of(const Request&) const {
    return parse_worker_facts<typename Request::Facts>(hear());
  }

  RegisterRequest entering(const std::string& agent) const {
    return {.git_dir = path("r/.git"), .run = "r1", .agent = agent, .base = base, .stub = "/nowhere/" + agent};
  }
  UnregisterRequest leaving(const std::string& agent) const {
    return {.git_dir = path("r/.git"),
            .run = "r1",
            .agent = agent,
            .branch = RefFate::remove,
            .pin = RefFate::remove,
            .only_if = base,
            .stub = "/nowhere/" + agent};
  }

 private:
  Channel channel_;
  pid_t pid_ = -1;
};

TEST_F(Serve, AnswersInTheOrderItIsAsked) {
  say(worker_message_of(entering("a")));
  say(worker_message_of(entering("b")));
  say(worker_message_of(leaving("a")));
  const auto a = hear_of(entering("a"));
  ASSERT_TRUE(a) << error_of(a);
  EXPECT_EQ(*a, (RegisterFacts{.branch = base, .pin = base, .created = true}));
  const auto b = hear_of(entering("b"));
  ASSERT_TRUE(b) << error_of(b);
  const auto gone = hear_of(leaving("a"));
  ASSERT_TRUE(gone) << error_of(gone);
  EXPECT_EQ(*gone,
            (UnregisterFacts{.entry_removed = true, .branch_removed = true, .pin_removed = true, .branch = base}));
  EXPECT_EQ(sh("r", "git for-each-ref --format='%(refname)' refs/heads/bulkhead"), "refs/heads/bulkhead/r1/b");
  EXPECT_EQ(hang_up(), 0);
}

TEST_F(Serve, ARefusalIsAnAnswerAndTheNextOneIsServed) {
  sh("r", "git branch bulkhead/r1/a");
  say(worker_message_of(entering("a")));
  EXPECT_THAT(error_of(hear_of(entering("a"))), HasSubstr("make branch bulkhead/r1/a: it is there already"));
  say(worker_message_of(entering("b")));
  EXPECT_TRUE(hear_of(entering("b")));
}

TEST_F(Serve, ServesNothingElse) {
  const HeadRequest head{.workspace = path("ws"), .base_tree = path("base"), .branch = branch, .base = base};
  say(worker_message_of(head));
  EXPECT_EQ(error_of(hear_of(head)), "serve head: not one of the requests that are served");
  say("register");
  EXPECT_EQ(error_of(parse_worker_facts<RegisterFacts>(hear())), "read request: it has no end");
  say(worker_message(std::vector<std::string>{"register", "--run", "../x"}));
  EXPECT_THAT(error_of(parse_worker_facts<RegisterFacts>(hear())), HasSubstr("read option --git-dir"));
}

TEST_F(Serve, SeesWhatOthersDidMeanwhile) {
  say(worker_message_of(entering("a")));
  ASSERT_TRUE(hear_of(entering("a")));
  sh("r", "git pack-refs --all; git branch bulkhead/r1/b; git pack-refs --all");
  say(worker_message_of(entering("b")));
  EXPECT_THAT(error_of(hear_of(entering("b"))), HasSubstr("it is there already"));
  say(worker_message_of(leaving("a")));
  EXPECT_TRUE(hear_of(leaving("a")));
  EXPECT_EQ(sh("r", "git for-each-ref --format='%(refname)' refs/heads/bulkhead refs/bulkhead"),
            "refs/heads/bulkhead/r1/b");
}

TEST_F(Serve, NeedsAChannel) {
  const auto finished = run_worker({"bulkhead-worker", "serve", "--channel", "77"});
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->status, 1);
  EXPECT_THAT(finished->errors, HasSubstr("use channel 77: Bad file descriptor"));
}

}  // namespace
}  // namespace bulkhead
