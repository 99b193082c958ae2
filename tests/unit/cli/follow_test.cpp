// Following a run over a socket pair whose other end plays the daemon.
#include "supervisor/cli/follow.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "supervisor/core/lifecycle/events.h"

namespace bulkhead {
namespace {

class FollowTest : public testing::Test {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ours = Fd(ends[0]);
    daemon = Fd(ends[1]);
  }
  void say(const Reply& reply) {
    const auto line = encode(reply);
    ASSERT_TRUE(line);
    ASSERT_EQ(::send(daemon.get(), line->data(), line->size(), MSG_NOSIGNAL), static_cast<ssize_t>(line->size()));
  }
  template <class T>
  void event(const T& body) {
    Event made = make_event("r", "", 0, body);
    made.seq = ++seq;
    made.time_unix_ms = 1'000'000;
    say(EventReply{to_json(made)});
  }
  std::string heard() {
    std::string line;
    char c = 0;
    while (::read(daemon.get(), &c, 1) == 1 && c != '\n') line += c;
    return line;
  }
  Outcome<int> follow_it(Show show = Show::lines) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    // SIGUSR1 stands for Ctrl-C, so that nothing else of the test is interrupted.
    auto result = follow(ControlClient::over(std::move(ours)), "r", Signals::open({SIGUSR1}).value(), show);
    out = testing::internal::GetCapturedStdout();
    err = testing::internal::GetCapturedStderr();
    return result;
  }
  void begin() {
    say(AcceptedReply{"r"});
    event(RunStarted{.name = "fix", .repository = "/p", .base = std::string(40, 'a'), .concurrency = 1});
    event(RunPlanned{.agents = 0});
  }
  Fd ours, daemon;
  std::uint64_t seq = 0;
  std::string out, err;
};

TEST_F(FollowTest, EndsWithTheReportAndTheRunsExitCode) {
  begin();
  event(RunFinished{.outcome = RunOutcome::conflict, .exit_code = 7, .cause = "one conflict"});
  say(FinishedReply{"r", "conflict", 7});
  const auto ended = follow_it();
  ASSERT_TRUE(ended) << ended.error().error.text();
  EXPECT_EQ(*ended, 7);
  EXPECT_NE(err.find("run r of fix in /p at aaaaaaaaaa"), std::string::npos) << err;
  EXPECT_NE(out.find("one conflict"), std::string::npos) << "the report is on stdout: " << out;
}

TEST_F(FollowTest, QuietShowsTheReportOnly) {
  begin();
  event(RunFinished{.outcome = RunOutcome::done, .exit_code = 0});
  say(FinishedReply{"r", "done", 0});
  ASSERT_EQ(follow_it(Show::report_only).value(), 0);
  EXPECT_EQ(err, "");
  EXPECT_FALSE(out.empty());
}

TEST_F(FollowTest, ARefusalIsTheDaemonsOwn) {
  say(ErrorReply{.text = "inspect /p: no commit yet", .hint = "make one", .exit_code = 2});
  const auto ended = follow_it();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, 2);
  EXPECT_EQ(ended.error().error.text(), "inspect /p: no commit yet");
  EXPECT_EQ(ended.error().error.hint, "make one");
  EXPECT_EQ(out, "") << "there is no run to report";
}

TEST_F(FollowTest, ADaemonThatDiesIsAFault) {
  begin();
  daemon.reset();
  const auto ended = follow_it();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, 5);
  EXPECT_EQ(ended.error().error.text(), "follow run r: bulkheadd ended before the run did");
  EXPECT_NE(ended.error().error.hint.find("sudo bulkhead clean"), std::string::npos);
}

TEST_F(FollowTest, TheFirstInterruptCancelsAndTheSecondStopsWaiting) {
  begin();
  const auto signals = Signals::open({SIGUSR1});  // blocked before the thread starts, so in it too
  std::string request;
  ::kill(::getpid(), SIGUSR1);
  std::thread person([&] {
    request = heard();
    ::kill(::getpid(), SIGUSR1);
  });
  const auto ended = follow_it();
  person.join();
  ASSERT_TRUE(ended);
  EXPECT_EQ(*ended, 1);
  EXPECT_EQ(decode_request(request).value(), Request(CancelRequest{"r"}));
  EXPECT_NE(err.find("cancelling (SIGUSR1); press Ctrl-C again to stop waiting"), std::string::npos) << err;
  EXPECT_NE(err.find("bulkheadd goes on cancelling run r"), std::string::npos) << err;
}

TEST_F(FollowTest, ACancelledRunIsWaitedFor) {
  begin();
  const auto signals = Signals::open({SIGUSR1});
  ::kill(::getpid(), SIGUSR1);
  std::thread person([&] {
    EXPECT_NE(heard().find("cancel"), std::string::npos);
    say(AcceptedReply{"r"});
    event(RunFinished{.outcome = RunOutcome::cancelled, .exit_code = 1});
    say(FinishedReply{"r", "cancelled", 1});
  });
  const auto ended = follow_it();
  person.join();
  ASSERT_TRUE(ended);
  EXPECT_EQ(*ended, 1);
  EXPECT_EQ(err.find("no longer waiting"), std::string::npos);
}

}  // namespace
}  // namespace bulkhead
