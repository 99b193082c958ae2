// What the next supervisor does with what the last one had in flight.
#include "tests/unit/lifecycle/life.h"

namespace bulkhead::test {
namespace {

TEST(TakingOver, DecidesAgainWhatWasInFlightUnderTheSameName) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","setup":"s"}}})");
  const auto again = [&] {
    const std::string first = life.due();
    EXPECT_EQ(life.due(), "");
    life.say("", 0, SupervisorStarted{});
    EXPECT_EQ(life.due(), first);
    return first;
  };
  EXPECT_EQ(again(), "PrepareBase base\n");
  life.say("", 0, BaseReady{.commit = "base"});
  EXPECT_EQ(again(), "CreateWorkspace a at base\n");
  life.say("a", 0, WorkspaceReady{});
  EXPECT_EQ(again(), "StartAttempt a/1 with setup\n");
  life.say("a", 1, AttemptStarted{.pid = 1});
  EXPECT_EQ(again(), "");  // it lives on
  life.say("a", 1, BoundarySeen{.commits = 1, .head = "h"});
  EXPECT_EQ(again(), "TakeCheckpoint a/1 1 commit commits=1\n");
  life.say("a", 1, CheckpointTaken{.n = 1});
  life.exits("a", 1, 0);
  EXPECT_EQ(again(), "Import a/1\n");
  life.imported("a", 1);
  EXPECT_EQ(life.due(), "FinishAgent a done\nCleanup a\n");
  life.say("", 0, SupervisorStarted{});
  EXPECT_EQ(life.due(), "Cleanup a\n");
  EXPECT_EQ(life.state.violation, "");
}

TEST(TakingOver, AdoptsAnAttemptWhoseStartWasNotJournaled) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x"}}})");
  life.to_running();
  life.say("", 0, SupervisorStarted{});
  life.say("a", 1, AttemptStarted{.pid = 77, .start_time = 5});  // journaled again for the one that was found
  EXPECT_EQ(life.state.violation, "");
  EXPECT_EQ(life.agent("a").attempts.back().started->pid, 77);
  EXPECT_EQ(life.due(), "");
}

TEST(TakingOver, ACheckpointOfAnEndedAttemptIsTakenAgainUnlessATimerAskedForIt) {
  const std::string workflow = R"({"version":1,"tasks":{"a":{"command":"x","verify":"t",
      "restart":{"attempts":2,"backoff":"0s"},"checkpoint":{"every":"1s"}}}})";
  Life commit(workflow);
  commit.to_running();
  commit.say("a", 1, BoundarySeen{.commits = 1, .head = "h"});
  EXPECT_EQ(commit.due(), "TakeCheckpoint a/1 1 commit commits=1\n");
  commit.say("a", 1, AttemptEnded{.reason = EndReason::signalled, .signal = 9});
  EXPECT_EQ(commit.due(), "");
  commit.say("", 0, SupervisorStarted{});
  EXPECT_EQ(commit.due(), "TakeCheckpoint a/1 1 commit commits=1\n");

  Life timer(workflow);
  timer.to_running();
  timer.now = 1'000;
  EXPECT_EQ(timer.due(), "TakeCheckpoint a/1 1 timer commits=0\n");
  timer.say("a", 1, AttemptEnded{.reason = EndReason::signalled, .signal = 9});
  timer.say("", 0, SupervisorStarted{});
  EXPECT_EQ(timer.due(), "StartAttempt a/2\n");

  Life result(workflow);
  result.to_running();
  result.exits("a", 1, 0);
  EXPECT_EQ(result.due(), "TakeCheckpoint a/1 1 result commits=0\n");
  result.say("", 0, SupervisorStarted{});
  EXPECT_EQ(result.due(), "TakeCheckpoint a/1 1 result commits=0\n");
}

TEST(TakingOver, KillsAgainWhatHadToDie) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x"}}})");
  life.to_running();
  life.say("", 0, RunCancelRequested{.cause = "interrupted"});
  EXPECT_EQ(life.due(), "Kill a/1 killed_by_request\n");
  EXPECT_EQ(life.due(), "");
  life.say("", 0, SupervisorStarted{});
  EXPECT_EQ(life.due(), "Kill a/1 killed_by_request\n");
}

TEST(TakingOver, ACancelledVerificationOfADeadSupervisorIsNotWaitedFor) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","verify":"t"}}})");
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.imported("a", 1);
  EXPECT_EQ(life.due(), "Verify a/1 pass on result tip-a\n");
  life.say("", 0, SupervisorStarted{});
  life.say("", 0, RunCancelRequested{.cause = "its supervisor had ended"});
  EXPECT_EQ(life.due(), "FinishAgent a cancelled: its supervisor had ended\nCleanup a\n");
}

TEST(TakingOver, AFaultThatWasOnlyIntendedIsInjectedAgain) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x"}},"faults":[{"agent":"a","action":{"signal":"TERM"}}]})");
  life.to_running();
  EXPECT_EQ(life.due(), "InjectFault a/1 signal 15\n");
  life.say("", 0, SupervisorStarted{});
  EXPECT_EQ(life.due(), "InjectFault a/1 signal 15\n");
  life.say("a", 1, FaultInjected{.fault = 0, .what = "SIGTERM"});
  life.say("", 0, SupervisorStarted{});
  EXPECT_EQ(life.due(), "");
}

TEST(TakingOver, ACancelledHalfMadeWorkspaceIsCleanedUp) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x"}}})");
  life.due();
  life.say("", 0, BaseReady{.commit = "base"});
  EXPECT_EQ(life.due(), "CreateWorkspace a at base\n");
  life.say("", 0, RunCancelRequested{.cause = "interrupted"});
  EXPECT_EQ(life.due(), "");  // whoever makes it has to end first
  life.say("", 0, SupervisorStarted{});
  EXPECT_EQ(life.due(), "FinishAgent a cancelled: interrupted\nCleanup a\n");
}

}  // namespace
}  // namespace bulkhead::test
