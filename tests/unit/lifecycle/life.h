// A run told event by event: for tests of single rules.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "supervisor/core/lifecycle/lifecycle.h"
#include "supervisor/core/workflow/workflow.h"

namespace bulkhead::test {

class Life {
 public:
  explicit Life(const std::string& workflow, unsigned concurrency = 4, RunStarted facts = {}) {
    const Result<Workflow> checked = Workflow::from_json(nlohmann::json::parse(workflow));
    EXPECT_TRUE(checked) << checked.error().text();
    facts.base = "base";
    facts.merge_into = checked->merge_into();
    facts.concurrency = concurrency;
    for (Event& event : plan_events("r", facts, *checked, 0)) take(std::move(event));
  }

  // What is due, a line each; its intents are journaled.
  std::string due() {
    std::string out;
    for (;;) {
      const std::vector<Action> actions = decide(state, TimePoint{std::chrono::milliseconds{now}});
      bool acted = false;
      std::string wake;
      for (const Action& action : actions) {
        if (std::holds_alternative<WakeAt>(action)) {
          wake = text(action) + "\n";
          continue;
        }
        out += text(action) + "\n";
        take(intent_of(state, action));
        acted = true;
      }
      if (!acted) return out + wake;
    }
  }

  template <class T>
  void say(const std::string& agent, unsigned attempt, const T& body) {
    take(make_event("r", agent, attempt, body));
  }

  // To a running first attempt of every agent that may begin.
  void to_running() {
    due();
    say("", 0, BaseReady{.commit = "base", .path = "/base"});
    due();
    for (const auto& [name, agent] : RunState(state).agents)
      if (agent.phase == AgentPhase::creating) say(name, 0, WorkspaceReady{.range_base = 1, .branch = "b/" + name});
    due();
    for (const auto& [name, agent] : RunState(state).agents)
      if (agent.phase == AgentPhase::running) say(name, 1, AttemptStarted{.pid = 1});
  }
  void commit(const std::string& agent, unsigned attempt, unsigned commits, unsigned n) {
    say(agent, attempt, BoundarySeen{.commits = commits, .head = "h" + std::to_string(commits)});
    due();
    say(agent, attempt, CheckpointTaken{.n = n});
  }
  void exits(const std::string& agent, unsigned attempt, int status) {
    say(agent, attempt, AttemptEnded{.reason = EndReason::exited, .exit_code = status});
  }
  void imported(const std::string& agent, unsigned attempt, std::uint64_t commits = 1) {
    say(agent, attempt, Imported{.tip = "tip-" + agent, .commits = commits});
  }
  const AgentState& agent(const std::string& name) const { return state.agents.at(name); }

  void take(Event event) {
    event.seq = ++seq;
    event.time_unix_ms = now;
    state = apply(std::move(state), event);
    events.push_back(std::move(event));
  }

  RunState state;
  std::vector<Event> events;
  std::int64_t now = 0;
  std::uint64_t seq = 0;
};

}  // namespace bulkhead::test
