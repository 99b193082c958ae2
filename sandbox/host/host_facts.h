// What this host can do, found by trying and reading, once. A value: plans compile against it, tests make their own.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/base/walls.h"

namespace bulkhead {

enum class CgroupMode { none, v2, hybrid };

// Where Bulkhead's cgroups live. Hybrid: limits on the v1 hierarchies, kill and freeze on the (empty) v2 tree.
struct CgroupLayout {
  CgroupMode mode = CgroupMode::none;
  std::string v2_parent;                  // directory in the v2 tree under which our root node is made
  std::map<std::string, std::string> v1;  // controller ("memory", "cpu", "pids", "io") -> directory, hybrid only
  bool io = false;                        // whether input and output can be limited; v1 calls it blkio
  std::string reason;                     // why mode is none
  bool operator==(const CgroupLayout&) const = default;
};

struct HostFacts {
  std::string kernel;  // release
  CgroupLayout cgroups;
  int last_capability = 40;               // /proc/sys/kernel/cap_last_cap
  int landlock_abi = 0;                   // 0: none, and
  std::string landlock_reason;            // why
  std::vector<std::string> device_nodes;  // of those a policy may name, the ones /dev has
  bool in_user_namespace = false;  // our own user namespace is not the host's: most containers that are not root's
  bool keyrings = true;            // whether this kernel has them
  // Found missing by trying (sandbox/launch/wall_tries.h). What was not tried is taken to stand: a launch finds out.
  // All that is missing, also by the facts above: missing_walls() (sandbox/plan/required_walls.h).
  MissingWalls missing;
  bool operator==(const HostFacts&) const = default;
};

// Reads; changes nothing.
Result<HostFacts> probe_host();

}  // namespace bulkhead
