// Where a run is: a value made by folding its events (lifecycle.h), and by nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/core/lifecycle/action.h"
#include "supervisor/core/lifecycle/events.h"

namespace bulkhead {

// An effect that was intended and not answered. It is in flight while the supervisor that intended it lives; to the
// next one it is due again. That comparison is all that taking over needs.
struct Flight {
  unsigned supervisor = 0;  // RunState::supervisor at the time of the intent; 0: nothing is open
  bool open() const { return supervisor != 0; }
  bool operator==(const Flight&) const = default;
};

enum class AgentPhase {
  waiting,   // for the base, its needs or a slot
  creating,  // its workspace
  ready,     // the next attempt starts when its back-off is over and a slot is free
  running,   // an attempt was intended and has not ended
  saving,    // the attempt has ended; a checkpoint is being taken
  importing,
  verifying,  // on the base, then on the result
  queued,     // for the merge
  merging,    // prepared, verified merged, moved: one agent at a time
  finishing,  // the verdict stands
  cleaning,   // finished
  gone
};
std::string_view name(AgentPhase phase);
// The transition table: every other change of phase is a broken invariant.
bool may_follow(AgentPhase from, AgentPhase to);

struct AgentPlan {
  std::vector<std::string> needs;
  unsigned attempts = 1;
  std::chrono::milliseconds backoff{0};
  bool setup = false;
  std::vector<VerifyKind> verify;
  std::chrono::milliseconds checkpoint_every{0};
  std::chrono::milliseconds idle{0};
  bool operator==(const AgentPlan&) const = default;
};

struct FaultState {
  unsigned fault = 0;
  unsigned attempt = 1;
  unsigned after_commits = 0;
  int signal = 0;
  Flight flight;
  bool injected = false;
  bool operator==(const FaultState&) const = default;
};

struct CheckpointState {
  unsigned n = 0;
  unsigned attempt = 0;
  CheckpointKind kind = CheckpointKind::commit;
  unsigned commits = 0;
  std::string head;
  enum class Is { open, taken, failed } is = Is::open;
  Flight flight;
  bool operator==(const CheckpointState&) const = default;
};

struct AttemptState {
  unsigned number = 1;
  std::optional<unsigned> from_checkpoint;
  Flight flight;                          // of starting it
  std::optional<AttemptStarted> started;  // then it lives until AttemptEnded, whoever supervises
  TimePoint intended_at{};
  TimePoint started_at{};
  TimePoint last_checkpoint_at{};  // when one was last intended
  unsigned commits = 0;            // boundaries seen
  unsigned commits_intended = 0;   // of them, those that a checkpoint has been intended for
  unsigned commits_saved = 0;      // of them, those that a taken checkpoint holds
  std::string head;
  bool idle = false;
  std::optional<EndReason> kill_cause;  // of the last kill intended
  Flight kill;
  std::optional<AttemptEnded> ended;
  TimePoint ended_at{};
  bool verification_failed = false;  // it ended well, its result did not
  bool operator==(const AttemptState&) const = default;
};

struct VerifyStep {
  VerifyStage stage = VerifyStage::result;
  VerifyKind kind = VerifyKind::pass;
  bool operator==(const VerifyStep&) const = default;
};

struct MergeState {
  std::optional<MergePrepared> prepared;
  bool moving = false;  // MergeIntended: the ref may have moved
  unsigned stale = 0;   // how often somebody else moved the target meanwhile
  bool operator==(const MergeState&) const = default;
};

struct Verdict {
  AgentOutcome outcome = AgentOutcome::failed;
  std::string cause;
  bool operator==(const Verdict&) const = default;
};

struct AgentState {
  std::string name;
  AgentPlan plan;
  std::string base;  // the commit it starts from; empty until its needs are done
  AgentPhase phase = AgentPhase::waiting;
  Flight flight;            // of the phase's own effect: workspace, import, verification, merge, clean-up
  bool touched = false;     // a workspace was intended: there may be something to clean up
  bool holds_slot = false;  // counts against the run's concurrency
  bool cancel = false;
  std::string cancel_cause;
  std::optional<WorkspaceReady> workspace;
  std::vector<AttemptState> attempts;
  unsigned lost_in_a_row = 0;  // attempts lost with supervisor and launcher: not the agent's doing
  unsigned failures = 0;       // attempts used up
  TimePoint backoff_from{};    // when the last attempt failed
  TimePoint not_before{};      // when the next may start
  std::vector<CheckpointState> checkpoints;
  std::vector<FaultState> faults;
  std::vector<VerifyStep> steps;  // still to be verified in this phase, in order
  bool base_verified = false;
  std::optional<Imported> imported;                     // the latest
  unsigned imported_attempt = 0;                        // of which attempt
  std::vector<std::optional<unsigned>> import_sources;  // still to be tried: the workspace (none) or a checkpoint
  MergeState merge;
  bool merged = false;
  std::optional<Verdict> verdict;
  std::string problem;  // what clean-up left behind
  bool operator==(const AgentState&) const = default;
};

struct BaseState {
  Flight flight;
  std::optional<BaseReady> ready;
  std::string problem;  // not empty: it could not be prepared
  bool operator==(const BaseState&) const = default;
};

struct RunState {
  std::string run;
  std::optional<RunStarted> started;
  bool planned = false;
  unsigned supervisor = 1;  // how many there have been
  bool cancel = false;
  std::string cancel_cause;
  std::set<std::string> walls_missing;     // that it goes on without
  std::map<std::string, BaseState> bases;  // by commit
  std::string target;                      // what the last merge of this run made of the target; empty: none yet
  std::map<std::string, AgentState> agents;
  std::vector<std::string> merge_queue;  // in the order they became ready; the first may be merging
  std::optional<RunFinished> finished;
  std::string violation;  // the first broken invariant; everything is ended when there is one
  std::uint64_t last_seq = 0;
  TimePoint last_time{};
  bool operator==(const RunState&) const = default;
};

// Whether the effect behind `flight` is being carried out by the present supervisor.
inline bool in_flight(const RunState& state, const Flight& flight) {
  return flight.open() && flight.supervisor == state.supervisor;
}

std::string text(const RunState& state);  // for tests and logs: a few lines

}  // namespace bulkhead
