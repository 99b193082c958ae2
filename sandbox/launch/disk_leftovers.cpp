#include "sandbox/launch/disk_leftovers.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <functional>

#include "sandbox/launch/disk_image.h"
#include "sandbox/launch/disk_quota.h"
#include "sandbox/launch/uid_ranges.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr int kPause = 5;  // ms, between looks

// The nearest directory above that is there.
std::string existing(std::string path) {
  while (path.size() > 1 && !exists(path)) path.resize(std::max<std::size_t>(path.rfind('/'), 1));
  return path;
}

// Whether the device has the name that disks of `owner` give theirs. Only such as go by themselves are opened at all.
bool is_of(const std::string& name, const std::string& owner) {
  if (read_file("/sys/block/" + name + "/loop/autoclear", 16).value_or("") != "1\n") return false;
  const auto fd = open_file("/dev/" + name, O_RDONLY);
  loop_info64 info{};
  return fd && ::ioctl(fd->get(), LOOP_GET_STATUS64, &info) == 0 &&
         owner == reinterpret_cast<const char*>(info.lo_file_name);
}

// A process that has it mounted, for people.
std::string user_of(const std::string& name) {
  std::string number = read_file("/sys/block/" + name + "/dev", 32).value_or("");
  while (number.ends_with('\n')) number.pop_back();
  for (const std::string& pid : list_directory("/proc").value_or(std::vector<std::string>{})) {
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto mounts = read_file("/proc/" + pid + "/mountinfo", 16U << 20);  // proc(5): "major:minor" is the third
    if (!mounts || mounts->find(" " + number + " ") == std::string::npos) continue;
    std::string comm = read_file("/proc/" + pid + "/comm", 64).value_or("");
    while (comm.ends_with('\n')) comm.pop_back();
    return "process " + pid + " (" + comm + ")";
  }
  return "a process that holds it, or a file on it, open";
}

// Each project of the file system that is bounded and abandoned, while its range is ours. A launcher sets a bound only
// in a range that it holds, so nobody uses what is not used now before `action` is over.
Result<> with_abandoned(const std::string& state_dir, const std::function<Result<>(int, std::uint32_t)>& action) {
  if (!exists(state_dir)) return {};
  BULKHEAD_ASSIGN(const Fd state, open_file(state_dir, O_RDONLY | O_DIRECTORY));
  for (const std::uint32_t project : abandoned_projects(state.get())) {
    BULKHEAD_ASSIGN(auto ranges, UidRanges::open(kUidRangesLock));  // given back with the object
    if (!ranges.adopt(project - (project - kRangeFirst) % kRangeSize)) continue;
    BULKHEAD_ASSIGN(const bool still, is_abandoned(state.get(), project));
    if (still) BULKHEAD_TRY(action(state.get(), project));
  }
  return {};
}

// A small disk made, mounted where nobody sees it, and gone again.
Result<> try_image(const std::string& directory) {
  const DiskLimits limits{.bytes = 16ULL << 20, .inodes = 64};
  BULKHEAD_ASSIGN(const Fd form, open_file(directory, O_TMPFILE | O_RDWR, 0600));
  BULKHEAD_TRY(format_disk(form.get(), limits));
  BULKHEAD_ASSIGN(const DiskImage image, new_disk_image(form.get(), directory, disk_owner(directory)));
  return {};
}

}  // namespace

std::vector<std::string> loop_devices_of(const std::string& state_dir) {
  std::vector<std::string> found;
  const std::string owner = disk_owner(state_dir);
  for (const std::string& name : list_directory("/sys/block").value_or(std::vector<std::string>{}))
    if (name.starts_with("loop") && is_of(name, owner)) found.push_back("/dev/" + name);
  return found;
}

Result<> wait_for_loop_device(const std::string& device, const std::string& state_dir,
                              std::chrono::milliseconds patience) {
  const std::string name = device.substr(device.rfind('/') + 1), owner = disk_owner(state_dir);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  // Nothing tells of it. It is closed between looks: as long as it is open, by us too, it stays.
  while (is_of(name, owner)) {
    if (std::chrono::steady_clock::now() > deadline)
      return fail("wait for", device, "it is in use by " + user_of(name),
                  "it goes with its last user: end that, then: sudo bulkhead clean");
    ::poll(nullptr, 0, kPause);
  }
  return {};
}

std::vector<std::uint32_t> abandoned_bounds(const std::string& state_dir) {
  std::vector<std::uint32_t> found;
  (void)with_abandoned(state_dir, [&](int, std::uint32_t project) -> Result<> {
    found.push_back(project);
    return {};
  });  // what cannot be asked has none
  return found;
}

Result<> lift_abandoned(const std::string& state_dir) {
  return with_abandoned(state_dir, [](int state, std::uint32_t project) { return lift_project(state, project); });
}

DiskBounds try_disk_bounds(const std::string& state_dir) {
  const std::string directory = existing(state_dir);
  const auto fd = open_file(directory, O_RDONLY | O_DIRECTORY);
  if (fd && enforces_project_quota(fd->get()))
    return {.present = true, .detail = "project quotas of the file system of " + directory};
  const auto tried = try_image(directory);
  if (tried) return {.present = true, .detail = "file systems in images, on loop devices"};
  const Error& error = tried.error();
  return {.present = false,
          .detail = error.text() + ": workspaces are refused" + (error.hint.empty() ? "" : "; " + error.hint)};
}

}  // namespace bulkhead
