#include <algorithm>
#include <set>

#include "supervisor/core/lifecycle/describe.h"
#include "supervisor/core/lifecycle/lifecycle.h"
#include "supervisor/core/lifecycle/rules.h"

namespace bulkhead {

namespace {

class Decider {
 public:
  Decider(const RunState& state, TimePoint now) : state_(state), now_(now), slots_(slots_taken(state)) {}

  std::vector<Action> run() {
    if (!state_.started || state_.finished) return {};
    if (!state_.planned) {
      // The plan is appended as one batch. Only something other than Bulkhead can have cut it.
      if (state_.supervisor > 1 || !state_.violation.empty())
        add(FinishRun{.outcome = RunOutcome::fault, .exit_code = 5, .cause = "its plan is not whole in the journal"});
      return std::move(actions_);
    }
    bases();
    // Those that go on get a slot before those that begin.
    for (const auto& [name, agent] : state_.agents) going_on(agent);
    for (const auto& [name, agent] : state_.agents) beginning(agent);
    finish();
    if (wake_) add(WakeAt{.time = *wake_});
    return std::move(actions_);
  }

 private:
  void add(Action action) { actions_.push_back(std::move(action)); }
  bool due(const Flight& flight) const { return !in_flight(state_, flight); }
  bool slot_free() const { return slots_ < state_.started->concurrency; }

  // Whether `delay` has passed since `from`; if not, remembers to come back. A clock that was set back has it passed.
  bool passed(TimePoint from, TimePoint until) {
    if (now_ >= until || now_ < from) return true;
    wake_ = wake_ ? std::min(*wake_, until) : until;
    return false;
  }

  void bases() {
    std::set<std::string> wanted;
    for (const auto& [name, agent] : state_.agents)
      if (agent.phase == AgentPhase::waiting && !agent.base.empty()) wanted.insert(agent.base);
    for (const std::string& commit : wanted) {
      const auto base = state_.bases.find(commit);
      if (base == state_.bases.end() || (!base->second.ready && due(base->second.flight)))
        add(PrepareBase{.commit = commit});
    }
  }

  void beginning(const AgentState& agent) {
    if (agent.phase != AgentPhase::waiting || !slot_free()) return;
    const auto base = state_.bases.find(agent.base);
    if (base == state_.bases.end() || !base->second.ready) return;
    ++slots_;
    add(CreateWorkspace{.agent = agent.name, .base = agent.base});
  }

  void going_on(const AgentState& agent) {
    switch (agent.phase) {
      case AgentPhase::waiting:
        return;
      case AgentPhase::creating:
        if (due(agent.flight)) add(CreateWorkspace{.agent = agent.name, .base = agent.base});
        return;
      case AgentPhase::ready:
        return start(agent);
      case AgentPhase::running:
        return running(agent, agent.attempts.back());
      case AgentPhase::saving:
        return saving(agent);
      case AgentPhase::importing:
        if (due(agent.flight))
          add(Import{.agent = agent.name,
                     .attempt = agent.attempts.back().number,
                     .from_checkpoint = agent.import_sources.front()});
        return;
      case AgentPhase::verifying:
        return verify(agent, agent.steps.front().stage == VerifyStage::base ? agent.base : agent.imported->tip);
      case AgentPhase::queued:
        if (state_.merge_queue.front() == agent.name) prepare_merge(agent);
        return;
      case AgentPhase::merging:
        return merging(agent);
      case AgentPhase::finishing:
        add(FinishAgent{.agent = agent.name, .outcome = agent.verdict->outcome, .cause = agent.verdict->cause});
        return;
      case AgentPhase::cleaning:
        if (due(agent.flight)) add(Cleanup{.agent = agent.name, .keep_files = state_.started->keep_workspaces});
        return;
      case AgentPhase::gone:
        return;
    }
  }

  void start(const AgentState& agent) {
    if (!passed(agent.backoff_from, agent.not_before)) return;
    if (!agent.holds_slot) {
      if (!slot_free()) return;
      ++slots_;
    }
    const CheckpointState* checkpoint = rules::last_checkpoint(agent);
    add(start_action(agent, static_cast<unsigned>(agent.attempts.size()) + 1,
                     checkpoint ? std::optional(checkpoint->n) : std::nullopt));
  }
  static StartAttempt start_action(const AgentState& agent, unsigned attempt, std::optional<unsigned> from) {
    // A checkpoint is taken of a running command, so its setup had been done.
    return {.agent = agent.name, .attempt = attempt, .from_checkpoint = from, .run_setup = agent.plan.setup && !from};
  }

  void kill(const AgentState& agent, EndReason cause) {
    const AttemptState& attempt = agent.attempts.back();
    if (due(attempt.kill)) add(Kill{.agent = agent.name, .attempt = attempt.number, .cause = cause});
  }

  void running(const AgentState& agent, const AttemptState& attempt) {
    if (rules::cancelled(state_, agent)) return kill(agent, EndReason::killed_by_request);
    if (attempt.idle) return kill(agent, EndReason::idle);
    if (!attempt.started) {
      if (due(attempt.flight)) add(start_action(agent, attempt.number, attempt.from_checkpoint));
      return;
    }
    for (const FaultState& fault : agent.faults)
      if (fault.attempt == attempt.number && !fault.injected && due(fault.flight) &&
          attempt.commits_saved >= fault.after_commits)
        add(InjectFault{.agent = agent.name, .attempt = attempt.number, .fault = fault.fault, .signal = fault.signal});
    checkpoint(agent, attempt);
  }

