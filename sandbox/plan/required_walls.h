// Which walls a sandbox of a policy has, which of them a host lacks, and the one error that says so.
#pragma once

#include "sandbox/plan/plan.h"

namespace bulkhead {

// All that is known to be missing on a host: what was tried, and what its facts say by themselves.
MissingWalls missing_walls(const HostFacts& host);

// Those that a sandbox of this policy would have here if nothing were missing.
WallSet walls_of(const SandboxSpec& spec, const Placement& placement);

// One error that names every wall of `required` that is missing, the kernel's answer, what would provide it, and the
// line of a policy that would go on without; nothing where none is.
Result<> check_required(const WallSet& required, const MissingWalls& missing);

bool is_missing_walls(const Error& error);

// What must stand for this sandbox: of what the policy requires, what it would have.
WallSet required_here(const SandboxSpec& spec, const Placement& placement);

// "require: [a, b]": a policy's line that requires what `required` does, but for the walls that are missing.
std::string require_line(const WallSet& required, const MissingWalls& missing);

}  // namespace bulkhead
