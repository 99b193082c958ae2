// Single rules, told event by event.
#include <gmock/gmock.h>

#include "tests/unit/lifecycle/life.h"

namespace bulkhead::test {
namespace {

using testing::HasSubstr;

TEST(Rules, OneAgentFromBeginningToEnd) {
  Life life(R"({"version":1,"merge":{"into":"m"},"tasks":{"a":{"command":"x","setup":"s","verify":"t"}}})");
  EXPECT_EQ(life.due(), "PrepareBase base\n");
  EXPECT_EQ(life.due(), "");
  life.say("", 0, BaseReady{.commit = "base", .path = "/base"});
  EXPECT_EQ(life.due(), "CreateWorkspace a at base\n");
  life.say("a", 0, WorkspaceReady{.range_base = 1, .branch = "bulkhead/r/a"});
  EXPECT_EQ(life.due(), "StartAttempt a/1 with setup\n");
  life.say("a", 1, SetupIntended{});
  life.say("a", 1, SetupEnded{.reason = EndReason::exited, .exit_code = 0});
  life.say("a", 1, AttemptStarted{.pid = 7});
  EXPECT_EQ(life.due(), "");
  life.say("a", 1, BoundarySeen{.commits = 1, .head = "h1"});
  EXPECT_EQ(life.due(), "TakeCheckpoint a/1 1 commit commits=1\n");
  life.say("a", 1, CheckpointTaken{.n = 1});
  EXPECT_EQ(life.due(), "");
  life.exits("a", 1, 0);
  EXPECT_EQ(life.due(), "Import a/1\n");  // no further attempt: nobody would start from a checkpoint of the result
  life.imported("a", 1);
  EXPECT_EQ(life.due(), "Verify a/1 pass on result tip-a\n");
  life.say("a", 1, VerificationEnded{.reason = EndReason::exited, .exit_code = 0});
  EXPECT_EQ(life.due(), "PrepareMerge a tip-a into m\n");
  life.say("a", 0, MergePrepared{.commit = "tip-a", .fast_forward = true});
  EXPECT_EQ(life.due(), "Merge a m (new) to tip-a\n");
  life.say("a", 0, Merged{.commit = "tip-a"});
  EXPECT_EQ(life.due(), "FinishAgent a done\nCleanup a\n");
  life.say("a", 0, Cleaned{});
  EXPECT_EQ(life.due(), "FinishRun done 0\n");
  EXPECT_EQ(life.due(), "");
  EXPECT_EQ(life.state.violation, "");
}

TEST(Rules, ANextAttemptWaitsLongerEachTimeAndStartsFromTheLastCheckpoint) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","setup":"s","restart":{"attempts":4,"backoff":"1s"}}}})");
  life.to_running();
  life.now = 10'000;
  life.exits("a", 1, 1);  // nothing committed: from scratch, with setup
  EXPECT_EQ(life.due(), "WakeAt 11000\n");
  life.now = 10'999;
  EXPECT_EQ(life.due(), "WakeAt 11000\n");
  life.now = 11'000;
  EXPECT_EQ(life.due(), "StartAttempt a/2 with setup\n");
  life.say("a", 2, AttemptStarted{.pid = 8});
  life.commit("a", 2, 1, 1);
  life.now = 20'000;
  life.say("a", 2, AttemptEnded{.reason = EndReason::out_of_memory});
  EXPECT_EQ(life.due(), "WakeAt 22000\n");
  life.now = 22'000;
  EXPECT_EQ(life.due(), "StartAttempt a/3 from checkpoint 1\n");
  life.say("a", 3, AttemptStarted{.pid = 9});
  life.now = 30'000;
  life.say("a", 3, AttemptEnded{.reason = EndReason::wall_time});
  EXPECT_EQ(life.due(), "WakeAt 34000\n");
  life.now = 5'000;  // the clock was set back: waiting out the difference would be wrong
  EXPECT_EQ(life.due(), "StartAttempt a/4 from checkpoint 1\n");
  life.say("a", 4, AttemptStarted{.pid = 10});
  life.say("a", 4, AttemptEnded{.reason = EndReason::signalled, .exit_code = -1, .signal = 11});
  EXPECT_EQ(life.due(), "Import a/4\n");  // what it did is kept
  life.imported("a", 4);
  EXPECT_EQ(life.due(),
            "FinishAgent a failed: the command was ended by SIGSEGV; all 4 attempts are used up\nCleanup a\n");
}

