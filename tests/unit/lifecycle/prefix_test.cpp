// Runs of whole workflows over a make-believe host: in many orders, with supervisors that die after any event.
#include <gtest/gtest.h>

#include "tests/unit/lifecycle/simulation.h"

namespace bulkhead::test {
namespace {

struct Scenario {
  std::string name;
  std::string workflow;
  World world;
  std::string outcome;
  unsigned concurrency = 2;
  std::size_t cancel_after = 0;
};

std::ostream& operator<<(std::ostream& out, const Scenario& scenario) { return out << scenario.name; }

AgentScript goes(std::vector<AttemptScript> attempts) {
  AgentScript script;
  script.attempts = std::move(attempts);
  return script;
}

constexpr AttemptScript kWell{};
constexpr AttemptScript kFails{.commits = 2, .exit_code = 3};
constexpr AttemptScript kOutOfMemory{.commits = 1, .reason = EndReason::out_of_memory, .exit_code = -1};

std::vector<Scenario> scenarios() {
  const std::string four = R"({"version":1,"merge":{"into":"m"},"defaults":{"command":"x","verify":"t",
      "restart":{"attempts":2,"backoff":"100ms"}},"tasks":{"a":{},"b":{},"c":{},"d":{}},
      "faults":[{"agent":"b","after":{"commits":1},"action":{"signal":"KILL"}}]})";
  const std::string chain = R"({"version":1,"merge":{"into":"m"},"defaults":{"command":"x"},
      "tasks":{"a":{},"b":{"needs":["a"]},"c":{"needs":["a","b"]},"d":{"needs":["c"]}}})";
  const std::string checked = R"({"version":1,"merge":{"into":"m"},"defaults":{"command":"x","setup":"s",
      "verify":{"pass":"p","fail_to_pass":"f","pass_to_pass":"q"},"restart":{"attempts":3,"backoff":"1s"},
      "checkpoint":{"every":"1s"}},"tasks":{"a":{},"b":{},"c":{}}})";
  const std::string single = R"({"version":1,"tasks":{"agent":{"command":["x"]}}})";

  std::vector<Scenario> all;
  all.push_back({"FourWithAFault", four, {}, "done"});
  all.push_back({"OneAtATime", four, {}, "done", 1});
  all.push_back({"Chain", chain, {}, "done"});
  all.push_back({"ChainBreaks", chain, {.scripts = {{"b", goes({kFails})}}}, "failed"});
  all.push_back({"SecondAttemptDoesIt",
                 four,
                 {.scripts = {{"a", goes({kFails, kWell})}, {"d", goes({kOutOfMemory, kWell})}}},
                 "done"});
  all.push_back({"AllAttemptsFail", four, {.scripts = {{"c", goes({kFails})}}}, "failed"});
  all.push_back({"AllKindsOfVerification", checked, {}, "done"});
  AgentScript twice;
  twice.result_fails = 2;
  all.push_back({"VerificationFailsTwice", checked, {.scripts = {{"b", twice}}}, "done"});
  AgentScript always;
  always.result_fails = 100;
  all.push_back({"VerificationFailsAlways", checked, {.scripts = {{"b", always}}}, "failed"});
  AgentScript proves_nothing;
  proves_nothing.fail_to_pass_proves_nothing = true;
  all.push_back({"FailToPassPassesOnTheBase", checked, {.scripts = {{"a", proves_nothing}}}, "failed"});
  AgentScript conflicts;
  conflicts.conflicts = true;
  all.push_back({"TwoConflict", four, {.scripts = {{"a", conflicts}, {"b", conflicts}, {"c", conflicts}}}, "conflict"});
  AgentScript merged_fails;
  merged_fails.merged_tree_fails = true;
  all.push_back({"MergedTreeFails",
                 checked,
                 {.scripts = {{"a", merged_fails}, {"b", merged_fails}, {"c", merged_fails}}},
                 "conflict"});
  all.push_back({"SomebodyElseMovesTheTarget", four, {.outsider_moves = 3}, "done"});
  all.push_back({"BaseFails", four, {.base_fails = true}, "fault"});
  AgentScript no_workspace;
  no_workspace.workspace_fails = true;
  all.push_back({"WorkspaceFails", four, {.scripts = {{"c", no_workspace}}}, "failed"});
  AgentScript unreadable;
  unreadable.imports_fail = 9;
  all.push_back({"ImportFails", four, {.scripts = {{"d", unreadable}}}, "failed"});
  all.push_back({"LauncherDiesToo", four, {.launcher_may_die = true}, "done"});
  all.push_back({"Single", single, {}, "done"});
  all.push_back({"SingleFails", single, {.scripts = {{"agent", goes({kFails})}}}, "failed"});
  AgentScript hangs;
  hangs.hangs = true;
  all.push_back({"CancelledWhileOneHangs", four, {.scripts = {{"a", hangs}}}, "cancelled", 2, 40});
  all.push_back({"CancelledAtOnce", four, {}, "cancelled", 2, 9});
  for (Scenario& scenario : all) {
    const Result<Workflow> workflow = Workflow::from_json(nlohmann::json::parse(scenario.workflow));
    for (const auto& [name, task] : workflow.value().tasks()) scenario.world.scripts.try_emplace(name);
  }
  return all;
}

