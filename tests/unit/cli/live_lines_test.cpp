#include "supervisor/cli/live_lines.h"

#include <gtest/gtest.h>

#include "supervisor/cli/signals.h"

namespace bulkhead {
namespace {

class LiveLinesTest : public testing::Test {
 protected:
  template <class T>
  std::string line(std::int64_t ms, const std::string& agent, unsigned attempt, const T& body) {
    Event event = make_event("r", agent, attempt, body);
    event.time_unix_ms = 1'000'000 + ms;
    return lines.line(event);
  }
  LiveLines lines;
};

TEST_F(LiveLinesTest, AShortRun) {
  EXPECT_EQ(
      line(0, "", 0,
           RunStarted{.name = "fix", .repository = "/home/ann/p", .base = "0123456789abcdef", .merge_into = "main"}),
      "   0.0s            run r of fix in /home/ann/p at 0123456789");
  EXPECT_EQ(line(1, "", 0, RunPlanned{.agents = 2}), "   0.0s            2 agents planned");
  EXPECT_EQ(line(1230, "", 0, BaseReady{.path = "x", .milliseconds = 1200, .reused = false}),
            "   1.2s            base prepared in 1.2s");
  EXPECT_EQ(line(1300, "a", 0, WorkspaceReady{.range_base = 1, .branch = "bulkhead/r/a", .microseconds = 9}), "");
  EXPECT_EQ(line(1300, "a", 1, AttemptIntended{}), "");
  EXPECT_EQ(line(1350, "a", 1, AttemptStarted{}), "   1.3s  a         started");
  EXPECT_EQ(line(61'900, "a", 1, BoundarySeen{.commits = 1, .head = "fedcba9876543210"}),
            " 1:01.9  a         commit 1 (fedcba9876)");
  EXPECT_EQ(line(62'000, "a", 1,
                 AttemptEnded{.reason = EndReason::fault_injected, .signal = 9, .detail = "SIGKILL", .wall_ms = 2000}),
            " 1:02.0  a         killed by the workflow's fault section after 2s (SIGKILL)");
  line(62'000, "a", 2, AttemptIntended{.from_checkpoint = 1});
  EXPECT_EQ(line(62'100, "a", 2, AttemptStarted{}), " 1:02.1  a         attempt 2 started from checkpoint 1");
  EXPECT_EQ(line(63'000, "a", 2, AttemptEnded{.reason = EndReason::exited, .exit_code = 0, .wall_ms = 900}),
            " 1:03.0  a         attempt 2 exited with 0 after 900ms");
  EXPECT_EQ(line(63'100, "a", 2, Imported{.tip = "x", .commits = 3, .files_changed = 1}),
            " 1:03.1  a         3 commits on bulkhead/r/a, 1 file changed");
  EXPECT_EQ(line(63'200, "a", 2,
                 VerificationEnded{.stage = VerifyStage::base,
                                   .kind = VerifyKind::fail_to_pass,
                                   .reason = EndReason::exited,
                                   .exit_code = 1,
                                   .wall_ms = 40}),
            " 1:03.2  a         verify fail-to-pass on the base: right, exited with 1 after 40ms");
  EXPECT_EQ(line(64'000, "a", 2, MergeConflict{.paths = {"x.c", "y.c", "z.c", "w.c"}, .total = 9}),
            " 1:04.0  a         conflicts with main in x.c, y.c, z.c and 6 more");
  EXPECT_EQ(line(65'000, "a", 2, Merged{.commit = "aaaaaaaaaaaaaaaa"}),
            " 1:05.0  a         merged into main as aaaaaaaaaa");
  EXPECT_EQ(line(65'100, "a", 0, Cleaned{}), "");
  EXPECT_EQ(line(3'661'000, "", 0, RunFinished{.outcome = RunOutcome::done, .exit_code = 0, .cause = ""}),
            "1:01:01            run done");
}

TEST_F(LiveLinesTest, HostileTextIsEscaped) {
  const std::string hostile = "\x1b]0;owned\x07\nrm -rf /\r\xe2\x80\xae\xff";
  for (const std::string& text :
       {line(0, "", 0, RunStarted{.name = hostile, .repository = hostile, .base = hostile, .merge_into = hostile}),
        line(0, hostile, 1,
             DenialSeen{.what = hostile,
                        .rule = hostile,
                        .detail = hostile,
                        .wall = hostile,
                        .who = hostile,
                        .allow = hostile}),
        line(0, "a", 1,
             AttemptEnded{.reason = EndReason::setup_failed, .step = hostile, .detail = hostile, .rule = hostile}),
        line(0, "a", 1, MergeConflict{.paths = {hostile}, .total = 1}),
        line(0, "a", 1, MergeRefused{.reason = hostile}), line(0, "a", 1, FaultInjected{.what = hostile}),
        line(0, "a", 1, BoundarySeen{.commits = 1, .head = hostile}), line(0, "a", 1, Merged{.commit = hostile}),
        line(0, "a", 1, AgentFinished{.cause = hostile})}) {
    EXPECT_FALSE(text.empty());
    for (const char c : text) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << text;
    EXPECT_EQ(text.find("\xe2\x80\xae"), std::string::npos) << "right-to-left override";
    EXPECT_EQ(text.find('\xff'), std::string::npos);
  }
}

TEST_F(LiveLinesTest, ADamagedBodyIsSaidAndNotThrown) {
  Event event{.time_unix_ms = 5, .run = "r", .agent = "a", .attempt = 1, .type = Imported::type, .body = {{"tip", 7}}};
  EXPECT_NE(lines.line(event).find("imported"), std::string::npos) << lines.line(event);
  event.type = "something_of_a_later_version";
  EXPECT_EQ(lines.line(event), "");
}

TEST(Endings, EveryReasonHasWords) {
  EXPECT_EQ(ending(EndReason::exited, 3, 0, ""), "exited with 3");
  EXPECT_EQ(ending(EndReason::signalled, -1, 15, ""), "killed by SIGTERM");
  EXPECT_EQ(ending(EndReason::setup_failed, -1, 0, "pivot"), "could not be set up: pivot");
  for (const EndReason reason :
       {EndReason::out_of_memory, EndReason::pids_exhausted, EndReason::disk_full, EndReason::wall_time,
        EndReason::cpu_time, EndReason::idle, EndReason::killed_by_request, EndReason::fault_injected,
        EndReason::seccomp, EndReason::lost})
    EXPECT_FALSE(ending(reason, 0, 0, "").empty());
  EXPECT_EQ(signal_text(9), "SIGKILL");
  EXPECT_EQ(signal_text(77), "signal 77");
}

}  // namespace
}  // namespace bulkhead