TEST(Rules, BackOffHasABound) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","restart":{"attempts":40,"backoff":"1m"}}}})");
  life.to_running();
  for (unsigned attempt = 1; attempt <= 12; ++attempt) {
    life.exits("a", attempt, 1);
    const std::int64_t wait = life.agent("a").not_before.time_since_epoch().count() - life.now;
    EXPECT_EQ(wait, std::min<std::int64_t>(60'000LL << (attempt - 1), 600'000)) << attempt;
    life.now += wait;
    life.due();
    life.say("a", attempt + 1, AttemptStarted{.pid = 1});
  }
}

TEST(Rules, NeedsAreWaitedForAndTheirFailureIsPassedOn) {
  Life life(R"({"version":1,"defaults":{"command":"x"},
                "tasks":{"a":{},"b":{},"c":{"needs":["a"]},"d":{"needs":["b","c"]},"e":{"needs":["d"]}}})");
  life.due();
  life.say("", 0, BaseReady{.commit = "base"});
  EXPECT_EQ(life.due(), "CreateWorkspace a at base\nCreateWorkspace b at base\n");
  for (const char* agent : {"a", "b"}) life.say(agent, 0, WorkspaceReady{});
  life.due();
  for (const char* agent : {"a", "b"}) life.say(agent, 1, AttemptStarted{});
  life.exits("a", 1, 0);
  EXPECT_EQ(life.due(), "Import a/1\n");
  life.imported("a", 1);
  EXPECT_EQ(life.due(), "FinishAgent a done\nCleanup a\nCreateWorkspace c at base\n");
  life.exits("b", 1, 3);
  EXPECT_EQ(life.due(), "Import b/1\n");
  life.imported("b", 1, 0);
  EXPECT_EQ(life.due(),
            "FinishAgent b failed: the command exited with status 3\n"
            "Cleanup b\n"
            "FinishAgent d failed: needs b, which failed\n"
            "FinishAgent e failed: needs d, which failed\n");
}

TEST(Rules, AfterAMergeDependentsStartFromWhatWasMerged) {
  Life life(R"({"version":1,"merge":{"into":"m"},"defaults":{"command":"x"},
                "tasks":{"a":{},"b":{"needs":["a"],"verify":{"pass_to_pass":"t"}},"c":{"needs":["a"]},"d":{}}})",
            3);
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.imported("a", 1);
  life.due();
  life.say("a", 0, MergePrepared{.commit = "merged-a", .expected_old = "old"});
  life.due();
  life.say("a", 0, Merged{.commit = "merged-a"});
  EXPECT_EQ(life.due(), "FinishAgent a done\nPrepareBase merged-a\nCleanup a\n");  // one tree for both
  life.say("", 0, BaseReady{.commit = "merged-a"});
  EXPECT_EQ(life.due(), "CreateWorkspace b at merged-a\nCreateWorkspace c at merged-a\n");
  life.say("b", 0, WorkspaceReady{});
  life.due();
  life.say("b", 1, AttemptStarted{});
  life.exits("b", 1, 0);
  life.due();
  life.imported("b", 1);
  EXPECT_EQ(life.due(), "Verify b/1 pass_to_pass on base merged-a\n");
  EXPECT_EQ(life.agent("d").base, "base");
}