  void checkpoint(const AgentState& agent, const AttemptState& attempt) {
    if (const CheckpointState* open = rules::open_checkpoint(agent)) {
      if (due(open->flight)) take(agent, attempt, open->n, open->kind);
      return;  // a boundary seen meanwhile waits for it
    }
    const auto next = static_cast<unsigned>(agent.checkpoints.size()) + 1;
    if (attempt.commits > attempt.commits_intended) return take(agent, attempt, next, CheckpointKind::commit);
    if (agent.plan.checkpoint_every.count() == 0) return;
    if (passed(attempt.last_checkpoint_at, attempt.last_checkpoint_at + agent.plan.checkpoint_every))
      take(agent, attempt, next, CheckpointKind::timer);
  }

  void take(const AgentState& agent, const AttemptState& attempt, unsigned n, CheckpointKind kind) {
    add(TakeCheckpoint{.agent = agent.name,
                       .attempt = attempt.number,
                       .n = n,
                       .kind = kind,
                       .commits = attempt.commits,
                       .head = attempt.head});
  }

  void saving(const AgentState& agent) {
    const AttemptState& attempt = agent.attempts.back();
    if (const CheckpointState* open = rules::open_checkpoint(agent)) {
      if (due(open->flight)) take(agent, attempt, open->n, open->kind);
    } else if (rules::wants_result_checkpoint(state_, agent)) {
      take(agent, attempt, static_cast<unsigned>(agent.checkpoints.size()) + 1, CheckpointKind::result);
    } else if (rules::wants_last_checkpoint(state_, agent)) {
      take(agent, attempt, static_cast<unsigned>(agent.checkpoints.size()) + 1, CheckpointKind::commit);
    }
  }

  void verify(const AgentState& agent, const std::string& commit) {
    if (rules::cancelled(state_, agent)) return kill(agent, EndReason::killed_by_request);
    if (!due(agent.flight)) return;
    add(Verify{.agent = agent.name,
               .attempt = agent.attempts.back().number,
               .stage = agent.steps.front().stage,
               .kind = agent.steps.front().kind,
               .commit = commit});
  }

  void prepare_merge(const AgentState& agent) {
    add(PrepareMerge{.agent = agent.name, .into = state_.started->merge_into, .tip = agent.imported->tip});
  }

  void merging(const AgentState& agent) {
    if (!agent.merge.prepared) {
      if (due(agent.flight)) prepare_merge(agent);
      return;
    }
    const MergePrepared& prepared = *agent.merge.prepared;
    if (!agent.steps.empty()) return verify(agent, prepared.commit);
    if (due(agent.flight))
      add(Merge{.agent = agent.name,
                .into = state_.started->merge_into,
                .commit = prepared.commit,
                .expected_old = prepared.expected_old});
  }

  bool any(AgentOutcome outcome) const {
    return std::ranges::any_of(state_.agents,
                               [&](const auto& entry) { return entry.second.verdict->outcome == outcome; });
  }

  void finish() {
    for (const auto& [name, agent] : state_.agents)
      if (agent.phase != AgentPhase::gone) return;
    for (const auto& [commit, base] : state_.bases)
      if (in_flight(state_, base.flight)) return;
    if (!state_.violation.empty())
      return add(FinishRun{.outcome = RunOutcome::fault, .exit_code = 5, .cause = state_.violation});
    for (const auto& [commit, base] : state_.bases)
      if (!base.problem.empty())
        return add(FinishRun{
            .outcome = RunOutcome::fault, .exit_code = 5, .cause = "the base could not be prepared: " + base.problem});
    FinishRun end;
    if (any(AgentOutcome::cancelled))
      end = {.outcome = RunOutcome::cancelled, .exit_code = 1, .cause = state_.cancel_cause};
    else if (any(AgentOutcome::failed))
      end = {.outcome = RunOutcome::failed, .exit_code = 1};
    else if (any(AgentOutcome::conflict))
      end = {.outcome = RunOutcome::conflict, .exit_code = 7};
    else
      end = {.outcome = RunOutcome::done, .exit_code = 0};
    if (state_.started->pass_exit_status) end.exit_code = passed_status(end);
    add(std::move(end));
  }

  // `run -- CMD`: what a shell would say of the command.
  int passed_status(const FinishRun& end) const {
    if (end.outcome == RunOutcome::cancelled) return 130;
    const AttemptState* attempt = rules::current(state_.agents.begin()->second);
    if (end.outcome == RunOutcome::done || attempt == nullptr || !attempt->ended) return end.exit_code;
    const int status = exit_status(
        {.reason = attempt->ended->reason, .exit_code = attempt->ended->exit_code, .signal = attempt->ended->signal});
    return status == 0 ? end.exit_code : status;  // 0: it did well, what came after it did not
  }

  const RunState& state_;
  TimePoint now_;
  unsigned slots_;
  std::vector<Action> actions_;
  std::optional<TimePoint> wake_;
};

}  // namespace

std::vector<Action> decide(const RunState& state, TimePoint now) { return Decider(state, now).run(); }

unsigned slots_taken(const RunState& state) {
  return static_cast<unsigned>(
      std::ranges::count_if(state.agents, [](const auto& entry) { return entry.second.holds_slot; }));
}

}  // namespace bulkhead
