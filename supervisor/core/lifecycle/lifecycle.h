// The lifecycle of a run as a pure fold: state = apply(events), actions = decide(state, now). No clock, no I/O.
//
// How a supervisor uses it, from the first event of a run to run_finished:
//
//   for (;;) {
//     for (const Action& action : decide(state, now)) {
//       if (std::holds_alternative<WakeAt>(action)) { set the timer; continue; }
//       event = journal.append(intent_of(state, action), durability_of(type));   // intent before effect
//       state = apply(state, event);
//       start carrying the action out; its answer is appended and applied as an event when it comes
//     }
//     (decide again until it has nothing new to say: finishing an agent opens the way for its dependents)
//     wait for an answer, a request, an exit record or the timer
//   }
//
// Taking over: fold the journal, append supervisor_started, apply it, go on as above. Attempts that were intended are
// taken to live until AttemptEnded is journaled for them, so look for them first and journal what became of them.
// Everything else that was in flight is decided again under the same name.
#pragma once

#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/core/journal/journal.h"
#include "supervisor/core/lifecycle/action.h"
#include "supervisor/core/lifecycle/state.h"
#include "supervisor/core/workflow/workflow.h"

namespace bulkhead {

// The first events of a run, to be appended as one batch. `facts` as the caller knows them; concurrency must be
// resolved.
std::vector<Event> plan_events(const std::string& run, const RunStarted& facts, const Workflow& workflow,
                               std::int64_t time_unix_ms);

// Events of other features, and of other runs once `state.run` is set, change nothing. An event that cannot follow from
// `state` changes nothing but RunState::violation.
RunState apply(RunState state, const Event& event);
RunState fold(const std::vector<Event>& events);

// Everything that is due and not in flight, in a fixed order. Empty when the run waits for answers, or has finished.
std::vector<Action> decide(const RunState& state, TimePoint now);

// The event to journal before the effect (for FinishAgent and FinishRun: instead of one). Not for WakeAt.
// Its time is the caller's to set.
Event intent_of(const RunState& state, const Action& action);

// How durable an event of this type has to be before going on.
Durability durability_of(std::string_view type);

// Whether a verification ended as its stage and kind ask: only fail_to_pass on the base has to fail, and by exiting.
bool satisfied(const VerificationEnded& ended);

// Agents that count against RunStarted::concurrency.
unsigned slots_taken(const RunState& state);

TimePoint time_of(const Event& event);

}  // namespace bulkhead