TEST(Rules, ABaseThatCannotBePreparedFailsThoseThatNeedIt) {
  Life life(R"({"version":1,"merge":{"into":"m"},"defaults":{"command":"x"},"tasks":{"a":{},"b":{"needs":["a"]}}})");
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.imported("a", 1);
  life.due();
  life.say("a", 0, MergePrepared{.commit = "merged-a", .fast_forward = true});
  life.due();
  life.say("a", 0, Merged{.commit = "merged-a"});
  life.due();
  life.say("", 0, BaseFailed{.commit = "merged-a", .reason = "no space left on device"});
  EXPECT_EQ(life.due(), "FinishAgent b failed: its base could not be prepared: no space left on device\n");
  life.say("a", 0, Cleaned{});
  EXPECT_EQ(life.due(), "FinishRun fault 5: the base could not be prepared: no space left on device\n");
}

TEST(Rules, NoMoreAgentsAtOnceThanAllowed) {
  Life life(R"({"version":1,"defaults":{"command":"x","verify":"t"},"tasks":{"a":{},"b":{},"c":{}}})", 2);
  life.due();
  life.say("", 0, BaseReady{.commit = "base"});
  EXPECT_EQ(life.due(), "CreateWorkspace a at base\nCreateWorkspace b at base\n");
  life.say("a", 0, WorkspaceFailed{.reason = "no space left on device"});
  EXPECT_EQ(life.due(),
            "FinishAgent a failed: its workspace could not be created: no space left on device\n"
            "CreateWorkspace c at base\n"
            "Cleanup a\n");
  life.say("b", 0, WorkspaceReady{});
  life.due();
  life.say("b", 1, AttemptStarted{});
  life.exits("b", 1, 0);
  EXPECT_EQ(slots_taken(life.state), 2U);
  life.due();
  life.imported("b", 1);  // what is left of b costs no slot
  EXPECT_EQ(slots_taken(life.state), 1U);
}

TEST(Rules, CancellingEndsAndKeepsWhatWasDone) {
  Life life(R"({"version":1,"merge":{"into":"m"},"defaults":{"command":"x","restart":{"attempts":3}},
                "tasks":{"a":{},"b":{"needs":["a"]}}})");
  life.to_running();
  life.commit("a", 1, 1, 1);
  life.say("", 0, RunCancelRequested{.cause = "interrupted from the keyboard"});
  EXPECT_EQ(life.due(), "Kill a/1 killed_by_request\nFinishAgent b cancelled: interrupted from the keyboard\n");
  EXPECT_EQ(life.due(), "");
  life.say("a", 1, AttemptEnded{.reason = EndReason::killed_by_request});
  EXPECT_EQ(life.due(), "Import a/1\n");
  life.say("a", 1, ImportFailed{.reason = "bad object"});
  EXPECT_EQ(life.due(), "Import a/1 from checkpoint 1\n");
  life.imported("a", 1);
  EXPECT_EQ(life.due(), "FinishAgent a cancelled: interrupted from the keyboard\nCleanup a\n");
  life.say("a", 0, Cleaned{});
  EXPECT_EQ(life.due(), "FinishRun cancelled 1: interrupted from the keyboard\n");
}

TEST(Rules, OneAgentCanBeKilledAlone) {
  Life life(
      R"({"version":1,"defaults":{"command":"x","restart":{"attempts":3}},"tasks":{"a":{},"b":{"needs":["a"]},"c":{}}})");
  life.to_running();
  life.say("a", 0, AgentCancelRequested{.cause = "killed by ann"});
  EXPECT_EQ(life.due(), "Kill a/1 killed_by_request\n");
  life.say("a", 1, AttemptEnded{.reason = EndReason::killed_by_request});
  life.due();
  life.imported("a", 1);
  EXPECT_EQ(life.due(),
            "FinishAgent a cancelled: killed by ann\nCleanup a\n"
            "FinishAgent b failed: needs a, which was cancelled\n");
  EXPECT_EQ(life.agent("c").phase, AgentPhase::running);
}

