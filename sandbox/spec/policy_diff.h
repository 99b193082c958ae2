// What one policy lets a sandbox do that another does not. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sandbox/spec/spec.h"

namespace bulkhead {

// One sentence for a person, and the key of the policy it is about.
struct PolicyChange {
  std::string key;  // "mounts"
  std::string text;
  bool operator==(const PolicyChange&) const = default;
};

struct PolicyDiff {
  std::vector<PolicyChange> allows;  // what the second allows beyond the first
  std::vector<PolicyChange> takes;   // what it takes away
  std::vector<PolicyChange> other;   // what is different and neither more nor less
  bool operator==(const PolicyDiff&) const = default;
};

// Host paths are compared by name: no file system is asked. A system call that both policies allow under conditions,
// but under different ones, counts as allowed beyond: that it is not cannot be told from here.
PolicyDiff diff_policies(const SandboxSpec& from, const SandboxSpec& to);

void to_json(nlohmann::json& json, const PolicyDiff& diff);

}  // namespace bulkhead
