#include "supervisor/cli/leftovers.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <thread>

#include "sandbox/base/text.h"
#include "sandbox/launch/cgroup.h"
#include "sandbox/launch/disk_leftovers.h"
#include "sandbox/launch/image_store.h"
#include "sandbox/launch/launcher_client.h"
#include "sandbox/launch/wall_tries.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr std::string_view kPrivate = "bulkhead-p";  // then the launcher's pid

std::vector<std::string> entries(const std::string& directory) {
  return list_directory(directory).value_or(std::vector<std::string>{});  // one that is not there has none
}

bool is_socket(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode);
}

// Whether the private launcher behind this cgroup root lives. A pid that another program has by now is a dead one.
bool private_launcher_lives(const std::string& root) {
  const std::string_view digits = std::string_view(root).substr(kPrivate.size());
  const auto comm = read_file("/proc/" + std::string(digits) + "/comm", 256);
  return comm && *comm == "bulkhead-launch\n";
}

bool is_private_root(const std::string& root) {
  int pid = 0;
  if (!root.starts_with(kPrivate)) return false;
  const char* end = root.data() + root.size();
  const auto parsed = std::from_chars(root.data() + kPrivate.size(), end, pid);
  return parsed.ec == std::errc{} && parsed.ptr == end;
}

void find_cgroups(const StatePaths& state, const CgroupLayout& cgroups, const Survivors& survivors,
                  std::vector<Leftover>& out) {
  if (cgroups.mode == CgroupMode::none) return;
  const std::string own = cgroup_root_name(state.root());
  for (const std::string& root : list_cgroup_roots(cgroups)) {
    const bool ours = root == own && !survivors.daemon && !survivors.launcher;
    if (!ours && !(is_private_root(root) && !private_launcher_lives(root))) continue;
    const auto processes = cgroup_root_processes(cgroups, root);
    if (!processes.empty())
      out.push_back({LeftoverKind::processes, root, std::to_string(processes.size()) + " still alive"});
    out.push_back({LeftoverKind::cgroup, root, ""});
  }
}

Result<> end_processes(const CgroupLayout& cgroups, const std::string& root) {
  BULKHEAD_TRY(kill_cgroup_root(cgroups, root));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!cgroup_root_processes(cgroups, root).empty()) {
    if (std::chrono::steady_clock::now() > deadline)
      return fail("end processes of", root, "some do not go away within ten seconds",
                  "processes in an uninterruptible wait show as D in: ps ax");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return {};
}

Result<> remove_cgroups(const CgroupLayout& cgroups, const std::string& root) {
  // A cgroup whose last process was just reaped answers EBUSY for a moment.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (true) {
    auto removed = remove_cgroup_root(cgroups, root);
    if (removed || removed.error().code != EBUSY || std::chrono::steady_clock::now() > deadline) return removed;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void find_images(const std::string& store, std::chrono::hours age, std::vector<Leftover>& out) {
  for (const std::string& name : entries(store)) {
    const std::string path = store + "/" + name;
    struct stat ready{};
    const bool whole = is_image_key(name) && ::lstat((path + "/ready").c_str(), &ready) == 0;
    const auto unused = std::chrono::seconds(::time(nullptr) - ready.st_mtim.tv_sec);
    if (whole && unused < age) continue;
    if (!lock_unused_image(path)) continue;  // somebody makes it, or uses it
    out.push_back({whole ? LeftoverKind::unused_image : LeftoverKind::half_image, path, ""});
  }
}

// Under its lock, and out of its place before anything of it goes: whoever comes meanwhile makes it anew there.
Result<> remove_image(const std::string& path) {
  const auto lock = lock_unused_image(path);
  if (!lock && (lock.error().code == ENOENT || lock.error().code == EBUSY)) return {};
  if (!lock) return std::unexpected(lock.error());
  const std::string away = path.ends_with(".removed") ? path : path + ".removed";
  if (away == path) return remove_tree(path);
  BULKHEAD_TRY(remove_tree(away));  // of a forerunner that was killed
  if (::rename(path.c_str(), away.c_str()) != 0) return errno_error("rename", path);
  return remove_tree(away);
}

Result<> remove(const StatePaths& state, const CgroupLayout& cgroups, const Leftover& leftover) {
  switch (leftover.kind) {
    case LeftoverKind::launcher: {
      BULKHEAD_ASSIGN(auto launcher, LauncherClient::connect(leftover.name));
      BULKHEAD_TRY(launcher.shutdown());
      return launcher.wait_for_end(std::chrono::seconds(30));
    }
    case LeftoverKind::processes:
      return end_processes(cgroups, leftover.name);
    case LeftoverKind::cgroup:
      return remove_cgroups(cgroups, leftover.name);
    case LeftoverKind::socket:
      if (::unlink(leftover.name.c_str()) != 0 && errno != ENOENT) return errno_error("remove", leftover.name);
      return {};
    case LeftoverKind::half_image:
    case LeftoverKind::unused_image:
      return remove_image(leftover.name);
    case LeftoverKind::mount_point:
    case LeftoverKind::half_base:
    case LeftoverKind::run_directory:
    case LeftoverKind::tried:
      return remove_tree(leftover.name);
    case LeftoverKind::loop_device:
      return wait_for_loop_device(leftover.name, state.root(), std::chrono::seconds(10));
    case LeftoverKind::bound:
      return lift_abandoned(state.root());
  }
  return {};
}

}  // namespace

