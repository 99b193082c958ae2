#include "supervisor/cli/sandbox_ending.h"

#include <cerrno>
#include <cstring>

#include "sandbox/base/text.h"
#include "supervisor/cli/live_lines.h"

namespace bulkhead {
namespace {

bool not_executed(const ExitRecord& record) {
  return record.reason == EndReason::setup_failed && record.step == "exec_command";
}

// What helps next, by what happened.
std::string next_step(const ExitRecord& record, const std::string& policy) {
  const std::string p = shell_quote(policy);
  switch (record.reason) {
    case EndReason::exited:
    case EndReason::signalled:
    case EndReason::killed_by_request:
    case EndReason::fault_injected:
      return {};
    case EndReason::out_of_memory:
    case EndReason::pids_exhausted:
    case EndReason::disk_full:
    case EndReason::wall_time:
    case EndReason::cpu_time:
    case EndReason::idle:
      return "raise the limit there, then: bulkhead policy check " + p;
    case EndReason::seccomp:
      return "see what is allowed: bulkhead sandbox plan --policy " + p;
    case EndReason::setup_failed:
      return not_executed(record) ? "see what the sandbox holds: bulkhead sandbox plan --policy " + p
                                  : "sudo bulkhead doctor";
    case EndReason::lost:
      return "sudo bulkhead clean --check";
  }
  return {};
}

}  // namespace

int command_status(const ExitRecord& record) {
  if (not_executed(record)) return record.step_errno == ENOENT ? 127 : 126;
  return exit_status(record);
}

std::string ending_line(const ExitRecord& record, const std::string& policy, const std::string& rule) {
  if (record.reason == EndReason::exited) return {};
  std::string line = "bulkhead: ";
  if (record.reason == EndReason::setup_failed)
    // Its detail names the step, the object and the error.
    line += not_executed(record) ? "the command could not be executed" : "the sandbox could not be made";
  else
    line += ending(record.reason, record.exit_code, record.signal, record.step);
  if (!record.detail.empty() && record.reason != EndReason::signalled)
    line += ": " + printable(record.detail, 400);
  else if (record.step_errno != 0)
    line += std::string(": ") + ::strerrordesc_np(record.step_errno);
  if (!rule.empty()) line += "; rule: " + printable(rule, 400);
  const std::string next = next_step(record, policy);
  return next.empty() ? line : line + "; next: " + next;
}

nlohmann::json ending_report(const ExitRecord& record, const std::string& policy, const std::string& rule,
                             const MissingWalls& without, const std::vector<Denied>& denied) {
  nlohmann::json report = record;
  report["policy"] = policy;
  report["rule"] = rule;
  report["exit_status"] = command_status(record);  // what bulkhead itself ends with
  report.erase("denials");                         // they are among these
  report["denied"] = nlohmann::json::array();
  for (const Denied& row : denied) report["denied"].push_back(to_json(row));
  report["missing_walls"] = nlohmann::json::object();
  for (const auto& [wall, answer] : without)
    report["missing_walls"][std::string(name(wall))] = {
        {"answer", answer}, {"instead", about(wall).instead}, {"lost", about(wall).lost}};
  return report;
}

}  // namespace bulkhead
