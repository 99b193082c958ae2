#include "tests/unit/lifecycle/simulation.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bulkhead::test {

unsigned World::alive() const {
  return static_cast<unsigned>(
      std::ranges::count_if(attempts, [](const auto& entry) { return !entry.second.ended.has_value(); }));
}

Simulation::Simulation(const Workflow& workflow, World world, unsigned seed, unsigned concurrency, bool single)
    : world_(std::move(world)), random_(seed) {
  const RunStarted facts{.workflow = "blob",
                         .base = "base",
                         .merge_into = workflow.merge_into(),
                         .merge_old = world_.target,
                         .concurrency = concurrency,
                         .pass_exit_status = single};
  for (Event& event : plan_events("r", facts, workflow, now_ms_)) append(std::move(event));
}

Simulation::Simulation(std::vector<Event> prefix, World world, unsigned seed)
    : journal_(std::move(prefix)), world_(std::move(world)), random_(seed) {
  state_ = fold(journal_);
  worlds_.assign(journal_.size(), world_);
  if (!journal_.empty()) now_ms_ = journal_.back().time_unix_ms + 1;
  take_over();
}

void Simulation::append(Event event) {
  event.seq = journal_.size() + 1;
  event.time_unix_ms = now_ms_;
  ASSERT_LE(event.body.dump().size(), kMaxEventBody);
  state_ = apply(std::move(state_), event);
  ASSERT_EQ(state_.violation, "") << to_json(event) << "\n" << text(state_);
  journal_.push_back(std::move(event));
  worlds_.push_back(world_);
  if (!state_.started) return;
  most_slots_ = std::max(most_slots_, slots_taken(state_));
  ASSERT_LE(slots_taken(state_), state_.started->concurrency) << text(state_);
  ASSERT_LE(world_.alive(), state_.started->concurrency) << text(state_);
}

// Does what is due until nothing is.
void Simulation::act() {
  for (;;) {
    const TimePoint now{std::chrono::milliseconds{now_ms_}};
    const std::vector<Action> actions = decide(state_, now);
    wake_.reset();
    bool acted = false;
    for (const Action& action : actions) {
      if (const auto* wake = std::get_if<WakeAt>(&action)) {
        ASSERT_GT(wake->time, now);
        ASSERT_EQ(&action, &actions.back());
        wake_ = wake->time;
        continue;
      }
      acted = true;
      append(intent_of(state_, action));
      if (testing::Test::HasFatalFailure()) return;
      if (std::holds_alternative<FinishAgent>(action) || std::holds_alternative<FinishRun>(action)) continue;
      if (const auto* killing = std::get_if<Kill>(&action)) {
        kill(*killing);
        if (testing::Test::HasFatalFailure()) return;
        continue;
      }
      pending_.push_back({.action = action});
      if (chance(2)) effect(pending_.back());
    }
    if (!acted) return;
  }
}

bool Simulation::step() {
  act();
  if (testing::Test::HasFatalFailure() || state_.finished) return false;
  if (cancel_after_ != 0 && journal_.size() >= cancel_after_ && !state_.cancel) {
    append(make_event("r", "", 0, RunCancelRequested{.cause = "interrupted"}));
    return true;
  }
  now_ms_ += std::uniform_int_distribution<int>(0, 40)(random_);
  // Either an answer comes in or a command does something. Which, is the seed's to say.
  std::vector<const AgentState*> running;
  for (const auto& [name, agent] : state_.agents)
    if (agent.phase == AgentPhase::running && agent.attempts.back().started) {
      const auto live = world_.attempts.find({name, agent.attempts.back().number});
      if (!world_.scripts[name].hangs || live->second.ended) running.push_back(&agent);
    }
  const std::size_t choices = pending_.size() + running.size();
  if (choices == 0) {
    EXPECT_TRUE(wake_) << "nothing goes on and nothing is due\n" << text(state_);
    if (!wake_) return false;
    now_ms_ = wake_->time_since_epoch().count();
    return true;
  }
  const std::size_t choice = std::uniform_int_distribution<std::size_t>(0, choices - 1)(random_);
  if (choice < pending_.size()) {
    Pending pending = pending_[choice];
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(choice));
    respond(std::move(pending));
  } else {
    progress(*running[choice - pending_.size()]);
  }
  return !testing::Test::HasFatalFailure();
}

