// What was refused in a sandbox of our own, from the end of its command to the lines that say so.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "sandbox/explain/denied.h"

namespace bulkhead {

// Looks for `paths`, which are the agent's choice, in a process that is nobody in particular (or the caller, who is not
// root), that nothing hangs on, and whose answer is bounded. What it cannot tell in time the host has not.
HostLook look_as_nobody(const std::vector<std::string>& paths);

// What the host has of what was missed.
HostAnswers ask_host(const Observed& observed, const View& view);

// A line each, at most `kMostDeniedLines`, and one more that says of the rest. `rule` makes a policy's place of an
// origin ("p.yaml:3:12: /mounts"); `policy` as the person named it.
inline constexpr std::size_t kMostDeniedLines = 40;
std::vector<std::string> denied_lines(const std::vector<Denied>& denied, const std::string& policy,
                                      const std::function<std::string(const Origin&)>& rule);

}  // namespace bulkhead
