#include "supervisor/core/lifecycle/rules.h"

#include <algorithm>

#include "supervisor/core/lifecycle/describe.h"
#include "supervisor/core/lifecycle/lifecycle.h"

namespace bulkhead::rules {

namespace {

constexpr std::chrono::milliseconds kLongestBackoff = std::chrono::minutes{10};

// Doubles with each failure; a back-off that was asked to be longer than the bound stays as it is.
std::chrono::milliseconds backoff_after(const AgentPlan& plan, unsigned failures) {
  std::chrono::milliseconds delay = plan.backoff;
  for (unsigned i = 1; i < failures && delay < kLongestBackoff; ++i) delay *= 2;
  return std::max(plan.backoff, std::min(delay, kLongestBackoff));
}

void retry(RunState& state, AgentState& agent, TimePoint when, std::chrono::milliseconds delay) {
  agent.backoff_from = when;
  agent.not_before = when + delay;
  move(state, agent, AgentPhase::ready);
}

std::string cancel_cause(const RunState& state, const AgentState& agent) {
  if (!state.violation.empty()) return "Bulkhead stopped the run: " + state.violation;
  return agent.cancel ? agent.cancel_cause : state.cancel_cause;
}

void after_attempt(RunState& state, AgentState& agent) {
  const AttemptState& attempt = agent.attempts.back();
  const AttemptEnded& ended = *attempt.ended;
  if (cancelled(state, agent)) return close(state, agent, AgentOutcome::cancelled, cancel_cause(state, agent));
  if (ended.reason == EndReason::exited && ended.exit_code == 0) {
    agent.lost_in_a_row = 0;
    agent.import_sources = {std::nullopt};
    return move(state, agent, AgentPhase::importing);
  }
  if (ended.reason == EndReason::lost && ++agent.lost_in_a_row <= kMostLost)
    return retry(state, agent, attempt.ended_at, agent.plan.backoff);
  attempt_failed(state, agent, attempt.ended_at, describe(ended));
}

std::string failed_need(const RunState& state, const AgentState& agent) {
  for (const std::string& need : agent.plan.needs) {
    const AgentState& other = state.agents.at(need);
    if (other.phase < AgentPhase::cleaning || other.verdict->outcome == AgentOutcome::done) continue;
    switch (other.verdict->outcome) {
      case AgentOutcome::conflict:
        return "needs " + need + ", which could not be merged";
      case AgentOutcome::cancelled:
        return "needs " + need + ", which was cancelled";
      case AgentOutcome::failed:
      case AgentOutcome::done:
        return "needs " + need + ", which failed";
    }
  }
  return {};
}

void settle_waiting(RunState& state, AgentState& agent) {
  if (std::string cause = failed_need(state, agent); !cause.empty())
    return close(state, agent, AgentOutcome::failed, std::move(cause));
  // What its needs did is in the target, so that is where it starts. Without a merge there is no such place.
  if (agent.base.empty() && needs_done(state, agent))
    agent.base = agent.plan.needs.empty() || state.target.empty() ? state.started->base : state.target;
  if (const auto base = state.bases.find(agent.base); base != state.bases.end() && !base->second.problem.empty())
    close(state, agent, AgentOutcome::failed, "its base could not be prepared: " + base->second.problem);
}

void settle_agent(RunState& state, AgentState& agent) {
  const bool stop = cancelled(state, agent);
  const auto cancel = [&] {
    leave_queue(state, agent);
    close(state, agent, AgentOutcome::cancelled, cancel_cause(state, agent));
  };
  switch (agent.phase) {
    case AgentPhase::waiting:
      if (stop) return cancel();
      return settle_waiting(state, agent);
    case AgentPhase::creating:
      // A half-made workspace of an earlier supervisor is clean-up's to find.
      if (stop && !in_flight(state, agent.flight)) cancel();
      return;
    case AgentPhase::ready:
    case AgentPhase::queued:
      if (stop) cancel();
      return;
    case AgentPhase::saving:
      if (open_checkpoint(agent) == nullptr && !wants_result_checkpoint(state, agent) &&
          !wants_last_checkpoint(state, agent))
        after_attempt(state, agent);
      return;
    case AgentPhase::verifying:
      // One that runs is ended first (decide() answers with Kill). One of a dead supervisor has nobody to answer for
      // it; whoever takes over ends what lives.
      if (stop && !in_flight(state, agent.flight)) cancel();
      return;
    case AgentPhase::merging:
      // A branch that may have moved has to arrive.
      if (stop && !agent.merge.moving && !in_flight(state, agent.flight)) cancel();
      return;
    case AgentPhase::running:
    case AgentPhase::importing:
    case AgentPhase::finishing:
    case AgentPhase::cleaning:
    case AgentPhase::gone:
      return;
  }
}

void verified(RunState& state, AgentState& agent) {
  if (state.started->merge_into.empty()) return close(state, agent, AgentOutcome::done, "");
  if (agent.imported->commits == 0) return close(state, agent, AgentOutcome::done, "no commits to merge");
  state.merge_queue.push_back(agent.name);
  move(state, agent, AgentPhase::queued);
}

void add_steps(AgentState& agent, VerifyStage stage) {
  for (VerifyKind kind : {VerifyKind::pass, VerifyKind::fail_to_pass, VerifyKind::pass_to_pass}) {
    if (stage == VerifyStage::base && kind == VerifyKind::pass) continue;
    if (std::ranges::find(agent.plan.verify, kind) != agent.plan.verify.end())
      agent.steps.push_back({.stage = stage, .kind = kind});
  }
}

std::string not_satisfied(const VerificationEnded& ended) {
  if (ended.stage == VerifyStage::base && ended.kind == VerifyKind::fail_to_pass && ended.reason == EndReason::exited)
    return "verification: 'fail_to_pass' passes on the base already, so it proves nothing about the result";
  return "verification: " + describe(ended);
}

}  // namespace

void violate(RunState& state, std::string what) {
  if (state.violation.empty()) state.violation = std::move(what);
}

void move(RunState& state, AgentState& agent, AgentPhase to) {
  if (!may_follow(agent.phase, to))
    violate(state, agent.name + " cannot go from " + std::string(name(agent.phase)) + " to " + std::string(name(to)));
  agent.phase = to;
}

bool cancelled(const RunState& state, const AgentState& agent) {
  return state.cancel || agent.cancel || !state.violation.empty();
}

bool attempts_left(const AgentState& agent) { return agent.failures + 1 < agent.plan.attempts; }

const AttemptState* current(const AgentState& agent) {
  return agent.attempts.empty() ? nullptr : &agent.attempts.back();
}
AttemptState* current(AgentState& agent) { return agent.attempts.empty() ? nullptr : &agent.attempts.back(); }

const CheckpointState* open_checkpoint(const AgentState& agent) {
  if (agent.checkpoints.empty() || agent.checkpoints.back().is != CheckpointState::Is::open) return nullptr;
  return &agent.checkpoints.back();
}

const CheckpointState* last_checkpoint(const AgentState& agent) {
  for (auto c = agent.checkpoints.rbegin(); c != agent.checkpoints.rend(); ++c)
    if (c->is == CheckpointState::Is::taken) return &*c;
  return nullptr;
}

bool wants_result_checkpoint(const RunState& state, const AgentState& agent) {
  const AttemptState* attempt = current(agent);
  if (attempt == nullptr || !attempt->ended || cancelled(state, agent)) return false;
  if (attempt->ended->reason != EndReason::exited || attempt->ended->exit_code != 0) return false;
  if (agent.plan.verify.empty() || !attempts_left(agent)) return false;
  return std::ranges::none_of(agent.checkpoints, [&](const CheckpointState& c) {
    return c.attempt == attempt->number && c.kind == CheckpointKind::result;
  });
}

bool wants_last_checkpoint(const RunState& state, const AgentState& agent) {
  const AttemptState* attempt = current(agent);
  if (attempt == nullptr || !attempt->ended || cancelled(state, agent)) return false;
  if (attempt->ended->reason == EndReason::exited && attempt->ended->exit_code == 0) return false;
  if (attempt->ended->reason != EndReason::lost && !attempts_left(agent)) return false;  // import reads the workspace
  return attempt->commits > attempt->commits_intended;
}

bool needs_done(const RunState& state, const AgentState& agent) {
  return std::ranges::all_of(agent.plan.needs, [&](const std::string& need) {
    const AgentState& other = state.agents.at(need);
    return other.phase >= AgentPhase::cleaning && other.verdict->outcome == AgentOutcome::done;
  });
}

void settle(RunState& state) {
  if (!state.planned || state.finished) return;
  for (auto& [name, agent] : state.agents) settle_agent(state, agent);
}

void close(RunState& state, AgentState& agent, AgentOutcome outcome, std::string cause) {
  if (!agent.verdict) agent.verdict = Verdict{.outcome = outcome, .cause = std::move(cause)};
  // What it did is kept on its branch, also when it failed: first as the last attempt left it, else from a checkpoint.
  agent.import_sources.clear();
  if (const AttemptState* attempt = current(agent); attempt && agent.imported_attempt != attempt->number) {
    if (attempt->started) agent.import_sources.emplace_back(std::nullopt);
    if (const CheckpointState* checkpoint = last_checkpoint(agent)) agent.import_sources.emplace_back(checkpoint->n);
  }
  if (!agent.import_sources.empty()) return move(state, agent, AgentPhase::importing);
  agent.holds_slot = false;
  move(state, agent, AgentPhase::finishing);
}

void attempt_failed(RunState& state, AgentState& agent, TimePoint when, std::string cause) {
  const bool again = attempts_left(agent);
  agent.lost_in_a_row = 0;
  ++agent.failures;
  if (again) return retry(state, agent, when, backoff_after(agent.plan, agent.failures));
  if (agent.plan.attempts > 1) cause += "; all " + std::to_string(agent.plan.attempts) + " attempts are used up";
  close(state, agent, AgentOutcome::failed, std::move(cause));
}

void import_done(RunState& state, AgentState& agent) {
  agent.import_sources.clear();
  agent.imported_attempt = agent.attempts.back().number;
  agent.holds_slot = false;
  if (!agent.verdict && cancelled(state, agent))
    agent.verdict = Verdict{.outcome = AgentOutcome::cancelled, .cause = cancel_cause(state, agent)};
  if (agent.verdict) return move(state, agent, AgentPhase::finishing);
  agent.steps.clear();
  if (!agent.base_verified) add_steps(agent, VerifyStage::base);
  add_steps(agent, VerifyStage::result);
  if (agent.steps.empty()) return verified(state, agent);
  move(state, agent, AgentPhase::verifying);
}

void import_failed(RunState& state, AgentState& agent, const std::string& reason) {
  agent.import_sources.erase(agent.import_sources.begin());
  if (!agent.verdict) {
    // An attempt that ended well: its result is unreadable, an earlier checkpoint of the work may not be.
    agent.verdict = Verdict{.outcome = AgentOutcome::failed, .cause = "its work could not be imported: " + reason};
    for (auto c = agent.checkpoints.rbegin(); c != agent.checkpoints.rend(); ++c)
      if (c->is == CheckpointState::Is::taken && c->kind != CheckpointKind::result) {
        agent.import_sources.emplace_back(c->n);
        break;
      }
  }
  if (!agent.import_sources.empty()) return;  // decide() tries the next one
  agent.holds_slot = false;
  move(state, agent, AgentPhase::finishing);
}

void verification_done(RunState& state, AgentState& agent, const VerificationEnded& ended, TimePoint when) {
  if (cancelled(state, agent)) return;                                                // settle() closes it
  if (ended.reason == EndReason::lost && ++agent.lost_in_a_row <= kMostLost) return;  // the same step again
  if (satisfied(ended)) {
    agent.lost_in_a_row = 0;
    agent.steps.erase(agent.steps.begin());
    if (agent.phase == AgentPhase::merging) return;
    agent.base_verified = agent.steps.empty() || agent.steps.front().stage == VerifyStage::result;
    if (agent.steps.empty()) verified(state, agent);
    return;
  }
  switch (ended.stage) {
    case VerifyStage::base:  // the agent has no part in it: another attempt would not help
      return close(state, agent, AgentOutcome::failed, not_satisfied(ended));
    case VerifyStage::result:
      agent.attempts.back().verification_failed = true;
      return attempt_failed(state, agent, when, not_satisfied(ended));
    case VerifyStage::merged:
      leave_queue(state, agent);
      return close(state, agent, AgentOutcome::conflict, "merges without a textual conflict, but " + describe(ended));
  }
}

void merge_prepared(AgentState& agent) {
  agent.steps.clear();
  if (!agent.merge.prepared->fast_forward) add_steps(agent, VerifyStage::merged);
}

void leave_queue(RunState& state, const AgentState& agent) { std::erase(state.merge_queue, agent.name); }

}  // namespace bulkhead::rules
