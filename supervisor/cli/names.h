// RUN and AGENT as people type them, and names for new runs. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"

namespace bulkhead {

struct AgentName {
  std::string run;
  std::string agent;
  bool operator==(const AgentName&) const = default;
};

// `runs` in the order they began. RUN is a name, a unique beginning of one, or `latest`.
Result<std::string> resolve_run(std::string_view word, const std::vector<std::string>& runs);

// AGENT is `run/agent`, or `agent` of the latest run. `agents_of` names the agents of a run.
using AgentsOf = std::function<Result<std::vector<std::string>>(const std::string& run)>;
Result<AgentName> resolve_agent(std::string_view word, const std::vector<std::string>& runs, const AgentsOf& agents_of);

// "20261120-093027-ab12": sorts by time (UTC), distinct by `random`.
std::string run_name(std::int64_t unix_seconds, std::uint16_t random);

}  // namespace bulkhead
