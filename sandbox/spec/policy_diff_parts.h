// Parts of diff_policies(), each one way: what `to` allows beyond `from`. Internal to sandbox/spec.
#pragma once

#include <vector>

#include "sandbox/spec/policy_diff.h"

namespace bulkhead {

void more_paths(const SandboxSpec& from, const SandboxSpec& to, std::vector<PolicyChange>& more);
void more_calls(const SandboxSpec& from, const SandboxSpec& to, std::vector<PolicyChange>& more);

}  // namespace bulkhead
