// What dead runs left behind in a state directory and on the host. Finding changes nothing; removing is for what nobody
// alive has a part in. Unfinished runs are ended by a daemon first (verb_clean.cpp): it knows what they hold.
#pragma once

#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/host/host_facts.h"
#include "supervisor/core/workspaces/state_paths.h"

namespace bulkhead {

enum class LeftoverKind {
  launcher,
  processes,
  cgroup,
  socket,
  mount_point,
  half_base,
  half_image,
  unused_image,
  run_directory,
  tried,
  loop_device,
  bound
};

struct Leftover {
  LeftoverKind kind{};
  std::string name;    // a path, of a cgroup its root node, of a bound its project
  std::string detail;  // for people
  bool operator==(const Leftover&) const = default;
};
std::string text(const Leftover& leftover);

// Who is alive, as the caller found out.
struct Survivors {
  bool daemon = false;
  bool launcher = false;
  std::set<std::string> live_runs;  // of the daemon
  std::set<std::string> kept_runs;  // finished ones whose workspaces were to be kept
  // Unpacked images that nobody uses and that nobody has used for this long. They are made anew when they are needed.
  std::chrono::hours image_age = kKeepImages;
  static constexpr std::chrono::hours kKeepImages{24 * 30};
};

// Private launchers (`sandbox run`) name their cgroup root after their pid: those of dead ones are leftovers, too.
// A launcher that lives without a daemon comes first, and alone of what is its: that is found when it has ended.
std::vector<Leftover> find_leftovers(const StatePaths& state, const CgroupLayout& cgroups, const Survivors& survivors);

// In the order of `leftovers`. Goes on after a failure; the problems are the answer. Blocks until killed processes and
// their loop devices are gone, at most ten seconds for each, and until a launcher is.
std::vector<Error> remove_leftovers(const StatePaths& state, const CgroupLayout& cgroups,
                                    const std::vector<Leftover>& leftovers);

}  // namespace bulkhead
