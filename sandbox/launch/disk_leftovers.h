// What may be left of disks when nobody of ours lives: loop devices that some other process keeps busy, bounds of
// projects that have no file any more. And whether this host can bound a disk at all, by trying.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "sandbox/base/result.h"

namespace bulkhead {

// "/dev/loop7": those that disks of `state_dir` are on, whatever namespace their files were named in.
std::vector<std::string> loop_devices_of(const std::string& state_dir);
// A device goes when its last user does, and not before: waits for that. Who still has it is the error.
Result<> wait_for_loop_device(const std::string& device, const std::string& state_dir,
                              std::chrono::milliseconds patience);

// Projects with a bound and without a file, on the file system of `state_dir`, that no living launcher of this host may
// be about to use: for who only looks, since it may be used a moment later.
std::vector<std::uint32_t> abandoned_bounds(const std::string& state_dir);
// Lifts these, each while its range is ours, so that no launcher begins to use it meanwhile.
Result<> lift_abandoned(const std::string& state_dir);

// How disks are bounded on the file system of `state_dir`, which need not exist yet; tried.
struct DiskBounds {
  bool present = false;
  std::string detail;
};
DiskBounds try_disk_bounds(const std::string& state_dir);

}  // namespace bulkhead
