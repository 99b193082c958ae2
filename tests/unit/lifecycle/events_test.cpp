// Events as the journal has them.
#include <gmock/gmock.h>

#include "supervisor/core/lifecycle/describe.h"
#include "tests/unit/lifecycle/life.h"

namespace bulkhead::test {
namespace {

template <class T>
void round_trips(const T& body) {
  const Event event = make_event("r", "a", 1, body);
  EXPECT_EQ(event.type, T::type);
  const auto parsed = event_from_json(nlohmann::json::parse(to_json(event).dump()));
  ASSERT_TRUE(parsed) << parsed.error().text();
  const Result<T> back = read_event<T>(*parsed);
  ASSERT_TRUE(back) << back.error().text();
  EXPECT_EQ(*back, body);
}

TEST(Events, RoundTrip) {
  round_trips(RunStarted{.workflow = "b", .repository = "/r", .owner_uid = 4'000'000'000, .pass_exit_status = true});
  round_trips(AgentPlanned{.needs = {"x", "y"}, .attempts = 3, .verify = {VerifyKind::pass, VerifyKind::pass_to_pass}});
  round_trips(AttemptIntended{.from_checkpoint = 4});
  round_trips(AttemptIntended{});
  round_trips(AttemptStarted{.pid = 1, .start_time = ~std::uint64_t{0}, .boot_id = "x", .cgroup = "y"});
  round_trips(CheckpointIntended{.n = 2, .kind = CheckpointKind::timer, .commits = 1, .head = "abc"});
  round_trips(DiskUsed{.bytes = 1ULL << 40, .inodes = 7});
  round_trips(AttemptEnded{
      .reason = EndReason::setup_failed, .step = "mount proc", .peak_memory = 1ULL << 40, .io_stalled_ms = 7});
  round_trips(VerificationEnded{.stage = VerifyStage::merged, .kind = VerifyKind::fail_to_pass});
  round_trips(MergeConflict{.paths = {"a b", "c"}, .total = 2});
  round_trips(Imported{.tip = "t", .commits = 2, .uncommitted = true});
  round_trips(AgentFinished{.outcome = AgentOutcome::conflict, .cause = "c"});
  round_trips(RunFinished{.outcome = RunOutcome::fault, .exit_code = 5, .cause = "c"});
}

TEST(Events, StaySmallWhateverTheyAreTold) {
  const std::string hostile(100'000, '\x01');
  std::vector<std::string> paths(5'000, std::string(300, '\xff'));
  for (const Event& event :
       {make_event("r", "a", 1, MergeConflict{.paths = paths, .total = 5'000}),
        make_event("r", "a", 1, ImportFailed{.reason = std::string(100'000, 'x')}),
        make_event("r", "a", 1, AttemptEnded{.detail = std::string(5'000, 'x'), .rule = std::string(5'000, 'x')})})
    EXPECT_LE(event.body.dump().size(), kMaxEventBody) << event.type;
  const Event event = make_event("r", "a", 1,
                                 DenialSeen{.what = hostile,
                                            .rule = hostile,
                                            .detail = hostile,
                                            .kind = hostile,
                                            .wall = hostile,
                                            .who = hostile,
                                            .allow = hostile,
                                            .times = ~0ULL});
  EXPECT_LE(event.body.dump().size(), kMaxEventBody);
  // One of a journal from before these members were there.
  Event old = make_event("r", "a", 1, DenialSeen{.what = "w", .rule = "r", .detail = "d"});
  for (const char* later : {"kind", "wall", "who", "allow", "times"}) old.body.erase(later);
  EXPECT_EQ(read_event<DenialSeen>(old).value(), (DenialSeen{.what = "w", .rule = "r", .detail = "d"}));
}

TEST(Events, ManyNeedsAreSpreadOverSeveral) {
  nlohmann::json workflow = {{"version", 1}, {"defaults", {{"command", "x"}}}};
  nlohmann::json needs = nlohmann::json::array();
  for (int i = 0; i < 200; ++i) {
    const std::string name = "task-" + std::string(50, 'x') + std::to_string(i);
    workflow["tasks"][name] = nlohmann::json::object();
    needs.push_back(name);
  }
  workflow["tasks"]["join"] = {{"needs", needs}};
  Life life(workflow.dump());
  EXPECT_EQ(life.agent("join").plan.needs.size(), 200U);
  for (const Event& event : life.events) EXPECT_LE(event.body.dump().size(), kMaxEventBody);
  EXPECT_TRUE(life.state.planned);
}

TEST(Events, SayWhatIsWrongWithABody) {
  Event event = make_event("r", "a", 1, CheckpointTaken{.n = 1});
  event.seq = 7;
  event.body["bytes"] = -1;
  EXPECT_EQ(read_event<CheckpointTaken>(event).error().text(),
            "read checkpoint_taken (event 7): 'bytes' has a wrong type or value");
  event = make_event("r", "a", 1, AttemptEnded{});
  event.body["reason"] = "bored";
  EXPECT_EQ(read_event<AttemptEnded>(event).error().text(),
            "read attempt_ended (event 0): 'reason' has a wrong type or value");
  event.body = nlohmann::json::array();
  EXPECT_EQ(read_event<AttemptEnded>(event).error().text(), "read attempt_ended (event 0): the body is not an object");
}

TEST(Events, DescribeHowThingsEnded) {
  EXPECT_EQ(describe(AttemptEnded{.reason = EndReason::exited, .exit_code = 2}), "the command exited with status 2");
  EXPECT_EQ(describe(AttemptEnded{.reason = EndReason::out_of_memory, .detail = "limit 64Mi"}),
            "the command ran out of memory (limit 64Mi)");
  EXPECT_EQ(describe(AttemptEnded{.reason = EndReason::setup_failed, .step = "setup"}),
            "the command did not start: setup failed");
  EXPECT_EQ(
      describe(VerificationEnded{
          .stage = VerifyStage::base, .kind = VerifyKind::pass_to_pass, .reason = EndReason::signalled, .signal = 9}),
      "'pass_to_pass' was ended by SIGKILL on the base");
}

TEST(Events, PhasesFollowOnlyAsTheTableSays) {
  using enum AgentPhase;
  EXPECT_TRUE(may_follow(waiting, creating));
  EXPECT_TRUE(may_follow(verifying, ready));
  EXPECT_FALSE(may_follow(waiting, running));
  EXPECT_FALSE(may_follow(gone, waiting));
  EXPECT_FALSE(may_follow(merging, ready));
}

TEST(Events, WhatAPowerCutMustNotTakeBackIsPowerDurable) {
  for (const char* type : {"run_planned", "checkpoint_taken", "merge_intended", "merged", "run_finished"})
    EXPECT_EQ(durability_of(type), Durability::power) << type;
  for (const char* type : {"attempt_started", "boundary_seen", "import_intended", "verification_ended"})
    EXPECT_EQ(durability_of(type), Durability::process) << type;
}

}  // namespace
}  // namespace bulkhead::test
