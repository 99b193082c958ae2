#include "supervisor/cli/sandbox_ending.h"

#include <cstring>

#include "sandbox/base/text.h"
#include "supervisor/cli/live_lines.h"

namespace bulkhead {
namespace {

// What helps next, by what happened.
std::string next_step(const ExitRecord& record, const std::string& policy) {
  const std::string p = shell_quote(policy);
  switch (record.reason) {
    case EndReason::exited:
    case EndReason::signalled:
    case EndReason::killed_by_request:
    case EndReason::fault_injected: return {};
    case EndReason::out_of_memory:
    case EndReason::pids_exhausted:
    case EndReason::wall_time:
    case EndReason::cpu_time:
    case EndReason::idle: return "raise the limit in the policy, then: bulkhead policy check " + p;
    case EndReason::seccomp: return "see the profile in force: bulkhead sandbox plan --policy " + p;
    case EndReason::setup_failed: return "sudo bulkhead doctor; bulkhead sandbox plan --policy " + p;
    case EndReason::lost: return "sudo bulkhead clean --check";
  }
  return {};
}

}  // namespace

std::string ending_line(const ExitRecord& record, const std::string& policy) {
  if (record.reason == EndReason::exited) return {};
  std::string line = "bulkhead: " + ending(record.reason, record.exit_code, record.signal, record.step);
  if (record.reason == EndReason::setup_failed && record.step_errno != 0)
    line += std::string(": ") + ::strerrordesc_np(record.step_errno);
  if (!record.detail.empty()) line += " (" + printable(record.detail, 400) + ")";
  if (!record.origin.empty()) line += "; rule: " + printable(record.origin, 200) + " of policy " + printable(policy, 200);
  const std::string next = next_step(record, policy);
  return next.empty() ? line : line + "; next: " + next;
}

nlohmann::json ending_report(const ExitRecord& record, const std::string& policy, int exit_status) {
  nlohmann::json report = record;
  report["policy"] = policy;
  report["exit_status"] = exit_status;  // what bulkhead itself ended with
  return report;
}

}  // namespace bulkhead
