// How a sandbox ended: an enumerated reason with details, never a parsed string.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"

namespace bulkhead {

enum class EndReason {
  exited,          // exit_code
  signalled,       // signal
  out_of_memory,   // the cgroup's memory limit
  pids_exhausted,  // the command failed after the cgroup's pids limit was hit
  disk_full,       // the command failed, and what it may keep on disk was full
  wall_time,
  cpu_time,
  idle,
  killed_by_request,
  fault_injected,
  seccomp,       // SIGSYS
  setup_failed,  // step, step_errno
  lost           // nobody was left to see it
};
std::string_view name(EndReason reason);  // the JSON word: "out_of_memory"
Result<EndReason> parse_end_reason(std::string_view word);

inline constexpr std::string_view kOtherCalls = "others";
// A system call that the filter refused with EPERM; kOtherCalls: all beyond those that are told apart.
struct Denial {
  std::string call;                      // "unshare"
  std::uint64_t times = 0;               // at least
  std::string who;                       // name of the first process that made it: the agent's own word, made printable
  std::vector<std::uint64_t> arguments;  // the first two of the first call
  bool operator==(const Denial&) const = default;
};
void to_json(nlohmann::json& json, const Denial& denial);
void from_json(const nlohmann::json& json, Denial& denial);

// Time in which at least one process of the sandbox waited for CPU, memory or disk (the kernel's PSI, "some"); 0 where
// the kernel does not tell.
struct Pressure {
  std::int64_t cpu_ms = 0;
  std::int64_t memory_ms = 0;
  std::int64_t io_ms = 0;
  bool operator==(const Pressure&) const = default;
};
void to_json(nlohmann::json& json, const Pressure& pressure);
void from_json(const nlohmann::json& json, Pressure& pressure);

struct ExitRecord {
  std::string id;  // of the sandbox
  EndReason reason = EndReason::lost;
  int exit_code = -1;  // of the command, where it exited
  int signal = 0;      // that ended the command, where one did
  std::string step;    // setup_failed: the kernel operation
  int step_errno = 0;
  std::string detail;  // one sentence for a person, with the rule behind the ending
  std::string origin;  // policy line (JSON pointer) behind the ending: "/limits/memory"; may be empty
  std::int64_t wall_ms = 0;
  bool metered = true;            // it had a cgroup of its own; without, the four figures below are not known
  std::int64_t cpu_ms = 0;        // user + system, of the whole cgroup
  std::uint64_t peak_memory = 0;  // bytes; 0 where the host does not tell
  std::uint64_t oom_kills = 0;    // processes the memory limit killed, also when the command went on
  std::uint64_t pids_refusals = 0;
  Pressure pressure;
  std::uint64_t disk_bytes =
      0;  // on its disk when it ended, with what stood there before; 0: it has none that is bounded
  std::uint64_t disk_inodes = 0;
  bool disk_full = false;            // of bytes or of inodes, also when the command went on
  bool inodes_full = false;          // of inodes
  std::uint64_t stdout_dropped = 0;  // captured output beyond the bound
  std::uint64_t stderr_dropped = 0;
  std::int64_t ended_unix_ms = 0;
  // By the seccomp filter; at most kMostInitDenials different calls, the last then kOtherCalls.
  std::vector<Denial> denials;
  bool operator==(const ExitRecord&) const = default;
};
void to_json(nlohmann::json& json, const ExitRecord& record);
void from_json(const nlohmann::json& json, ExitRecord& record);

// Sets `detail` where the reason and its number say it all.
void describe_end(ExitRecord& record);

// What a shell would report: the exit code, or 128 + the signal; 3 for setup_failed, 124 for a time limit.
int exit_status(const ExitRecord& record);

}  // namespace bulkhead
