#include "sandbox/base/walls.h"

#include <array>

namespace bulkhead {
namespace {

// In the order of Wall.
constexpr std::array kWalls{
    WallInfo{.wall = Wall::namespaces,
             .name = "namespaces",
             .need = WallNeed::always,
             .what = "mount, pid, ipc, uts and cgroup namespaces",
             .instead = "",
             .lost = "",
             .provide = "CAP_SYS_ADMIN (sudo; in a container: --cap-add SYS_ADMIN), and a seccomp profile that allows "
                        "clone3 and unshare"},
    WallInfo{.wall = Wall::mounts,
             .name = "mounts",
             .need = WallNeed::always,
             .what = "a root of its own, built by descriptor",
             .instead = "",
             .lost = "",
             .provide = "Linux 5.12, CAP_SYS_ADMIN; in a container a seccomp and an AppArmor profile that allow mount"},
    WallInfo{.wall = Wall::network,
             .name = "network",
             .need = WallNeed::always,
             .what = "a network of its own, with lo alone",
             .instead = "",
             .lost = "",
             .provide = "CAP_SYS_ADMIN and CAP_NET_ADMIN; or the word host-network in the policy's allow list"},
    WallInfo{.wall = Wall::seccomp,
             .name = "seccomp",
             .need = WallNeed::always,
             .what = "a system call filter",
             .instead = "",
             .lost = "",
             .provide = "CONFIG_SECCOMP_FILTER; in a container a seccomp profile that allows seccomp(2)"},
    WallInfo{.wall = Wall::user_namespace,
             .name = "user-namespace",
             .need = WallNeed::default_,
             .what = "an own range of 65,536 uids in a user namespace",
             .instead = "an own uid, without a user namespace",
             .lost = "uid 1000 and accounts inside, uid 0 inside, kept capabilities, workspaces; the uid is one of the "
                     "host's or container's own",
             .provide = "user.max_user_namespaces above 0; in a container ids mapped for at least one range of 65536 "
                        "beyond its own first 65536, and a seccomp profile that allows unshare"},
    WallInfo{.wall = Wall::no_namespaces_below,
             .name = "no-namespaces-below",
             .need = WallNeed::default_,
             .what = "no user namespace can be made inside",
             .instead = "seccomp refuses the calls that would make one",
             .lost = "the second of two walls against namespaces made inside",
             .provide = "a /proc that can be mounted afresh, or a writable /proc/sys"},
    WallInfo{.wall = Wall::fresh_proc,
             .name = "fresh-proc",
             .need = WallNeed::default_,
             .what = "a /proc of its own processes",
             .instead = "an empty, read-only /proc",
             .lost = "programs that read /proc: ps, /dev/stdin and its like, /proc/self, and who made a refused call",
             .provide = "a /proc in full view: in a user namespace, none that was masked from outside of it"},
    WallInfo{.wall = Wall::limits,
             .name = "limits",
             .need = WallNeed::default_,
             .what = "a cgroup of its own: limits, freezing, figures of what was used",
             .instead = "limits of each process (memory, cpu_time) and of its uid (pids); wall time; the end of its "
                        "pid namespace ends all of it",
             .lost =
                 "limits of memory of all processes together, and of what they share (shared mappings, memfd, tmpfs); "
                 "cpu, cpu_weight, swap, memory_high, io_read, io_write; freezing, and with it checkpoints of what "
                 "runs; what was used; sandboxes end with their launcher",
             .provide = "a writable cgroup2 tree with cpu, memory and pids, no processes in its own node (in a "
                        "container: a private cgroup namespace, mounted read-write)"},
    WallInfo{.wall = Wall::landlock,
             .name = "landlock",
             .need = WallNeed::default_,
             .what = "a second wall behind the mounts",
             .instead = "the mounts alone",
             .lost = "the second of two walls around files; tcp ports",
             .provide = "Landlock with ABI 2 (Linux 5.19), named in the kernel's lsm= list; in a container a seccomp "
                        "profile that allows landlock_*"},
    WallInfo{.wall = Wall::keyring,
             .name = "keyring",
             .need = WallNeed::default_,
             .what = "a session keyring of its own",
             .instead = "seccomp refuses keyctl, add_key and request_key",
             .lost = "the caller's session keyring is inherited: a file system that looks for its keys there finds "
                     "them",
             .provide = "in a container a seccomp profile that allows keyctl"},
    WallInfo{.wall = Wall::refusals_seen,
             .name = "refusals-seen",
             .need = WallNeed::on_demand,
             .what = "refused system calls are noted",
             .instead = "they are refused by the filter, unseen",
             .lost = "--explain and reports do not name refused system calls; policy learn does not work",
             .provide = "nobody above who listens already (a container manager that intercepts system calls)"},
    WallInfo{.wall = Wall::workspaces,
             .name = "workspaces",
             .need = WallNeed::runs,
             .what = "workspaces of `bulkhead run`: an overlay in a user namespace over an id-mapped checkout",
             .instead = "",
             .lost = "`bulkhead run`; `bulkhead sandbox run` needs none",
             .provide =
                 "Linux 5.12, user namespaces, and a state directory on ext4, xfs or btrfs (or tmpfs, from Linux 6.3) "
                 "that was mounted in the user namespace we are in"},
};
static_assert(kWalls.size() == static_cast<std::size_t>(Wall::workspaces) + 1);

}  // namespace

std::span<const WallInfo> all_walls() { return kWalls; }

const WallInfo& about(Wall wall) { return kWalls.at(static_cast<std::size_t>(wall)); }

const WallInfo* find_wall(std::string_view name) {
  for (const WallInfo& info : kWalls)
    if (info.name == name) return &info;
  return nullptr;
}

std::vector<std::string> requirable_walls() {
  std::vector<std::string> names;
  for (const WallInfo& info : kWalls)
    if (info.need != WallNeed::runs) names.emplace_back(info.name);
  return names;
}

std::vector<std::string> walls_required_by_default() {
  std::vector<std::string> names;
  for (const WallInfo& info : kWalls)
    if (info.need == WallNeed::always || info.need == WallNeed::default_) names.emplace_back(info.name);
  return names;
}

WallSet dispensable_walls() {
  WallSet walls;
  for (const WallInfo& info : kWalls)
    if (info.need == WallNeed::default_) walls.insert(info.wall);
  return walls;
}

std::string missing_text(Wall wall, const std::string& answer) {
  const WallInfo& info = about(wall);
  std::string text = std::string(info.name) + ": " + answer;
  if (!info.instead.empty()) text += "; instead: " + std::string(info.instead);
  if (!info.lost.empty()) text += "; lost: " + std::string(info.lost);
  return text;
}

}  // namespace bulkhead
