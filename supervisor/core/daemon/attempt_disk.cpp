#include "supervisor/core/daemon/attempt_disk.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "sandbox/launch/disk_image.h"
#include "sandbox/sys/files.h"

namespace bulkhead {

Result<> prepare_disks(RunContext& run) {
  for (const auto& [task, spec] : run.specs) {
    const DiskLimits limits{.bytes = spec.limits().disk_bytes, .inodes = spec.limits().disk_inodes};
    if (limits.bytes == 0) {
      run.unbounded_disks.insert(task);
      continue;
    }
    const auto how = run.site.launcher.call([&](LauncherClient& c) { return c.prepare_disk(limits); });
    if (how) continue;
    if (spec.allows(Loosening::unbounded_disk)) {
      spdlog::warn("{} {}: its disk is not bounded, as its policy allows: {}", run.run, task, how.error().text());
      run.unbounded_disks.insert(task);
      continue;
    }
    return fail("task " + task, "/limits/disk", "this host cannot bound a disk: " + how.error().text(),
                how.error().hint);
  }
  return {};
}

DiskLimits disk_limits(const RunContext& run, const std::string& agent) {
  const auto spec = run.specs.find(agent);
  if (spec == run.specs.end() || run.unbounded_disks.contains(agent)) return {};
  return {.bytes = spec->second.limits().disk_bytes, .inodes = spec->second.limits().disk_inodes};
}

Result<Fd> make_disk(RunContext& run, const std::string& agent, const AttemptPaths& paths, std::uint32_t range) {
  const DiskLimits limits = disk_limits(run, agent);
  if (limits.bytes != 0)
    return run.site.launcher.call([&](LauncherClient& c) { return c.attach_disk(paths.directory(), range, limits); });
  // The same shape: passed through by the range, and marked as its.
  BULKHEAD_TRY(make_directory(paths.disk(), 0711));
  if (::chmod(paths.disk().c_str(), 0711) != 0) return errno_error("chmod", paths.disk());
  if (::lchown(paths.disk().c_str(), 0, range) != 0) return errno_error("chown", paths.disk());
  return open_file(paths.disk(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

Result<Fd> open_disk(RunContext& run, const AttemptPaths& paths) {
  return run.site.launcher.call([&](LauncherClient& c) { return c.attach_disk(paths.directory(), 0); });
}

std::string disk_path(const Fd& disk) { return "/proc/self/fd/" + std::to_string(disk.get()); }

bool goes_with_its_disk(const std::string& directory) {
  return std::ranges::any_of(list_directory(directory).value_or(std::vector<std::string>{}), is_disk_image);
}

Result<> drop_disk(RunContext& run, const std::string& directory, DiskFiles files) {
  return run.site.launcher.call([&](LauncherClient& c) { return c.drop_disk(directory, files); });
}

}  // namespace bulkhead