TEST(Rules, CancellingWhileAVerificationRunsEndsThat) {
  Life life(R"({"version":1,"merge":{"into":"m"},"tasks":{"a":{"command":"x","verify":"t"}}})");
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.imported("a", 1);
  EXPECT_EQ(life.due(), "Verify a/1 pass on result tip-a\n");
  life.say("", 0, RunCancelRequested{.cause = "interrupted"});
  EXPECT_EQ(life.due(), "Kill a/1 killed_by_request\n");
  life.say("a", 1, VerificationEnded{.reason = EndReason::killed_by_request});
  EXPECT_EQ(life.due(), "FinishAgent a cancelled: interrupted\nCleanup a\n");
}

TEST(Rules, AMergeThatBeganIsEndedEvenWhenCancelled) {
  Life life(R"({"version":1,"merge":{"into":"m"},"tasks":{"a":{"command":"x"}}})");
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.imported("a", 1);
  life.due();
  life.say("a", 0, MergePrepared{.commit = "tip-a", .fast_forward = true});
  EXPECT_EQ(life.due(), "Merge a m (new) to tip-a\n");
  life.say("", 0, RunCancelRequested{.cause = "interrupted"});
  EXPECT_EQ(life.due(), "");
  // The branch may have moved before the supervisor died: the next one has to find out.
  life.say("", 0, SupervisorStarted{});
  EXPECT_EQ(life.due(), "Merge a m (new) to tip-a\n");
  life.say("a", 0, Merged{.commit = "tip-a"});
  EXPECT_EQ(life.due(), "FinishAgent a done\nCleanup a\n");
}

TEST(Rules, MergesAreOneAtATimeInTheOrderOfBecomingReady) {
  Life life(
      R"({"version":1,"merge":{"into":"m"},"defaults":{"command":"x","verify":"t"},"tasks":{"a":{},"b":{},"c":{}}})");
  life.to_running();
  for (const char* agent : {"c", "a", "b"}) {
    life.exits(agent, 1, 0);
    life.due();
    life.imported(agent, 1);
    life.due();
  }
  const VerificationEnded well{.reason = EndReason::exited, .exit_code = 0};
  life.say("b", 1, well);
  EXPECT_EQ(life.due(), "PrepareMerge b tip-b into m\n");
  life.say("c", 1, well);
  life.say("a", 1, well);
  EXPECT_EQ(life.due(), "");
  life.say("b", 0, MergePrepared{.commit = "tip-b", .expected_old = "old", .fast_forward = true});
  EXPECT_EQ(life.due(), "Merge b m old to tip-b\n");
  life.say("b", 0, Merged{.commit = "tip-b"});
  EXPECT_EQ(life.due(), "FinishAgent b done\nPrepareMerge c tip-c into m\nCleanup b\n");
  // Not a fast-forward: a tree that nobody has judged yet.
  life.say("c", 0, MergePrepared{.commit = "bc", .expected_old = "tip-b"});
  EXPECT_EQ(life.due(), "Verify c/1 pass on merged bc\n");
  life.say("c", 1, VerificationEnded{.stage = VerifyStage::merged, .reason = EndReason::exited, .exit_code = 0});
  EXPECT_EQ(life.due(), "Merge c m tip-b to bc\n");
  life.say("c", 0, Merged{.commit = "bc"});
  life.due();
  life.say("a", 0, MergePrepared{.commit = "bca", .expected_old = "bc"});
  EXPECT_EQ(life.due(), "Verify a/1 pass on merged bca\n");
  life.say("a", 1, VerificationEnded{.stage = VerifyStage::merged, .reason = EndReason::exited, .exit_code = 2});
  EXPECT_EQ(life.due(),
            "FinishAgent a conflict: merges without a textual conflict, but 'pass' exited with status 2 on the merged "
            "tree\nCleanup a\n");
}

