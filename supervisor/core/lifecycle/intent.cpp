#include <array>
#include <stdexcept>

#include "supervisor/core/lifecycle/lifecycle.h"

namespace bulkhead {

namespace {

struct Intent {
  const std::string& run;

  Event operator()(const PrepareBase& a) const { return make_event(run, "", 0, BaseIntended{.commit = a.commit}); }
  Event operator()(const CreateWorkspace& a) const {
    return make_event(run, a.agent, 0, WorkspaceIntended{.base = a.base});
  }
  Event operator()(const StartAttempt& a) const {
    return make_event(run, a.agent, a.attempt, AttemptIntended{.from_checkpoint = a.from_checkpoint});
  }
  Event operator()(const TakeCheckpoint& a) const {
    return make_event(run, a.agent, a.attempt,
                      CheckpointIntended{.n = a.n, .kind = a.kind, .commits = a.commits, .head = a.head});
  }
  Event operator()(const InjectFault& a) const {
    return make_event(run, a.agent, a.attempt, FaultIntended{.fault = a.fault});
  }
  Event operator()(const Kill& a) const { return make_event(run, a.agent, a.attempt, KillIntended{.cause = a.cause}); }
  Event operator()(const Import& a) const {
    return make_event(run, a.agent, a.attempt, ImportIntended{.from_checkpoint = a.from_checkpoint});
  }
  Event operator()(const Verify& a) const {
    return make_event(run, a.agent, a.attempt,
                      VerificationIntended{.stage = a.stage, .kind = a.kind, .commit = a.commit});
  }
  Event operator()(const PrepareMerge& a) const {
    return make_event(run, a.agent, 0, MergePrepareIntended{.into = a.into});
  }
  Event operator()(const Merge& a) const {
    return make_event(run, a.agent, 0,
                      MergeIntended{.into = a.into, .commit = a.commit, .expected_old = a.expected_old});
  }
  Event operator()(const FinishAgent& a) const {
    return make_event(run, a.agent, 0, AgentFinished{.outcome = a.outcome, .cause = a.cause});
  }
  Event operator()(const Cleanup& a) const { return make_event(run, a.agent, 0, CleanupIntended{}); }
  Event operator()(const FinishRun& a) const {
    return make_event(run, "", 0, RunFinished{.outcome = a.outcome, .exit_code = a.exit_code, .cause = a.cause});
  }
  Event operator()(const WakeAt&) const { throw std::logic_error("a timer has no intent"); }
};

}  // namespace

Event intent_of(const RunState& state, const Action& action) { return std::visit(Intent{state.run}, action); }

// Where a power cut between the event and the next one would leave the world ahead of the journal in a way that folding
// cannot repair: a moved branch, a checkpoint that a report already promised, a run that was said to be accepted or
// over.
Durability durability_of(std::string_view type) {
  static constexpr std::array<std::string_view, 8> kPower = {
      RunStarted::type,    RunPlanned::type, CheckpointTaken::type, Imported::type,
      MergeIntended::type, Merged::type,     AgentFinished::type,   RunFinished::type};
  for (const std::string_view power : kPower)
    if (power == type) return Durability::power;
  return Durability::process;
}

}  // namespace bulkhead
