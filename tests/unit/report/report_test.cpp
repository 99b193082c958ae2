#include "supervisor/core/report/report.h"

#include <gmock/gmock.h>

#include "tests/unit/journal/temporary.h"
#include "tests/unit/lifecycle/life.h"

namespace bulkhead::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// Two agents that merge and one that conflicts; one is killed and resumed, one runs into its limits.
Life patches() {
  Life life(R"({"version":1,"merge":{"into":"bulkhead/fixes"},"defaults":{"command":"x",
        "verify":{"pass":"t","fail_to_pass":"f"},"restart":{"attempts":2,"backoff":"0s"}},
      "tasks":{"date":{},"method":{},"mischief":{}},
      "faults":[{"agent":"method","after":{"commits":1},"action":{"signal":"KILL"}}]})",
            4, {.name = "patches", .repository = "/home/ann/unzip"});
  const auto ended = [](EndReason reason, int status, std::int64_t wall, std::int64_t cpu, std::uint64_t memory) {
    return AttemptEnded{.reason = reason, .exit_code = status, .wall_ms = wall, .cpu_ms = cpu, .peak_memory = memory};
  };
  const auto verified = [&](const std::string& agent, unsigned attempt, VerifyStage stage, VerifyKind kind,
                            int status) {
    life.due();
    life.say(agent, attempt,
             VerificationEnded{
                 .stage = stage, .kind = kind, .reason = EndReason::exited, .exit_code = status, .wall_ms = 30});
  };
  const auto result = [&](const std::string& agent, unsigned attempt) {
    life.due();
    life.say(
        agent, attempt,
        Imported{
            .tip = "aaaabbbbccccdddd" + agent, .commits = 3, .files_changed = 2, .insertions = 20, .deletions = 4});
    if (attempt == 1 || agent != "other") verified(agent, attempt, VerifyStage::base, VerifyKind::fail_to_pass, 1);
    verified(agent, attempt, VerifyStage::result, VerifyKind::pass, 0);
    verified(agent, attempt, VerifyStage::result, VerifyKind::fail_to_pass, 0);
    life.due();
  };
  life.to_running();
  life.now = 1'000;
  life.commit("method", 1, 1, 1);
  life.due();
  life.say("method", 1, FaultInjected{.fault = 0, .what = "SIGKILL to the command after commit 1"});
  life.now = 2'000;
  AttemptEnded killed = ended(EndReason::fault_injected, -1, 1'500, 400, 20 << 20);
  killed.signal = 9;
  life.say("method", 1, killed);
  life.say("mischief", 1, DenialSeen{.what = "memory beyond its limit", .rule = "/limits/memory", .detail = "1 kill"});
  for (int i = 0; i < 3; ++i)
    life.say("mischief", 1, DenialSeen{.what = "connect to 1.2.3.4 \x1b[31m", .rule = "its own network namespace"});
  AttemptEnded memory = ended(EndReason::out_of_memory, -1, 900, 700, 128 << 20);
  memory.rule = "/limits/memory";
  memory.detail = "128Mi";
  life.say("mischief", 1, DiskUsed{.bytes = 3 << 20, .inodes = 12});
  life.say("mischief", 1, memory);
  life.due();
  life.say("method", 2, AttemptStarted{});
  life.say("mischief", 2, AttemptStarted{});
  life.say("date", 1, ended(EndReason::exited, 0, 2'000, 1'900, 34 << 20));
  life.due();
  life.say("date", 1, CheckpointTaken{.n = 1});
  result("date", 1);
  life.say("date", 0, MergePrepared{.commit = "d1d1d1d1d1d1d1", .expected_old = "old", .fast_forward = true});
  life.due();
  life.say("date", 0, Merged{.commit = "d1d1d1d1d1d1d1"});
  life.say("method", 2, ended(EndReason::exited, 0, 1'200, 500, 21 << 20));
  result("method", 2);
  life.say("method", 0, MergePrepared{.commit = "d2d2d2d2d2d2d2", .expected_old = "d1"});
  verified("method", 2, VerifyStage::merged, VerifyKind::pass, 0);
  verified("method", 2, VerifyStage::merged, VerifyKind::fail_to_pass, 0);
  life.due();
  life.say("method", 0, Merged{.commit = "d2d2d2d2d2d2d2"});
  life.say("mischief", 2, ended(EndReason::exited, 0, 800, 100, 5 << 20));
  result("mischief", 2);
  life.say("mischief", 0, MergeConflict{.paths = {"a.c", "evil\nname"}, .total = 2});
  life.now = 12'345;
  life.due();
  for (const char* agent : {"date", "method", "mischief"}) life.say(agent, 0, Cleaned{});
  EXPECT_EQ(life.due(), "FinishRun conflict 7\n");
  EXPECT_EQ(life.state.violation, "");
  return life;
}

TEST(Report, TellsARun) {
  const auto report = report_of(patches().events);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(render_text(*report), R"(run r (patches): conflict after 12.3s
  /home/ann/unzip at base, into bulkhead/fixes; base prepared in 0s

  AGENT     OUTCOME   ATTEMPTS  WALL  CPU    MEMORY  CHANGED         VERIFIED  MERGED
  date      done      1         2s    1.9s   34Mi    2 files +20 -4  3/3       d1d1d1d1d1d1
  method    done      2         2.7s  900ms  21Mi    2 files +20 -4  5/5       d2d2d2d2d2d2
  mischief  conflict  2         1.7s  800ms  128Mi   2 files +20 -4  3/3       conflict

date: done
  attempt 1   the command exited with status 0 [2s, CPU 1.9s, memory 34Mi]
  verified    ok: 'fail_to_pass' exited with status 1 on the base, as it had to [30ms]
  verified    ok: 'pass' exited with status 0 on the result [30ms]
  verified    ok: 'fail_to_pass' exited with status 0 on the result [30ms]
  merge       into bulkhead/fixes as d1d1d1d1d1d1, fast-forward
  branch      b/date at aaaabbbbcccc: 3 commits, 2 files +20 -4

method: done
  attempt 1   the command was ended by an injected fault [1.5s, CPU 400ms, memory 20Mi]
              fault injected: SIGKILL to the command after commit 1
  attempt 2   from checkpoint 1 (after commit 1 of attempt 1, h1): the command exited with status 0 [1.2s, CPU 500ms, memory 21Mi]
  verified    ok: 'fail_to_pass' exited with status 1 on the base, as it had to [30ms]
  verified    ok: 'pass' exited with status 0 on the result [30ms]
  verified    ok: 'fail_to_pass' exited with status 0 on the result [30ms]
  verified    ok: 'pass' exited with status 0 on the merged tree [30ms]
  verified    ok: 'fail_to_pass' exited with status 0 on the merged tree [30ms]
  merge       into bulkhead/fixes as d2d2d2d2d2d2
  branch      b/method at aaaabbbbcccc: 3 commits, 2 files +20 -4

mischief: conflict: conflicts with bulkhead/fixes in 2 files
  attempt 1   the command ran out of memory (128Mi), by /limits/memory [900ms, CPU 700ms, memory 128Mi, disk 3Mi]
  attempt 2   the command exited with status 0 [800ms, CPU 100ms, memory 5Mi]
  stopped     memory beyond its limit, by /limits/memory (1 kill), in attempt 1
  stopped     connect to 1.2.3.4 \x1b[31m, by its own network namespace, 3 times, in attempt 1
  verified    ok: 'fail_to_pass' exited with status 1 on the base, as it had to [30ms]
  verified    ok: 'pass' exited with status 0 on the result [30ms]
  verified    ok: 'fail_to_pass' exited with status 0 on the result [30ms]
  merge       conflict with bulkhead/fixes in a.c, evil\x0aname; nothing was moved
  branch      b/mischief at aaaabbbbcccc: 3 commits, 2 files +20 -4

3 agents: 1 conflict, 2 done; 5 attempts, CPU 3.6s, 2 merged
next: sudo bulkhead diff r/mischief
next: git -C /home/ann/unzip log --oneline base..bulkhead/fixes
next: sudo bulkhead journal r --events
)");
}

TEST(Report, IsTheSameAsJson) {
  const auto report = report_of(patches().events);
  ASSERT_TRUE(report);
  const nlohmann::json json = to_json(*report);
  EXPECT_EQ(json["outcome"], "conflict");
  EXPECT_EQ(json["exit_code"], 7);
  const nlohmann::json& method = json["agents"][1];
  EXPECT_EQ(method["name"], "method");
  EXPECT_EQ(method["outcome"], "done");
  EXPECT_EQ(method["base"], "base");
  EXPECT_EQ(method["merge"]["state"], "merged");
  EXPECT_EQ(method["wall_ms"], 2'700);
  EXPECT_EQ(method["attempts"][0]["ended"]["reason"], "fault_injected");
  EXPECT_EQ(method["attempts"][0]["resumed_from"], nullptr);
  EXPECT_EQ(method["attempts"][1]["resumed_from"]["kind"], "commit");
  EXPECT_EQ(method["attempts"][1]["ended"]["exit_code"], 0);
  EXPECT_TRUE(method["attempts"][1]["disk"].is_null());
  const nlohmann::json& mischief = json["agents"][2];
  EXPECT_EQ(mischief["merge"]["state"], "conflict");
  EXPECT_EQ(mischief["denied"][1]["times"], 3);
  EXPECT_EQ(mischief["verifications"][0]["satisfied"], true);
  EXPECT_EQ(mischief["cause"], "conflicts with bulkhead/fixes in 2 files");
}

TEST(Report, OfOneCommandThatFailed) {
  Life life(R"({"version":1,"tasks":{"agent":{"command":["x"]}}})", 1, {.repository = "/r", .pass_exit_status = true});
  life.to_running();
  life.exits("agent", 1, 3);
  life.due();
  life.imported("agent", 1);
  life.due();
  life.say("agent", 0, Cleaned{.problem = "unmount: busy"});
  life.due();
  EXPECT_EQ(render_text(report_of(life.events).value()), R"(run r: failed after 0s
  /r at base; base prepared in 0s

agent: failed: the command exited with status 3
  attempt 1   the command exited with status 3 [0s, CPU 0s, memory -]
  branch      b/agent at tip-agent: 1 commit, 0 files +0 -0
  left behind unmount: busy

next: sudo bulkhead diff r/agent
next: sudo bulkhead journal r --events
next: sudo bulkhead clean
)");
}

TEST(Report, OfARunThatGoesOn) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x"},"b":{"command":"y","needs":["a"]}}})");
  life.now = 1'000;
  life.to_running();
  life.say("a", 1, BoundarySeen{.commits = 1, .head = "h"});
  life.due();
  life.say("a", 1, CheckpointFailed{.n = 1, .reason = "no space left on device"});
  life.say("", 0, SupervisorStarted{});
  const auto report = report_of(life.events);
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->finished);
  EXPECT_EQ(report->agents[0].state, "running");
  EXPECT_EQ(report->agents[1].state, "waiting");
  EXPECT_EQ(report->supervisors, 2U);
  const std::string text = render_text(*report);
  EXPECT_THAT(text, HasSubstr("run r: not finished"));
  EXPECT_THAT(text, HasSubstr("  attempt 1   is running\n  checkpoint  1 failed: no space left on device\n"));
  EXPECT_THAT(text, HasSubstr("carried on by 1 further supervisor after the first"));
  EXPECT_THAT(text, HasSubstr("next: sudo bulkhead ps\n"));
}

TEST(Report, OfAResultThatDoesNotPass) {
  Life life(R"({"version":1,"tasks":{"a":{"command":"x","verify":{"fail_to_pass":"f"}}}})");
  life.to_running();
  life.exits("a", 1, 0);
  life.due();
  life.imported("a", 1);
  life.due();
  life.say(
      "a", 1,
      VerificationEnded{
          .stage = VerifyStage::base, .kind = VerifyKind::fail_to_pass, .reason = EndReason::exited, .exit_code = 0});
  life.due();
  const std::string text = render_text(report_of(life.events).value());
  EXPECT_THAT(text, HasSubstr("FAILED: 'fail_to_pass' exited with status 0 on the base, where it had to fail [0s]"));
  EXPECT_THAT(text, HasSubstr("a: failed: verification: 'fail_to_pass' passes on the base already"));
}

// Whatever an agent can name or say reaches the terminal with nothing that the terminal acts on.
TEST(Report, NothingOfAnAgentActsOnTheTerminal) {
  const std::string evil = "\x1b]0;owned\x07\n\u202e\x9b";
  Life life(R"({"version":1,"merge":{"into":"m"},"tasks":{"a":{"command":"x"}}})");
  life.to_running();
  life.say("a", 1, BoundarySeen{.commits = 1, .head = evil});
  life.due();
  life.say("a", 1, CheckpointFailed{.n = 1, .reason = evil});
  life.say("a", 1, DenialSeen{.what = evil, .rule = evil, .detail = evil, .wall = evil, .who = evil, .allow = evil});
  life.say("a", 1, AttemptEnded{.reason = EndReason::exited, .exit_code = 0, .detail = evil, .rule = evil});
  life.due();
  life.say("a", 1, Imported{.tip = evil, .commits = 1});
  life.due();
  life.say("a", 0, MergeConflict{.paths = {evil}, .total = 1});
  life.due();
  std::string text = render_text(report_of(life.events).value());
  for (const Event& event : life.events) text += render_event(event) + "\n";
  for (const char c : text) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n') << int(c);
  EXPECT_THAT(text, Not(HasSubstr("\u202e")));
  for (const Event& event : life.events) EXPECT_THAT(render_event(event), Not(HasSubstr("\n")));
}

TEST(Report, RefusesWhatIsNoRun) {
  EXPECT_EQ(report_of({}).error().text(), "report: these events do not begin with a run's start");
  Life life(R"({"version":1,"tasks":{"a":{"command":"x"}}})");
  std::vector<Event> events = life.events;
  events[0].body.erase("base");
  EXPECT_EQ(report_of(events).error().text(), "read run_started (event 1): 'base' is missing");
  events.erase(events.begin());
  EXPECT_FALSE(report_of(events));
}

TEST(Report, EventsAsLines) {
  Event event = make_event("r", "fix-a", 2, CheckpointTaken{.n = 1, .bytes = 10, .files = 2, .freeze_us = 3});
  event.seq = 12;
  event.time_unix_ms = 1'700'000'000'123;
  EXPECT_EQ(render_event(event),
            "12  22:13:20.123  fix-a/2               checkpoint_taken        bytes=10  files=2  freeze_us=3  n=1");
  event = make_event("r", "", 0, RunCancelRequested{.cause = "interrupted from the keyboard"});
  EXPECT_THAT(render_event(event), HasSubstr("run_cancel_requested    cause='interrupted from the keyboard'"));
}

TEST(Listing, SaysWhereEveryRunStands) {
  const TemporaryDirectory directory;
  auto journal = Journal::open(directory / "journal.db", JournalMode::write);
  ASSERT_TRUE(journal);
  Life finished = patches();
  Life running(R"({"version":1,"name":"docs","tasks":{"a":{"command":"x"},"b":{"command":"x"},"c":{"command":"x"}}})",
               2);
  running.to_running();
  for (Event& event : running.events) event.run = "s", event.time_unix_ms = 1'700'000'000'000;
  ASSERT_TRUE(journal->append(finished.events, Durability::process));
  ASSERT_TRUE(journal->append(running.events, Durability::process));
  const auto runs = list_runs(*journal);
  ASSERT_TRUE(runs) << runs.error().text();
  EXPECT_EQ(render_text(*runs),
            "RUN  NAME     STATE     STARTED (UTC)        TOOK   AGENTS  ACTIVE\n"
            "r    patches  conflict  1970-01-01 00:00:00  12.3s  3/3\n"
            "s    -        running   2023-11-14 22:13:20  0s     0/3     a/1 running, b/1 running\n");
  EXPECT_EQ(to_json(*runs)[1]["active"][0], "a/1 running");
  EXPECT_EQ(render_text(std::vector<RunSummary>{}), "no runs\n");
}

}  // namespace
}  // namespace bulkhead::test