TEST(Rules, AConflictKeepsTheBranchAndFailsTheRunWithSeven) {
  Life life(R"({"version":1,"merge":{"into":"m"},"tasks":{"a":{"command":"x"}}})");
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.imported("a", 1);
  life.due();
  life.say("a", 0, MergeConflict{.paths = {"src/main.c"}, .total = 1});
  EXPECT_EQ(life.due(), "FinishAgent a conflict: conflicts with m in src/main.c\nCleanup a\n");
  life.say("a", 0, Cleaned{});
  EXPECT_EQ(life.due(), "FinishRun conflict 7\n");
}

TEST(Rules, AMovedTargetIsPreparedAnewButNotForever) {
  Life life(R"({"version":1,"merge":{"into":"m"},"tasks":{"a":{"command":"x"}}})");
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.imported("a", 1);
  for (unsigned time = 0; time < 6; ++time) {
    EXPECT_EQ(life.due(), "PrepareMerge a tip-a into m\n");
    life.say("a", 0, MergePrepared{.commit = "m" + std::to_string(time), .expected_old = "o"});
    EXPECT_EQ(life.due(), "Merge a m o to m" + std::to_string(time) + "\n");
    life.say("a", 0, MergeStale{.found = "p"});
  }
  EXPECT_EQ(life.due(), "FinishAgent a conflict: not merged into m: somebody else kept moving it\nCleanup a\n");
}

TEST(Rules, NothingCommittedIsNothingToMerge) {
  Life life(R"({"version":1,"merge":{"into":"m"},"tasks":{"a":{"command":"x"}}})");
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.imported("a", 1, 0);
  EXPECT_EQ(life.due(), "FinishAgent a done: no commits to merge\nCleanup a\n");
}

TEST(Rules, VerificationFailingIsAFailedAttemptThatGoesOnFromItsResult) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","restart":{"attempts":2,"backoff":"0s"},
      "verify":{"pass":"p","fail_to_pass":"f","pass_to_pass":"q"}}}})");
  life.to_running();
  life.exits("a", 1, 0);
  EXPECT_EQ(life.due(), "TakeCheckpoint a/1 1 result commits=0\n");
  life.say("a", 1, CheckpointTaken{.n = 1});
  EXPECT_EQ(life.due(), "Import a/1\n");
  life.imported("a", 1);
  const auto ended = [](VerifyStage stage, VerifyKind kind, int status) {
    return VerificationEnded{.stage = stage, .kind = kind, .reason = EndReason::exited, .exit_code = status};
  };
  using enum VerifyKind;
  EXPECT_EQ(life.due(), "Verify a/1 fail_to_pass on base base\n");
  life.say("a", 1, ended(VerifyStage::base, fail_to_pass, 1));
  EXPECT_EQ(life.due(), "Verify a/1 pass_to_pass on base base\n");
  life.say("a", 1, ended(VerifyStage::base, pass_to_pass, 0));
  EXPECT_EQ(life.due(), "Verify a/1 pass on result tip-a\n");
  life.say("a", 1, ended(VerifyStage::result, pass, 0));
  EXPECT_EQ(life.due(), "Verify a/1 fail_to_pass on result tip-a\n");
  life.say("a", 1, ended(VerifyStage::result, fail_to_pass, 1));
  EXPECT_EQ(life.due(), "StartAttempt a/2 from checkpoint 1\n");
  life.say("a", 2, AttemptStarted{});
  life.exits("a", 2, 0);
  EXPECT_EQ(life.due(), "Import a/2\n");
  life.imported("a", 2);
  EXPECT_EQ(life.due(), "Verify a/2 pass on result tip-a\n");  // the base was judged already
  life.say("a", 2, ended(VerifyStage::result, pass, 1));
  EXPECT_EQ(life.due(),
            "FinishAgent a failed: verification: 'pass' exited with status 1 on the result; all 2 attempts are used "
            "up\nCleanup a\n");
}