std::string text(const Leftover& leftover) {
  const auto with = [&](const std::string& what) {
    return what + " " + printable(leftover.name) + (leftover.detail.empty() ? "" : ": " + printable(leftover.detail));
  };
  switch (leftover.kind) {
    case LeftoverKind::launcher:
      return with("launcher without a daemon at");
    case LeftoverKind::processes:
      return with("processes in cgroup");
    case LeftoverKind::cgroup:
      return with("cgroup");
    case LeftoverKind::socket:
      return with("socket that nobody serves:");
    case LeftoverKind::mount_point:
      return with("mount point");
    case LeftoverKind::half_base:
      return with("half-made base");
    case LeftoverKind::half_image:
      return with("half-unpacked image");
    case LeftoverKind::unused_image:
      return with("unpacked image that nobody uses");
    case LeftoverKind::run_directory:
      return with("directory of a run that is over:");
    case LeftoverKind::tried:
      return with("directory of a try that was killed:");
    case LeftoverKind::loop_device:
      return with("loop device");
    case LeftoverKind::bound:
      return with("quota of project");
  }
  return {};
}

std::vector<Leftover> find_leftovers(const StatePaths& state, const CgroupLayout& cgroups, const Survivors& survivors) {
  std::vector<Leftover> out;
  if (survivors.launcher && !survivors.daemon) out.push_back({LeftoverKind::launcher, state.launcher_socket(), ""});
  find_cgroups(state, cgroups, survivors, out);
  if (!survivors.daemon && is_socket(state.control_socket()))
    out.push_back({LeftoverKind::socket, state.control_socket(), ""});
  if (!survivors.launcher && is_socket(state.launcher_socket()))
    out.push_back({LeftoverKind::socket, state.launcher_socket(), ""});
  // Mount points and bases in the making belong to a living daemon or launcher, whichever run they are for.
  if (!survivors.daemon && !survivors.launcher)
    for (const std::string& name : entries(state.mounts()))
      out.push_back({LeftoverKind::mount_point, state.mounts() + "/" + name, ""});
  if (!survivors.daemon)
    for (const std::string& repository : entries(state.bases()))
      for (const std::string& commit : entries(state.bases() + "/" + repository))
        if (is_object_id(commit) && !exists(state.base(repository, commit).ready()))
          out.push_back({LeftoverKind::half_base, state.base(repository, commit).directory(), ""});
  find_images(state.images(), survivors.image_age, out);
  for (const std::string& run : entries(state.runs()))
    if (!survivors.live_runs.contains(run) && !survivors.kept_runs.contains(run))
      out.push_back({LeftoverKind::run_directory, state.runs() + "/" + run, ""});
  // `bulkhead doctor` tries where the state directory is, or will be.
  for (const std::string& directory : {state.root(), state.root().substr(0, state.root().rfind('/'))})
    for (const std::string& tried : abandoned_tries(directory)) out.push_back({LeftoverKind::tried, tried, ""});
  if (!survivors.daemon && !survivors.launcher)
    for (const std::string& device : loop_devices_of(state.root()))
      out.push_back({LeftoverKind::loop_device, device, "of a disk below the state directory"});
  for (const std::uint32_t project : abandoned_bounds(state.root()))
    out.push_back({LeftoverKind::bound, std::to_string(project), "nothing counts for it"});
  return out;
}

std::vector<Error> remove_leftovers(const StatePaths& state, const CgroupLayout& cgroups,
                                    const std::vector<Leftover>& leftovers) {
  std::vector<Error> problems;
  for (const Leftover& leftover : leftovers)
    if (auto removed = remove(state, cgroups, leftover); !removed) problems.push_back(std::move(removed).error());
  // With their files gone more bounds are of nothing.
  if (auto lifted = lift_abandoned(state.root()); !lifted) problems.push_back(std::move(lifted).error());
  return problems;
}

}  // namespace bulkhead
