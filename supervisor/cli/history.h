// What ran before, from the journal alone. Opened and read as root (the state directory is root's), before the drop.
#pragma once

#include <string>
#include <vector>

#include "supervisor/cli/exit.h"
#include "supervisor/cli/names.h"
#include "supervisor/core/journal/journal.h"
#include "supervisor/core/report/report.h"
#include "supervisor/core/workspaces/state_paths.h"

namespace bulkhead {

class History {
 public:
  // Exit 2 where there is no journal yet.
  static Outcome<History> open(const StatePaths& state);

  Outcome<std::string> run(const std::string& word) const;  // RUN as typed -> its name
  Outcome<AgentName> agent(const std::string& word) const;  // AGENT as typed
  Outcome<std::vector<Event>> events(const std::string& run) const;
  Outcome<RunReport> report(const std::string& run) const;
  const Journal& journal() const { return journal_; }

 private:
  explicit History(Journal journal) : journal_(std::move(journal)) {}
  Outcome<std::vector<std::string>> runs() const;
  Journal journal_;
};

// The agent of that name in the report; it is there, since its name came from the same events.
const AgentReport* find_agent(const RunReport& report, const std::string& agent);

}  // namespace bulkhead
