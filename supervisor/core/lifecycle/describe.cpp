#include "supervisor/core/lifecycle/describe.h"

#include <cstring>

namespace bulkhead {

namespace {

std::string how(EndReason reason, int exit_code, int signal, const std::string& step) {
  switch (reason) {
    case EndReason::exited:
      return "exited with status " + std::to_string(exit_code);
    case EndReason::signalled:
      return "was ended by " + signal_name(signal);
    case EndReason::out_of_memory:
      return "ran out of memory";
    case EndReason::pids_exhausted:
      return "had no process left to start";
    case EndReason::disk_full:
      return "had no room left on its disk";
    case EndReason::wall_time:
      return "reached its wall-time limit";
    case EndReason::cpu_time:
      return "reached its CPU-time limit";
    case EndReason::idle:
      return "was idle for too long";
    case EndReason::killed_by_request:
      return "was killed by request";
    case EndReason::fault_injected:
      return "was ended by an injected fault";
    case EndReason::seccomp:
      return "made a system call that its seccomp profile kills for";
    case EndReason::setup_failed:
      return "did not start: " + (step.empty() ? std::string("setting up") : step) + " failed";
    case EndReason::lost:
      return "was lost: nobody was left to see it end";
  }
  return "ended";
}

// A status or a signal says it all; the detail would say it again.
std::string aside(EndReason reason, const std::string& detail) {
  if (detail.empty() || reason == EndReason::exited || reason == EndReason::signalled) return {};
  return " (" + detail + ")";
}

}  // namespace

std::string signal_name(int signal) {
  const char* name = sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

std::string describe(const AttemptEnded& ended) {
  return "the command " + how(ended.reason, ended.exit_code, ended.signal, ended.step) +
         aside(ended.reason, ended.detail);
}

std::string describe(const VerificationEnded& ended) {
  std::string text = "'" + std::string(word(ended.kind)) + "' " +
                     how(ended.reason, ended.exit_code, ended.signal, ended.step) + " on the ";
  text += ended.stage == VerifyStage::merged ? "merged tree" : std::string(word(ended.stage));
  return text + aside(ended.reason, ended.detail);
}

}  // namespace bulkhead
