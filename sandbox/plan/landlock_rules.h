// Landlock as a second wall behind the mounts: what can be written is named once more, by path, to another part of the
// kernel; with it go TCP ports, abstract sockets and signals to processes outside. landlock(7).
#pragma once

#include <vector>

#include "sandbox/plan/plan.h"

namespace bulkhead {

// The rules that follow from the operations of a plan so far; none where the host or the policy has no Landlock.
std::vector<Operation> landlock_rules(const SandboxSpec& spec, const HostFacts& host,
                                      const std::vector<Operation>& operations);

}  // namespace bulkhead
