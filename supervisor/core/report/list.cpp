// `bulkhead ps`: where every run of a journal stands.
#include "supervisor/core/lifecycle/lifecycle.h"
#include "supervisor/core/report/report.h"

namespace bulkhead {

Result<std::vector<RunSummary>> list_runs(const Journal& journal) {
  BULKHEAD_ASSIGN(const std::vector<RunListing> listings, journal.runs());
  std::vector<RunSummary> runs;
  for (const RunListing& listing : listings) {
    BULKHEAD_ASSIGN(const std::vector<Event> events, journal.read(listing.run));
    const RunState state = fold(events);
    RunSummary run{.run = listing.run,
                   .name = state.started ? state.started->name : "",
                   .state = state.finished ? std::string(word(state.finished->outcome)) : "running",
                   .started_unix_ms = listing.first_time_unix_ms,
                   .ended_unix_ms = listing.last_time_unix_ms,
                   .agents = static_cast<unsigned>(state.agents.size())};
    for (const auto& [agent_name, agent] : state.agents) {
      if (agent.phase >= AgentPhase::cleaning) {
        ++run.finished_agents;
      } else if (!state.finished && agent.phase != AgentPhase::waiting) {
        std::string who = agent_name;
        if (!agent.attempts.empty()) who += "/" + std::to_string(agent.attempts.back().number);
        run.active.push_back(who + " " + std::string(name(agent.phase)));
      }
    }
    runs.push_back(std::move(run));
  }
  return runs;
}

}  // namespace bulkhead
