#include "supervisor/cli/history.h"

#include <algorithm>

#include "sandbox/sys/files.h"

namespace bulkhead {

Outcome<History> History::open(const StatePaths& state) {
  if (!exists(state.journal()))
    return failure(ExitCode::bad_input,
                   {.operation = "open journal",
                    .object = state.journal(),
                    .detail = "nothing has run in this state directory",
                    .hint = "name another with --state DIR, or start a run: sudo bulkhead run -- CMD"});
  auto journal = or_exit(ExitCode::fault, Journal::open(state.journal(), JournalMode::read));
  if (!journal) return std::unexpected(journal.error());
  return History(*std::move(journal));
}

Outcome<std::vector<std::string>> History::runs() const {
  auto listings = or_exit(ExitCode::fault, journal_.runs());
  if (!listings) return std::unexpected(listings.error());
  std::vector<std::string> names;
  for (const RunListing& listing : *listings)
    if (!listing.run.empty()) names.push_back(listing.run);  // events of the daemon itself belong to no run
  return names;
}

Outcome<std::string> History::run(const std::string& word) const {
  auto names = runs();
  if (!names) return std::unexpected(names.error());
  return or_exit(ExitCode::bad_input, resolve_run(word, *names));
}

Outcome<AgentName> History::agent(const std::string& word) const {
  auto names = runs();
  if (!names) return std::unexpected(names.error());
  return or_exit(ExitCode::bad_input,
                 resolve_agent(word, *names, [&](const std::string& run) -> Result<std::vector<std::string>> {
                   auto found = report(run);
                   if (!found) return std::unexpected(found.error().error);
                   std::vector<std::string> agents;
                   for (const AgentReport& agent : found->agents) agents.push_back(agent.name);
                   return agents;
                 }));
}

Outcome<std::vector<Event>> History::events(const std::string& run) const {
  return or_exit(ExitCode::fault, journal_.read(run));
}

Outcome<RunReport> History::report(const std::string& run) const {
  auto all = events(run);
  if (!all) return std::unexpected(all.error());
  return or_exit(ExitCode::fault, report_of(*all));
}

const AgentReport* find_agent(const RunReport& report, const std::string& agent) {
  const auto it = std::ranges::find(report.agents, agent, &AgentReport::name);
  return it == report.agents.end() ? nullptr : &*it;
}

}  // namespace bulkhead
