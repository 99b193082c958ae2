#include "supervisor/core/daemon/attempt_disk.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "sandbox/launch/disk_image.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr std::chrono::milliseconds kPause{5};
constexpr std::chrono::seconds kStillInUse{5};  // a dead launcher's sandboxes are killed when the next one starts

}  // namespace

Async<> prepare_disks(RunContext& run) {
  for (const auto& [task, spec] : run.specs) {
    const DiskLimits limits{.bytes = spec.limits().disk_bytes, .inodes = spec.limits().disk_inodes};
    if (limits.bytes == 0) {
      run.unbounded_disks[task];
      continue;
    }
    const auto ask = [&] { return run.site.launcher.call([&](LauncherClient& c) { return c.prepare_disk(limits); }); };
    auto how = ask();
    for (; !how && how.error().code == EINPROGRESS; how = ask()) co_await pause_for(kPause);
    if (how) continue;
    const Error& why = how.error();
    if (why.code != kNoDiskBounds)
      co_return fail("task " + task, "/limits/disk", "its disk could not be bounded: " + why.text(), why.hint);
    if (!spec.allows(Loosening::unbounded_disk))
      co_return fail("task " + task, "/limits/disk", "this host cannot bound a disk: " + why.text(), why.hint);
    run.unbounded_disks[task] = why.text();
  }
  co_return Result<>{};
}

void note_unbounded_disks(RunContext& run) {
  for (const auto& [task, why] : run.unbounded_disks)
    if (!why.empty()) run.note("", 0, WallMissing{.wall = "disk-bounds", .answer = "task " + task + ": " + why});
}

Result<DiskLimits> disk_limits(const RunContext& run, const std::string& agent) {
  if (run.unbounded_disks.contains(agent)) return DiskLimits{};
  const auto spec = run.specs.find(agent);
  if (spec == run.specs.end()) return fail("bound disk", agent, "its policy is not known to this supervisor");
  return DiskLimits{.bytes = spec->second.limits().disk_bytes, .inodes = spec->second.limits().disk_inodes};
}

Result<Fd> make_disk(RunContext& run, const std::string& agent, const AttemptPaths& paths, std::uint32_t range) {
  BULKHEAD_ASSIGN(const DiskLimits limits, disk_limits(run, agent));
  if (limits.bytes != 0)
    return run.site.launcher.call([&](LauncherClient& c) { return c.attach_disk(paths.directory(), range, limits); });
  // The same shape: passed through by the range, and marked as its.
  BULKHEAD_TRY(make_directory(paths.disk(), 0711));
  if (::chmod(paths.disk().c_str(), 0711) != 0) return errno_error("chmod", paths.disk());
  if (::lchown(paths.disk().c_str(), 0, range) != 0) return errno_error("chown", paths.disk());
  return open_file(paths.disk(), O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

Async<Fd> open_disk(RunContext& run, AttemptPaths paths) {
  const auto ask = [&] {
    return run.site.launcher.call([&](LauncherClient& c) { return c.attach_disk(paths.directory(), 0); });
  };
  const auto deadline = std::chrono::steady_clock::now() + kStillInUse;
  auto disk = ask();
  for (; !disk && disk.error().code == EWOULDBLOCK && std::chrono::steady_clock::now() < deadline; disk = ask())
    co_await pause_for(kPause);
  co_return disk;
}

std::string disk_path(const Fd& disk) { return "/proc/self/fd/" + std::to_string(disk.get()); }

bool goes_with_its_disk(const std::string& directory) {
  return std::ranges::any_of(list_directory(directory).value_or(std::vector<std::string>{}), is_disk_image);
}

Result<> drop_disk(RunContext& run, const std::string& directory, DiskFiles files) {
  return run.site.launcher.call([&](LauncherClient& c) { return c.drop_disk(directory, files); });
}

}  // namespace bulkhead