void Simulation::run(unsigned crash_one_in) {
  for (unsigned steps = 0; step(); ++steps) {
    ASSERT_LT(steps, 20'000U) << "the run does not end\n" << text(state_);
    if (crash_one_in != 0 && chance(crash_one_in)) take_over();
  }
}

void Simulation::take_over() {
  pending_.clear();
  if (state_.finished || !state_.started) return;
  append(make_event("r", "", 0, SupervisorStarted{.pid = 1}));
  if (!world_.launcher_may_die || !chance(4)) return;
  // The launcher was gone too, and its sandboxes with it.
  for (auto& [name, live] : world_.attempts)
    if (!live.ended) live.ended = ended(EndReason::lost, -1);
}

const AttemptScript& Simulation::script(const AgentState& agent) const {
  const auto& attempts = world_.scripts.at(agent.name).attempts;
  return attempts[std::min<std::size_t>(agent.failures, attempts.size() - 1)];
}

AttemptEnded Simulation::ended(EndReason reason, int exit_code) const {
  return {.reason = reason, .exit_code = exit_code, .wall_ms = 7, .cpu_ms = 3, .peak_memory = 1 << 20};
}

void Simulation::progress(const AgentState& agent) {
  const unsigned number = agent.attempts.back().number;
  LiveAttempt& live = world_.attempts.at({agent.name, number});
  const std::string name = agent.name;  // append() changes the state that `agent` is part of
  const AttemptScript plan = script(agent);
  if (live.ended) return answer(name, number, *live.ended);
  if (live.commits < plan.commits) {
    ++live.commits;
    // A commit may happen and nobody see it before the next.
    if (chance(4)) return;
    return answer(name, number, BoundarySeen{.commits = live.commits, .head = "abc"});
  }
  // A command that a fault is meant for works until it is hit, mostly: a failed checkpoint may spare it.
  for (const FaultState& fault : agent.faults)
    if (fault.attempt == number && !fault.injected && !chance(20)) {
      if (fault.after_commits > agent.attempts.back().commits)
        answer(name, number, BoundarySeen{.commits = live.commits});
      return;
    }
  live.ended = ended(plan.reason, plan.exit_code);
}

void Simulation::kill(const Kill& action) {
  const std::pair key{action.agent, action.attempt};
  const AgentState& agent = state_.agents.at(action.agent);
  for (Pending& pending : pending_)
    if (agent_of(pending.action) == action.agent &&
        (std::holds_alternative<StartAttempt>(pending.action) || std::holds_alternative<Verify>(pending.action)))
      pending.killed = true;
  if (agent.phase == AgentPhase::running) {
    if (const auto live = world_.attempts.find(key); live != world_.attempts.end()) {
      if (!live->second.ended) live->second.ended = ended(action.cause, -1);
      // One that lives and was never journaled as started has nobody who waits for it.
      if (!agent.attempts.back().started && std::ranges::none_of(pending_, &Pending::killed))
        answer(action.agent, action.attempt, *live->second.ended);
    } else if (std::ranges::none_of(pending_, &Pending::killed)) {
      answer(action.agent, action.attempt, ended(action.cause, -1));
    }
    return;
  }
  EXPECT_TRUE(std::ranges::any_of(pending_, &Pending::killed)) << "nobody is there to answer for what was killed";
}

// What an action does to the host.
struct Simulation::Effect {
  Simulation& s;
  const Pending& pending;

  void operator()(const CreateWorkspace& a) const { s.world_.workspaces.insert(a.agent); }
  void operator()(const StartAttempt& a) const {
    EXPECT_TRUE(s.world_.workspaces.contains(a.agent));
    if (a.from_checkpoint) {
      EXPECT_TRUE(s.world_.checkpoints.contains({a.agent, *a.from_checkpoint}));
    }
    if (!pending.killed) s.world_.attempts.try_emplace({a.agent, a.attempt});
  }
  void operator()(const InjectFault& a) const {
    LiveAttempt& live = s.world_.attempts.at({a.agent, a.attempt});
    if (!live.ended) live.ended = s.ended(EndReason::fault_injected, -1);
  }
  void operator()(const Import& a) const {
    const auto attempt = s.world_.attempts.find({a.agent, a.attempt});
    EXPECT_TRUE(attempt == s.world_.attempts.end() || attempt->second.ended) << "imported while it ran";
    s.world_.branches[a.agent] = "tip-" + a.agent + std::to_string(a.attempt);
  }
  void operator()(const Merge& a) const {
    if (s.world_.outsider_moves > 0) {
      --s.world_.outsider_moves;
      s.world_.target += "+";
    }
    if (s.world_.target != a.expected_old) return;
    s.world_.target = a.commit;
    ++s.world_.moves[a.agent];
  }
  void operator()(const Cleanup& a) const { s.world_.workspaces.erase(a.agent); }
  void operator()(const auto&) const {}  // only their answers matter
};

void Simulation::effect(Pending& pending) {
  if (pending.done) return;
  pending.done = true;
  std::visit(Effect{*this, pending}, pending.action);
}

// What is journaled once it is done.
struct Simulation::Answer {
  Simulation& s;
  const Pending& pending;

  void operator()(const PrepareBase& a) const {
    if (s.world_.base_fails)
      return s.answer("", 0, BaseFailed{.commit = a.commit, .reason = "no space left on device"});
    s.answer("", 0, BaseReady{.commit = a.commit, .path = "/base"});
  }
  void operator()(const CreateWorkspace& a) const {
    if (s.world_.scripts[a.agent].workspace_fails)
      return s.answer(a.agent, 0, WorkspaceFailed{.reason = "no space left on device"});
    s.answer(a.agent, 0, WorkspaceReady{.range_base = 0x70000000, .branch = "bulkhead/r/" + a.agent});
  }
  void operator()(const StartAttempt& a) const {
    if (pending.killed) {
      auto live = s.world_.attempts.find({a.agent, a.attempt});
      if (live != s.world_.attempts.end() && !live->second.ended)
        live->second.ended = s.ended(EndReason::killed_by_request, -1);
      return s.answer(a.agent, a.attempt, s.ended(EndReason::killed_by_request, -1));
    }
    s.answer(a.agent, a.attempt, AttemptStarted{.pid = 42, .start_time = 1, .boot_id = "b", .cgroup = "c"});
  }
  void operator()(const TakeCheckpoint& a) const {
    EXPECT_TRUE(a.kind != CheckpointKind::result || s.world_.attempts.at({a.agent, a.attempt}).ended);
    if (s.chance(8))
      return s.answer(a.agent, a.attempt, CheckpointFailed{.n = a.n, .reason = "no space left on device"});
    s.world_.checkpoints.insert({a.agent, a.n});
    s.answer(a.agent, a.attempt, CheckpointTaken{.n = a.n, .bytes = 10, .files = 1});
  }
  void operator()(const InjectFault& a) const {
    s.answer(a.agent, a.attempt, FaultInjected{.fault = a.fault, .what = "SIGKILL"});
  }
  void operator()(const Import& a) const {
    unsigned& fail = s.world_.scripts[a.agent].imports_fail;
    if (fail > 0) {
      --fail;
      return s.answer(a.agent, a.attempt, ImportFailed{.reason = "index-pack: bad object"});
    }
    s.answer(a.agent, a.attempt, Imported{.tip = s.world_.branches[a.agent], .commits = 2, .files_changed = 3});
  }
  void operator()(const Verify& a) const {
    const AgentScript& script = s.world_.scripts[a.agent];
    VerificationEnded ended{.stage = a.stage, .kind = a.kind, .reason = EndReason::exited, .exit_code = 0};
    if (pending.killed) {
      ended.reason = EndReason::killed_by_request;
    } else if (a.stage == VerifyStage::base) {
      EXPECT_EQ(a.commit, s.state_.agents.at(a.agent).base);
      ended.exit_code = a.kind == VerifyKind::fail_to_pass && !script.fail_to_pass_proves_nothing ? 1 : 0;
    } else if (a.stage == VerifyStage::merged) {
      ended.exit_code = script.merged_tree_fails ? 1 : 0;
    } else {
      EXPECT_EQ(a.commit, s.world_.branches[a.agent]);
      ended.exit_code = s.state_.agents.at(a.agent).failures < script.result_fails ? 1 : 0;
    }
    s.answer(a.agent, a.attempt, ended);
  }
  void operator()(const PrepareMerge& a) const {
    const bool first = s.world_.target == "old";
    if (!first && s.world_.scripts[a.agent].conflicts)
      return s.answer(a.agent, 0, MergeConflict{.paths = {"main.c"}, .total = 1});
    s.answer(a.agent, 0,
             MergePrepared{.commit = first ? a.tip : "m(" + s.world_.target + "," + a.agent + ")",
                           .expected_old = s.world_.target,
                           .fast_forward = first});
  }
  void operator()(const Merge& a) const {
    if (s.world_.target == a.commit) return s.answer(a.agent, 0, Merged{.commit = a.commit});
    s.answer(a.agent, 0, MergeStale{.found = s.world_.target});
  }
  void operator()(const Cleanup& a) const { s.answer(a.agent, 0, Cleaned{}); }
  void operator()(const Kill&) const { FAIL(); }
  void operator()(const FinishAgent&) const { FAIL(); }
  void operator()(const FinishRun&) const { FAIL(); }
  void operator()(const WakeAt&) const { FAIL(); }
};

void Simulation::respond(Pending pending) {
  effect(pending);
  std::visit(Answer{*this, pending}, pending.action);
}

void Simulation::check_end() const {
  ASSERT_TRUE(state_.finished) << text(state_);
  EXPECT_EQ(journal_.back().type, "run_finished");
  EXPECT_EQ(world_.alive(), 0U) << text(state_);
  EXPECT_TRUE(world_.workspaces.empty()) << "left behind: " << *world_.workspaces.begin();
  EXPECT_TRUE(state_.merge_queue.empty());
  EXPECT_EQ(slots_taken(state_), 0U);
  for (const auto& [name, agent] : state_.agents) {
    const auto moved = world_.moves.find(name);
    EXPECT_EQ(moved == world_.moves.end() ? 0U : moved->second, agent.merged ? 1U : 0U) << name;
    for (const AttemptState& attempt : agent.attempts) EXPECT_TRUE(attempt.ended) << name;
  }
  EXPECT_TRUE(decide(state_, TimePoint::max()).empty());
}

}  // namespace bulkhead::test
