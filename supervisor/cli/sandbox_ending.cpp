#include "supervisor/cli/sandbox_ending.h"

#include <cerrno>
#include <cstring>

#include "sandbox/base/text.h"
#include "sandbox/spec/seccomp_profile.h"
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

namespace {

// The change that lets it be made: a key of the policy and what to add to it.
std::string allowing(const Denial& denial) {
  const std::string group = group_of(denial.call);
  return "seccomp_allow: [" + denial.call + "]" + (group.empty() ? "" : " or [\"" + group + "\"]");
}

}  // namespace

std::vector<std::string> denial_lines(const ExitRecord& record, const std::string& policy) {
  std::vector<std::string> lines;
  for (const Denial& denial : record.denials)
    lines.push_back("bulkhead: denied: system call " + printable(denial.call, 40) + " of " + printable(denial.who, 40) +
                    (denial.times == 1 ? "" : ", " + std::to_string(denial.times) + " times") +
                    "; rule: seccomp; to allow it: " + allowing(denial) + " in " + printable(policy, 200));
  if (record.oom_kills != 0)
    lines.push_back("bulkhead: denied: memory beyond its limit, " + std::to_string(record.oom_kills) +
                    " killed; rule: limits.memory; to allow it: raise it in " + printable(policy, 200));
  if (record.pids_refusals != 0)
    lines.push_back("bulkhead: denied: processes beyond their limit, " + std::to_string(record.pids_refusals) +
                    " forks; rule: limits.pids; to allow it: raise it in " + printable(policy, 200));
  return lines;
}

nlohmann::json ending_report(const ExitRecord& record, const std::string& policy, const std::string& rule,
                             const std::vector<Wall>& walls) {
  nlohmann::json report = record;
  report["policy"] = policy;
  report["rule"] = rule;
  report["exit_status"] = command_status(record);  // what bulkhead itself ends with
  for (std::size_t i = 0; i < record.denials.size(); ++i) {
    report["denials"][i]["rule"] = "/seccomp";
    report["denials"][i]["allow"] = allowing(record.denials[i]);
  }
  report["missing_walls"] = nlohmann::json::object();
  for (const Wall& wall : walls)
    if (!wall.present) report["missing_walls"][wall.name] = wall.detail;
  return report;
}

}  // namespace bulkhead