class Lifecycle : public testing::TestWithParam<Scenario> {
 protected:
  Simulation start(unsigned seed) const {
    const Result<Workflow> workflow = Workflow::from_json(nlohmann::json::parse(GetParam().workflow));
    Simulation simulation(*workflow, GetParam().world, seed, GetParam().concurrency);
    simulation.cancel_after(GetParam().cancel_after);
    return simulation;
  }
};

TEST_P(Lifecycle, EndsTheSameInEveryOrder) {
  for (unsigned seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    Simulation simulation = start(seed);
    simulation.run();
    simulation.check_end();
    ASSERT_FALSE(HasFailure()) << text(simulation.state());
    ASSERT_EQ(word(simulation.state().finished->outcome), GetParam().outcome) << text(simulation.state());
    ASSERT_EQ(fold(simulation.journal()), simulation.state());
  }
}

TEST_P(Lifecycle, AnyPrefixOfTheJournalCanBeContinued) {
  for (unsigned seed = 0; seed < 2; ++seed) {
    Simulation whole = start(seed);
    whole.run();
    ASSERT_FALSE(HasFatalFailure());
    // The plan is one batch: shorter prefixes do not exist.
    std::size_t length = 0;
    while (whole.journal()[length++].type != RunPlanned::type) continue;
    for (; length < whole.journal().size(); ++length) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", died after event " + std::to_string(length) + " (" +
                   whole.journal()[length - 1].type + ")");
      Simulation next({whole.journal().begin(), whole.journal().begin() + static_cast<std::ptrdiff_t>(length)},
                      whole.worlds()[length - 1], seed + 1'000);
      if (GetParam().cancel_after != 0) next.cancel_after(std::max(GetParam().cancel_after, length));
      next.run();
      next.check_end();
      ASSERT_FALSE(HasFailure()) << text(next.state());
      ASSERT_EQ(word(next.state().finished->outcome), GetParam().outcome) << text(next.state());
    }
  }
}

TEST_P(Lifecycle, EndsTheSameHoweverOftenSupervisorsDie) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    Simulation simulation = start(seed);
    simulation.run(10);
    simulation.check_end();
    ASSERT_FALSE(HasFailure()) << text(simulation.state());
    if (GetParam().world.launcher_may_die) continue;  // that often, it may well be too often
    ASSERT_EQ(word(simulation.state().finished->outcome), GetParam().outcome) << text(simulation.state());
  }
}

TEST_P(Lifecycle, CanBeCancelledAtAnyTime) {
  Simulation whole = start(1);
  whole.run();
  for (std::size_t when = 8; when < whole.journal().size(); ++when)
    for (unsigned crash_one_in : {0, 12}) {
      SCOPED_TRACE("after event " + std::to_string(when));
      Simulation simulation = start(1);
      simulation.cancel_after(when);
      simulation.run(crash_one_in);
      simulation.check_end();
      ASSERT_FALSE(HasFailure()) << text(simulation.state());
      // It may have come too late for some, but none is left running, and none is begun.
      bool cancelled = false;
      for (const Event& event : simulation.journal()) {
        cancelled = cancelled || event.type == RunCancelRequested::type;
        ASSERT_FALSE(cancelled && event.type == WorkspaceIntended::type);
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Over, Lifecycle, testing::ValuesIn(scenarios()),
                         [](const auto& info) { return info.param.name; });

TEST(LifecycleInParallel, UsesEverySlotThereIs) {
  const auto workflow = Workflow::from_json(nlohmann::json::parse(
      R"({"version":1,"defaults":{"command":"x"},"tasks":{"a":{},"b":{},"c":{},"d":{},"e":{}}})"));
  World world;
  for (const char* name : {"a", "b", "c", "d", "e"}) world.scripts.try_emplace(name);
  Simulation simulation(*workflow, world, 1, 3);
  simulation.run();
  simulation.check_end();
  EXPECT_EQ(simulation.most_slots(), 3U);
}

}  // namespace
}  // namespace bulkhead::test
