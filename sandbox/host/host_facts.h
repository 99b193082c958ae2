// What this host can do, found by trying and reading, once. A value: plans compile against it, tests make their own.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sandbox/base/result.h"

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

struct Wall {
  std::string name;  // "user namespaces"
  bool present = false;
  std::string detail;    // what was tried and what came of it; where absent, what stands in for it or what to do
  bool required = true;  // without it no compartment is made; else `detail` says what stands in
  bool operator==(const Wall&) const = default;
};

struct HostFacts {
  std::string kernel;  // release
  CgroupLayout cgroups;
  int last_capability = 40;               // /proc/sys/kernel/cap_last_cap
  int landlock_abi = 0;                   // 0: none
  std::vector<std::string> device_nodes;  // of those a policy may name, the ones /dev has
  bool operator==(const HostFacts&) const = default;
};

// Reads; changes nothing.
Result<HostFacts> probe_host();

// Tries each wall in child processes and reports; needs root for most. For `bulkhead doctor`.
std::vector<Wall> examine_walls(const HostFacts& facts);

}  // namespace bulkhead
