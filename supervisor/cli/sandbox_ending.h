// What `sandbox run` says of how the command ended. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "sandbox/launch/exit_record.h"

namespace bulkhead {

// Empty where the command's own status says it all (it exited). Else one line: cause, the rule behind it, and the next
// useful command.
std::string ending_line(const ExitRecord& record, const std::string& policy);

// For --report.
nlohmann::json ending_report(const ExitRecord& record, const std::string& policy, int exit_status);

}  // namespace bulkhead
