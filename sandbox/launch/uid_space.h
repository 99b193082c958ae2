// From which uids sandboxes get theirs. On a host: ranges far above what accounts and containers have. Inside a user
// namespace (most containers that are not root's): ranges among the ids that are mapped there, never below 65,536,
// where the container's own accounts are; with fewer ids than that, single uids where no account is by default.
// user_namespaces(7), login.defs(5).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sandbox/base/result.h"

namespace bulkhead {

struct UidSpace {
  std::uint32_t first = 0;  // of the first range
  std::uint32_t step = 0;   // kRangeSize; 1: single uids, each at kInsideUserId above its number
  std::uint32_t count = 0;
  bool has_ranges() const;
  std::optional<std::uint32_t> range_of(std::uint32_t uid) const;  // its first uid; none: of no sandbox
  bool operator==(const UidSpace&) const = default;
};

// By the text of /proc/self/uid_map and gid_map: "inside outside count" lines.
UidSpace find_uid_space(const std::string& uid_map, const std::string& gid_map);
Result<UidSpace> own_uid_space();

}  // namespace bulkhead
