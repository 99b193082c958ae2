// The kernel's capabilities by name (capabilities(7), linux/capability.h).
#pragma once

#include <span>
#include <string>

namespace bulkhead {

// Names in the order of their numbers: capability_names()[0] is "CAP_CHOWN".
std::span<const std::string> capability_names();

}  // namespace bulkhead
