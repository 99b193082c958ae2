#include "supervisor/cli/names.h"

#include <algorithm>
#include <array>
#include <ctime>

#include "sandbox/base/text.h"

namespace bulkhead {

Result<std::string> resolve_run(std::string_view word, const std::vector<std::string>& runs) {
  const std::string shown = "'" + printable(word, 80) + "'";
  if (runs.empty())
    return fail("find run", shown, "the journal of this state directory knows no run",
                "start one: sudo bulkhead run -- CMD");
  if (word == "latest") return runs.back();
  if (std::ranges::find(runs, word) != runs.end()) return std::string(word);
  std::vector<std::string> matches;
  if (!word.empty())
    std::ranges::copy_if(runs, std::back_inserter(matches), [&](const auto& run) { return run.starts_with(word); });
  if (matches.size() == 1) return matches.front();
  if (matches.size() > 1) {
    const std::size_t total = matches.size();
    matches.erase(matches.begin(), matches.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(total, 3)));
    return fail("find run", shown, std::to_string(total) + " runs begin so, the last ones " + one_of(matches),
                "type more of the name, or `latest`");
  }
  const std::string near = nearest(word, runs);
  return fail("find run", shown, "there is no such run",
              near.empty() ? "list them: sudo bulkhead ps" : "did you mean '" + near + "'? All runs: sudo bulkhead ps");
}

Result<AgentName> resolve_agent(std::string_view word, const std::vector<std::string>& runs,
                                const AgentsOf& agents_of) {
  const auto slash = word.find('/');
  const std::string_view run_word = slash == std::string_view::npos ? "latest" : word.substr(0, slash);
  const std::string_view agent = slash == std::string_view::npos ? word : word.substr(slash + 1);
  BULKHEAD_ASSIGN(std::string run, resolve_run(run_word, runs));
  BULKHEAD_ASSIGN(const auto agents, agents_of(run));
  if (std::ranges::find(agents, agent) != agents.end()) return AgentName{.run = run, .agent = std::string(agent)};
  const std::string object = "'" + printable(agent, 80) + "' in run " + run;
  const std::string near = nearest(agent, agents);
  if (!near.empty())
    return fail("find agent", object, "there is no such agent", "did you mean '" + run + "/" + near + "'?");
  // A person who types a run where an agent belongs.
  if (slash == std::string_view::npos)
    if (const auto meant = resolve_run(word, runs); meant)
      return fail("find agent", object, "that is a run, and an agent is needed", "type '" + *meant + "/AGENT'");
  std::vector<std::string> some(agents.begin(),
                                agents.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(agents.size(), 8)));
  return fail("find agent", object, "there is no such agent",
              agents.empty() ? "this run has none"
                             : "it has " + one_of(some) + (agents.size() > some.size() ? ", and more" : ""));
}

std::string run_name(std::int64_t unix_seconds, std::uint16_t random) {
  const std::time_t time = unix_seconds;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 32> stamp{};
  std::strftime(stamp.data(), stamp.size(), "%Y%m%d-%H%M%S", &parts);
  std::string name = std::string(stamp.data()) + "-";
  for (int shift = 12; shift >= 0; shift -= 4) name += "0123456789abcdef"[(random >> shift) & 0xf];
  return name;
}

}  // namespace bulkhead
