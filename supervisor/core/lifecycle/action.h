// What is to be done next, as values. Each names its effect completely: doing the same action twice is the same effect.
// The comment says which events answer it; intent_of() (lifecycle.h) makes the event to journal before doing it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "supervisor/core/lifecycle/words.h"

namespace bulkhead {

using TimePoint = std::chrono::sys_time<std::chrono::milliseconds>;

// base_ready | base_failed
struct PrepareBase {
  std::string commit;
  bool operator==(const PrepareBase&) const = default;
};

// workspace_ready | workspace_failed
struct CreateWorkspace {
  std::string agent;
  std::string base;  // the commit its branch begins at; AgentState::base from then on
  bool operator==(const CreateWorkspace&) const = default;
};

// [setup_intended, setup_ended,] attempt_started, later attempt_ended; or attempt_ended at once when it cannot start.
// An attempt of that name which lives already is adopted: attempt_started is journaled again for it.
struct StartAttempt {
  std::string agent;
  unsigned attempt = 1;
  std::optional<unsigned> from_checkpoint;  // none: an empty upper directory over the base
  bool run_setup = false;                   // the task has one and the checkpoint does not hold its effect already
  bool operator==(const StartAttempt&) const = default;
};

// checkpoint_taken | checkpoint_failed. The attempt may have ended (kind result: always); its workspace is still there.
struct TakeCheckpoint {
  std::string agent;
  unsigned attempt = 1;
  unsigned n = 1;
  CheckpointKind kind = CheckpointKind::commit;
  unsigned commits = 0;
  std::string head;
  bool operator==(const TakeCheckpoint&) const = default;
};

// fault_injected, then whatever comes of it
struct InjectFault {
  std::string agent;
  unsigned attempt = 1;
  unsigned fault = 0;
  int signal = 0;
  bool operator==(const InjectFault&) const = default;
};

// Ends whatever process the agent has: setup, command or verification. The answer is the answer to what it ended
// (attempt_ended, verification_ended), with reason `cause`.
struct Kill {
  std::string agent;
  unsigned attempt = 1;
  EndReason cause = EndReason::killed_by_request;
  bool operator==(const Kill&) const = default;
};

// imported | import_failed
struct Import {
  std::string agent;
  unsigned attempt = 1;
  std::optional<unsigned> from_checkpoint;  // none: the attempt's own workspace, whose processes are all gone
  bool operator==(const Import&) const = default;
};

// verification_ended. The tree to judge is that of `commit`; setup runs first where the task has one.
struct Verify {
  std::string agent;
  unsigned attempt = 1;
  VerifyStage stage = VerifyStage::result;
  VerifyKind kind = VerifyKind::pass;
  std::string commit;
  bool operator==(const Verify&) const = default;
};

// merge_prepared | merge_conflict | merge_refused
struct PrepareMerge {
  std::string agent;
  std::string into;
  std::string tip;
  bool operator==(const PrepareMerge&) const = default;
};

// merged | merge_stale | merge_refused. Compare-and-swap of the branch; when it is at `commit` already: merged.
struct Merge {
  std::string agent;
  std::string into;
  std::string commit;
  std::string expected_old;  // empty: the branch must not exist yet
  bool operator==(const Merge&) const = default;
};

// Nothing to do but to journal intent_of(): agent_finished.
struct FinishAgent {
  std::string agent;
  AgentOutcome outcome = AgentOutcome::failed;
  std::string cause;
  bool operator==(const FinishAgent&) const = default;
};

// cleaned. Unmounts, unregisters, releases the uid range; removes the files unless the run keeps workspaces.
struct Cleanup {
  std::string agent;
  bool keep_files = false;
  bool operator==(const Cleanup&) const = default;
};

// Nothing to do but to journal intent_of(): run_finished, the last event of the run.
struct FinishRun {
  RunOutcome outcome = RunOutcome::failed;
  int exit_code = 1;
  std::string cause;
  bool operator==(const FinishRun&) const = default;
};

// decide() again at `time` at the latest. No intent, no answer; at most one in a decision, the last.
struct WakeAt {
  TimePoint time;
  bool operator==(const WakeAt&) const = default;
};

using Action = std::variant<PrepareBase, CreateWorkspace, StartAttempt, TakeCheckpoint, InjectFault, Kill, Import,
                            Verify, PrepareMerge, Merge, FinishAgent, Cleanup, FinishRun, WakeAt>;

std::string text(const Action& action);                // "StartAttempt a/2 from checkpoint 1"
std::string text(const std::vector<Action>& actions);  // one a line
const std::string& agent_of(const Action& action);     // "" for actions about the run

}  // namespace bulkhead
