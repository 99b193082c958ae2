// The walls of a sandbox by the names that people write: one closed list for policies (`require`), plans, `bulkhead
// doctor` and reports. Whether a wall stands on a host is tried (sandbox/launch/wall_tries.h), not read off a version.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

enum class Wall : std::uint8_t {
  namespaces,
  mounts,
  network,
  seccomp,
  user_namespace,
  no_namespaces_below,
  fresh_proc,
  limits,
  landlock,
  keyring,
  refusals_seen,
  workspaces
};

enum class WallNeed {
  always,     // without it there is no sandbox, whatever `require` says
  default_,   // required where a policy does not say otherwise
  on_demand,  // required where a policy says so
  runs        // of `bulkhead run`, whose workspaces it makes; no sandbox of its own has it
};

struct WallInfo {
  Wall wall{};
  std::string_view name;  // "fresh-proc"
  WallNeed need = WallNeed::always;
  std::string_view what;     // what stands there
  std::string_view instead;  // what stands in where it is missing; empty: nothing can
  std::string_view lost;     // what is lost then
  std::string_view provide;  // what a host or a container has to give for it
};

using WallSet = std::set<Wall>;
using MissingWalls = std::map<Wall, std::string>;  // with the kernel's answer, or why it was not asked

std::span<const WallInfo> all_walls();
const WallInfo& about(Wall wall);
inline std::string_view name(Wall wall) { return about(wall).name; }
const WallInfo* find_wall(std::string_view name);  // nullptr: no such wall

// What a policy may name in `require`, and what it requires where it is silent.
std::vector<std::string> requirable_walls();
std::vector<std::string> walls_required_by_default();

WallSet dispensable_walls();  // required by default, and a policy may say otherwise

// "limits: /sys/fs/cgroup is read-only; instead: …; lost: …"
std::string missing_text(Wall wall, const std::string& answer);

}  // namespace bulkhead
