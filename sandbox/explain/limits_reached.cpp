#include <signal.h>

#include "sandbox/base/units.h"
#include "sandbox/explain/denied.h"

namespace bulkhead {

std::vector<LimitReached> limits_reached(const Limits& limits, const ExitRecord& record) {
  std::vector<LimitReached> reached;
  const auto bytes = [](std::uint64_t size) -> nlohmann::json {  // rounded for people only where that is exact
    const std::string text = format_bytes(size);
    return parse_bytes(text) == size ? nlohmann::json(text) : nlohmann::json(size);
  };
  const auto time = [](std::chrono::milliseconds limit) { return format_duration(2 * limit); };
  if (record.oom_kills != 0 && limits.memory_bytes != 0)
    reached.push_back(
        {"memory", bytes(2 * limits.memory_bytes), "memory beyond its limit", "out of memory", record.oom_kills});
  if (record.pids_refusals != 0 && limits.pids != 0)
    reached.push_back({"pids", 2 * limits.pids, "processes beyond their limit",
                       std::to_string(record.pids_refusals) + " forks were refused", record.pids_refusals});
  if (record.disk_full && record.inodes_full)
    reached.push_back({"inodes", 2 * limits.disk_inodes, "more files than fit", "the disk was full"});
  if (record.disk_full && !record.inodes_full)
    reached.push_back({"disk", bytes(2 * limits.disk_bytes), "writing to a full disk", "the disk was full"});
  if (record.reason == EndReason::wall_time)
    reached.push_back({"wall", time(limits.wall), "to run longer", "its time was up"});
  if (record.reason == EndReason::cpu_time)
    reached.push_back({"cpu_time", time(limits.cpu_time), "more CPU time", "its CPU time was up"});
  if (record.stdout_dropped + record.stderr_dropped != 0 && limits.output_bytes != 0)
    reached.push_back({"output", bytes(2 * limits.output_bytes), "output beyond its limit",
                       format_bytes(record.stdout_dropped + record.stderr_dropped) + " were dropped"});
  // A shell tells of its child's signal by its own status.
  const bool too_long =
      record.signal == SIGXFSZ || (record.reason == EndReason::exited && record.exit_code == 128 + SIGXFSZ);
  if (too_long && limits.file_bytes != 0)
    reached.push_back({"file_size", bytes(2 * limits.file_bytes), "a file beyond its limit", "killed by SIGXFSZ"});
  return reached;
}

}  // namespace bulkhead