TEST(Rules, ATestThatPassesOnTheBaseProvesNothing) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","restart":{"attempts":5},"verify":{"fail_to_pass":"f"}}}})");
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.say("a", 1, CheckpointFailed{.n = 1, .reason = "no space left on device"});
  life.due();
  life.imported("a", 1);
  life.due();
  life.say(
      "a", 1,
      VerificationEnded{
          .stage = VerifyStage::base, .kind = VerifyKind::fail_to_pass, .reason = EndReason::exited, .exit_code = 0});
  EXPECT_EQ(life.due(),
            "FinishAgent a failed: verification: 'fail_to_pass' passes on the base already, so it proves nothing about "
            "the result\nCleanup a\n");
}

TEST(Rules, SatisfiedMeansWhatStageAndKindAsk) {
  VerificationEnded ended{.stage = VerifyStage::base, .kind = VerifyKind::fail_to_pass, .reason = EndReason::exited};
  ended.exit_code = 1;
  EXPECT_TRUE(satisfied(ended));
  ended.exit_code = 0;
  EXPECT_FALSE(satisfied(ended));
  ended.reason = EndReason::wall_time;  // not to finish is not to fail
  ended.exit_code = -1;
  EXPECT_FALSE(satisfied(ended));
  ended = {.stage = VerifyStage::result, .kind = VerifyKind::fail_to_pass, .reason = EndReason::exited, .exit_code = 0};
  EXPECT_TRUE(satisfied(ended));
  ended.reason = EndReason::setup_failed;
  EXPECT_FALSE(satisfied(ended));
}

TEST(Rules, AFaultFiresOnceItsCommitIsInACheckpoint) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","restart":{"attempts":2,"backoff":"0s"}}},
      "faults":[{"agent":"a","attempt":1,"after":{"commits":2},"action":{"signal":"KILL"}}]})");
  life.to_running();
  EXPECT_EQ(life.due(), "");
  life.commit("a", 1, 1, 1);
  EXPECT_EQ(life.due(), "");
  life.say("a", 1, BoundarySeen{.commits = 2, .head = "h2"});
  EXPECT_EQ(life.due(), "TakeCheckpoint a/1 2 commit commits=2\n");
  life.say("a", 1, CheckpointFailed{.n = 2, .reason = "io"});
  EXPECT_EQ(life.due(), "");  // not without its checkpoint
  life.commit("a", 1, 3, 3);
  EXPECT_EQ(life.due(), "InjectFault a/1 signal 9\n");
  EXPECT_EQ(life.due(), "");
  life.say("a", 1, FaultInjected{.fault = 0, .what = "SIGKILL"});
  EXPECT_EQ(life.due(), "");
  life.say("a", 1, AttemptEnded{.reason = EndReason::fault_injected, .signal = 9});
  EXPECT_EQ(life.due(), "StartAttempt a/2 from checkpoint 3\n");
  life.say("a", 2, AttemptStarted{});
  life.commit("a", 2, 2, 4);
  EXPECT_EQ(life.due(), "");  // it was for the first attempt
}

TEST(Rules, CommitsSeenDuringACheckpointGetOneOfTheirOwn) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x"}}})");
  life.to_running();
  life.say("a", 1, BoundarySeen{.commits = 1, .head = "h1"});
  EXPECT_EQ(life.due(), "TakeCheckpoint a/1 1 commit commits=1\n");
  life.say("a", 1, BoundarySeen{.commits = 2, .head = "h2"});
  life.say("a", 1, BoundarySeen{.commits = 4, .head = "h4"});
  life.say("a", 1, BoundarySeen{.commits = 3, .head = "h3"});  // never goes back
  EXPECT_EQ(life.due(), "");
  life.say("a", 1, CheckpointTaken{.n = 1});
  EXPECT_EQ(life.due(), "TakeCheckpoint a/1 2 commit commits=4\n");
}

