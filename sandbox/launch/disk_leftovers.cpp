#include "sandbox/launch/disk_leftovers.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <algorithm>

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
  const auto state = open_file(state_dir, O_RDONLY | O_DIRECTORY);
  if (!state) return found;
  const auto projects = abandoned_projects(state->get());
  if (projects.empty()) return found;
  auto ranges = UidRanges::open("/run/bulkhead/uid-ranges.lock");
  if (!ranges) return found;
  for (const std::uint32_t project : projects)
    if (ranges->adopt(project - (project - kRangeFirst) % kRangeSize)) found.push_back(project);
  return found;
}

Result<> lift_bound(const std::string& state_dir, std::uint32_t project) {
  BULKHEAD_ASSIGN(const Fd state, open_file(state_dir, O_RDONLY | O_DIRECTORY));
  return lift_project(state.get(), project);
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
