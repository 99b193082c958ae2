#include "sandbox/launch/disk_leftovers.h"

#include <fcntl.h>
#include <linux/loop.h>
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

// The nearest directory above that is there.
std::string existing(std::string path) {
  while (path.size() > 1 && !exists(path)) path.resize(std::max<std::size_t>(path.rfind('/'), 1));
  return path;
}

// Each project of the file system that is bounded and abandoned, while its range is ours. A launcher sets a bound only in
// a range that it holds, so nobody uses what is not used now before `action` is over.
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
  BULKHEAD_ASSIGN(const DiskImage image, new_disk_image(form.get(), directory));
  return {};
}

}  // namespace

std::vector<std::string> loop_devices_below(const std::string& state_dir) {
  std::vector<std::string> found;
  for (const std::string& name : list_directory("/sys/block").value_or(std::vector<std::string>{})) {
    if (!name.starts_with("loop")) continue;
    const auto file = read_file("/sys/block/" + name + "/loop/backing_file");
    if (file && file->starts_with(state_dir + "/")) found.push_back("/dev/" + name);
  }
  return found;
}

Result<> detach_loop_device(const std::string& device) {
  BULKHEAD_ASSIGN(const Fd fd, open_file(device, O_RDONLY));
  if (::ioctl(fd.get(), LOOP_CLR_FD, 0) != 0 && errno != ENXIO) return errno_error("detach", device);
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