TEST(Rules, ATimerIsABoundaryToo) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","checkpoint":{"every":"60s"}}}})");
  life.to_running();
  EXPECT_EQ(life.due(), "WakeAt 60000\n");
  life.now = 59'000;
  life.commit("a", 1, 1, 1);  // a commit's checkpoint counts
  EXPECT_EQ(life.due(), "WakeAt 119000\n");
  life.now = 119'500;
  EXPECT_EQ(life.due(), "TakeCheckpoint a/1 2 timer commits=1\n");
  EXPECT_EQ(life.due(), "");
  life.say("a", 1, CheckpointTaken{.n = 2});
  EXPECT_EQ(life.due(), "WakeAt 179500\n");
}

TEST(Rules, TheNextAttemptWaitsForACheckpointOfTheLast) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","restart":{"attempts":2,"backoff":"0s"}}}})");
  life.to_running();
  life.say("a", 1, BoundarySeen{.commits = 1, .head = "h1"});
  life.due();
  life.exits("a", 1, 1);
  EXPECT_EQ(life.due(), "");
  life.say("a", 1, CheckpointTaken{.n = 1});
  EXPECT_EQ(life.due(), "StartAttempt a/2 from checkpoint 1\n");
}

TEST(Rules, ACommitJustBeforeTheEndIsNotLost) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","restart":{"attempts":2,"backoff":"0s"}}}})");
  life.to_running();
  life.say("a", 1, BoundarySeen{.commits = 1, .head = "h1"});
  life.exits("a", 1, 1);  // before anything was decided
  EXPECT_EQ(life.due(), "TakeCheckpoint a/1 1 commit commits=1\n");
  life.say("", 0, SupervisorStarted{});
  EXPECT_EQ(life.due(), "TakeCheckpoint a/1 1 commit commits=1\n");
  life.say("a", 1, CheckpointTaken{.n = 1});
  EXPECT_EQ(life.due(), "StartAttempt a/2 from checkpoint 1\n");
  life.say("a", 2, AttemptStarted{});
  life.say("a", 2, BoundarySeen{.commits = 1, .head = "h2"});
  life.exits("a", 2, 1);  // the last one: what it left is imported as it is
  EXPECT_EQ(life.due(), "Import a/2\n");
}

TEST(Rules, IdleAgentsAreKilledAndRestarted) {
  Life life(
      R"({"version":1,"tasks":{"a":{"command":"x","restart":{"attempts":2,"backoff":"0s"},"limits":{"idle":"5m"}}}})");
  life.to_running();
  EXPECT_EQ(life.agent("a").plan.idle, std::chrono::minutes{5});
  life.say("a", 1, IdleExpired{});
  EXPECT_EQ(life.due(), "Kill a/1 idle\n");
  life.say("a", 1, IdleExpired{});
  EXPECT_EQ(life.due(), "");
  life.say("a", 1, AttemptEnded{.reason = EndReason::idle});
  life.say("a", 1, IdleExpired{});  // seen late
  EXPECT_EQ(life.due(), "StartAttempt a/2\n");
}

TEST(Rules, ALostAttemptIsRepeatedWithoutCountingButNotForever) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","restart":{"backoff":"0s"}}}})");
  life.to_running();
  for (unsigned attempt = 1; attempt <= 3; ++attempt) {
    life.say("a", attempt, AttemptEnded{.reason = EndReason::lost});
    EXPECT_EQ(life.due(), "StartAttempt a/" + std::to_string(attempt + 1) + "\n");
    life.say("a", attempt + 1, AttemptStarted{});
  }
  life.say("a", 4, AttemptEnded{.reason = EndReason::lost});
  EXPECT_EQ(life.due(), "Import a/4\n");
  life.imported("a", 4);
  EXPECT_EQ(life.due(), "FinishAgent a failed: the command was lost: nobody was left to see it end\nCleanup a\n");
}

TEST(Rules, AnUnreadableResultFallsBackToTheLastCommit) {
  Life life(R"({"version":1,"merge":{"into":"m"},"tasks":{"a":{"command":"x"}}})");
  life.to_running();
  life.commit("a", 1, 1, 1);
  life.exits("a", 1, 0);
  EXPECT_EQ(life.due(), "Import a/1\n");
  life.say("a", 1, ImportFailed{.reason = "index-pack: bad object"});
  EXPECT_EQ(life.due(), "Import a/1 from checkpoint 1\n");
  life.imported("a", 1);
  EXPECT_EQ(life.due(),  // kept, but not merged
            "FinishAgent a failed: its work could not be imported: index-pack: bad object\nCleanup a\n");
}

