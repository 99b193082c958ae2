// Landlock's calls for the child: plain arguments, no allocation, errno for errors.
#pragma once

#include "sandbox/launch/tree.h"

namespace bulkhead {

// `ruleset` is made by landlock_ruleset, filled by landlock_path and landlock_port, and given to landlock_enforce.
int perform_landlock(int& ruleset, const ChildOperation& op);

}  // namespace bulkhead
