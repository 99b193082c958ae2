// What `sandbox run` says of how the command ended, and the status it ends with. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sandbox/explain/denied.h"
#include "sandbox/host/host_facts.h"
#include "sandbox/launch/exit_record.h"

namespace bulkhead {

// exit_status(), but for a command that could not be executed: 127 where it is not there, 126 where it is no program,
// as a shell and env(1) have it.
int command_status(const ExitRecord& record);

// Empty where the command's own status says it all (it exited). Else one line: cause, the rule behind it, and the next
// useful command. `policy` as the person named it; `rule` is where the rule stands ("p.yaml:3:12: /limits/memory"),
// empty where none is behind it.
std::string ending_line(const ExitRecord& record, const std::string& policy, const std::string& rule);

// For --report. `without`: the walls that this sandbox had not.
nlohmann::json ending_report(const ExitRecord& record, const std::string& policy, const std::string& rule,
                             const MissingWalls& without, const std::vector<Denied>& denied = {});

}  // namespace bulkhead