TEST(Rules, TheRunOfOneCommandEndsWithItsStatus) {
  const std::string workflow = R"({"version":1,"tasks":{"agent":{"command":["x"]}}})";
  const auto finish = [&](const AttemptEnded& ended) {
    Life life(workflow, 1, {.pass_exit_status = true});
    life.to_running();
    life.say("agent", 1, ended);
    life.due();
    life.imported("agent", 1, 0);
    life.due();
    life.say("agent", 0, Cleaned{});
    return life.due();
  };
  EXPECT_EQ(finish({.reason = EndReason::exited, .exit_code = 0}), "FinishRun done 0\n");
  EXPECT_EQ(finish({.reason = EndReason::exited, .exit_code = 42}), "FinishRun failed 42\n");
  EXPECT_EQ(finish({.reason = EndReason::signalled, .signal = 15}), "FinishRun failed 143\n");
}

TEST(Rules, KeptWorkspacesAreCleanedUpWithoutTheirFiles) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x"}}})", 1, {.keep_workspaces = true});
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.imported("a", 1);
  EXPECT_EQ(life.due(), "FinishAgent a done\nCleanup a keeping its files\n");
}

TEST(Rules, WhatCannotBeEndsTheRunWithFive) {
  Life life(R"({"version":1,"defaults":{"command":"x"},"tasks":{"a":{},"b":{}}})");
  life.to_running();
  life.say("a", 1, Imported{.tip = "t"});
  EXPECT_EQ(life.state.violation, "imported of a/1 (event " + std::to_string(life.seq) + "): the agent is running");
  EXPECT_EQ(life.due(), "Kill a/1 killed_by_request\nKill b/1 killed_by_request\n");
  for (const char* agent : {"a", "b"}) {
    life.say(agent, 1, AttemptEnded{.reason = EndReason::killed_by_request});
    life.due();
    life.imported(agent, 1);
    life.due();
    life.say(agent, 0, Cleaned{});
  }
  EXPECT_THAT(life.due(), HasSubstr("FinishRun fault 5: imported of a/1"));
}

TEST(Rules, EventsOfOthersChangeNothing) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x"}}})");
  life.to_running();
  const RunState before = life.state;
  Event event = make_event("another", "a", 1, AttemptEnded{});
  EXPECT_EQ(apply(before, event), before);
  event = {.run = "r", .agent = "a", .type = "tokens_spent", .body = {{"tokens", 12}}};
  RunState after = apply(before, event);
  after.last_seq = before.last_seq;
  after.last_time = before.last_time;
  EXPECT_EQ(after, before);
}

TEST(Rules, ADamagedEventIsAViolation) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x"}}})");
  Event event = make_event("r", "", 0, BaseReady{.commit = "base"});
  event.seq = 99;
  event.body.erase("path");
  EXPECT_EQ(apply(life.state, event).violation, "read base_ready (event 99): 'path' is missing");
  event = make_event("r", "", 0, BaseReady{.commit = "base"});
  event.version = 2;
  EXPECT_EQ(apply(life.state, event).violation,
            "read base_ready (event 0): version 2 is newer than this program knows");
}

TEST(Rules, APlanThatIsNotWholeIsNotStarted) {
  RunState state = apply({}, make_event("r", "", 0, RunStarted{}));
  EXPECT_TRUE(decide(state, {}).empty());
  state = apply(state, make_event("r", "", 0, SupervisorStarted{}));
  EXPECT_EQ(text(decide(state, {})), "FinishRun fault 5: its plan is not whole in the journal\n");
}

}  // namespace
}  // namespace bulkhead::test
