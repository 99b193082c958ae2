// The rules by which an agent goes from phase to phase, on the facts that apply() has recorded. Private to the
// lifecycle.
#pragma once

#include <string>

#include "supervisor/core/lifecycle/state.h"

namespace bulkhead::rules {

// Lost attempts and verifications in a row that are repeated without counting: the agent had no part in them, but a
// host that loses everything again and again has to come to an end.
inline constexpr unsigned kMostLost = 3;
// How often a merge is prepared anew because somebody else moved the target.
inline constexpr unsigned kMostStale = 5;

void violate(RunState& state, std::string what);
void move(RunState& state, AgentState& agent, AgentPhase to);

bool cancelled(const RunState& state, const AgentState& agent);
bool attempts_left(const AgentState& agent);           // after one more failure
const AttemptState* current(const AgentState& agent);  // the latest attempt, or null
AttemptState* current(AgentState& agent);
const CheckpointState* open_checkpoint(const AgentState& agent);
const CheckpointState* last_checkpoint(const AgentState& agent);  // the latest taken
// A checkpoint of what a well-ended attempt left is worth taking: a verification may fail and another attempt go on
// from it.
bool wants_result_checkpoint(const RunState& state, const AgentState& agent);
// The attempt failed after a commit that no checkpoint holds, and another attempt is to go on from there. Nothing of
// the agent lives any more, so its workspace is at rest: as good a copy as one under a freeze.
bool wants_last_checkpoint(const RunState& state, const AgentState& agent);
bool needs_done(const RunState& state, const AgentState& agent);

// What the facts allow now, for every agent. Called after each event.
void settle(RunState& state);

// Continuations of single events.
void close(RunState& state, AgentState& agent, AgentOutcome outcome, std::string cause);
void attempt_failed(RunState& state, AgentState& agent, TimePoint when, std::string cause);
void import_done(RunState& state, AgentState& agent);
void import_failed(RunState& state, AgentState& agent, const std::string& reason);
void verification_done(RunState& state, AgentState& agent, const VerificationEnded& ended, TimePoint when);
void merge_prepared(AgentState& agent);
void leave_queue(RunState& state, const AgentState& agent);

}  // namespace bulkhead::rules
