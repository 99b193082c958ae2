#include "supervisor/core/lifecycle/state.h"

#include <algorithm>
#include <array>

namespace bulkhead {

std::string_view name(AgentPhase phase) {
  switch (phase) {
    case AgentPhase::waiting:
      return "waiting";
    case AgentPhase::creating:
      return "creating";
    case AgentPhase::ready:
      return "ready";
    case AgentPhase::running:
      return "running";
    case AgentPhase::saving:
      return "saving";
    case AgentPhase::importing:
      return "importing";
    case AgentPhase::verifying:
      return "verifying";
    case AgentPhase::queued:
      return "queued";
    case AgentPhase::merging:
      return "merging";
    case AgentPhase::finishing:
      return "finishing";
    case AgentPhase::cleaning:
      return "cleaning";
    case AgentPhase::gone:
      return "gone";
  }
  return "?";
}

bool may_follow(AgentPhase from, AgentPhase to) {
  using enum AgentPhase;
  static constexpr auto kTable = std::to_array<std::pair<AgentPhase, AgentPhase>>({
      {waiting, creating},                                                 // needs done, slot free
      {waiting, finishing},                                                // a need failed, the base failed, cancelled
      {creating, ready},      {creating, finishing},                       //
      {ready, running},       {ready, importing},    {ready, finishing},   // cancelled, with and without work to keep
      {running, saving},                                                   //
      {saving, ready},        {saving, importing},   {saving, finishing},  // again; done or given up; nothing to keep
      {importing, verifying}, {importing, queued},   {importing, finishing},  //
      {verifying, ready},     {verifying, queued},   {verifying, finishing},  //
      {queued, merging},      {queued, finishing},                            //
      {merging, finishing},                                                   //
      {finishing, cleaning},  {finishing, gone},                              // gone: it never had a workspace
      {cleaning, gone},
  });
  return std::ranges::find(kTable, std::pair{from, to}) != kTable.end();
}

namespace {

std::string flight_text(const RunState& state, const Flight& flight) {
  if (!flight.open()) return "";
  return in_flight(state, flight) ? " (in flight)" : " (intended by an earlier supervisor)";
}

std::string attempt_text(const AttemptState& attempt) {
  std::string out = " #" + std::to_string(attempt.number);
  if (attempt.from_checkpoint) out += "<" + std::to_string(*attempt.from_checkpoint);
  out += attempt.ended ? ":" + std::string(word(attempt.ended->reason)) : attempt.started ? ":alive" : ":intended";
  if (attempt.commits != 0)
    out += " commits " + std::to_string(attempt.commits_saved) + "/" + std::to_string(attempt.commits);
  return out;
}

}  // namespace

std::string text(const RunState& state) {
  std::string out = "run " + state.run + " supervisor " + std::to_string(state.supervisor);
  if (state.cancel) out += " cancelled: " + state.cancel_cause;
  if (!state.violation.empty()) out += " VIOLATION: " + state.violation;
  if (state.finished) out += " finished: " + std::string(word(state.finished->outcome));
  out += "\n";
  for (const auto& [commit, base] : state.bases)
    out +=
        "  base " + commit + (base.ready ? " ready" : "") + " " + base.problem + flight_text(state, base.flight) + "\n";
  for (const auto& [agent, a] : state.agents) {
    out += "  " + agent + " " + std::string(name(a.phase)) + flight_text(state, a.flight);
    if (a.holds_slot) out += " slot";
    for (const AttemptState& attempt : a.attempts) out += attempt_text(attempt);
    for (const CheckpointState& c : a.checkpoints)
      out += " checkpoint " + std::to_string(c.n) +
             (c.is == CheckpointState::Is::taken  ? ":taken"
              : c.is == CheckpointState::Is::open ? ":open"
                                                  : ":failed");
    if (a.verdict) out += " verdict " + std::string(word(a.verdict->outcome)) + ": " + a.verdict->cause;
    out += "\n";
  }
  return out;
}

}  // namespace bulkhead
