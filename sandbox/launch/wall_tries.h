// Whether a wall stands here, found by building it: each in a child process of its own, with the code that sandboxes
// are made with. What a try makes ends with it. For `bulkhead doctor`, for policies that go on without a wall, and to
// say what was missing after a launch failed. Needs root; the process must have one thread.
#pragma once

#include <optional>
#include <string>

#include "sandbox/host/host_facts.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

// What the kernel answered, where it does not stand. Wall::workspaces has a try of its own.
std::optional<std::string> try_wall(Wall wall, const HostFacts& facts);
MissingWalls try_walls(const WallSet& walls, const HostFacts& facts);

// In a directory of its own below `directory`, which must be where workspaces would be.
std::optional<std::string> try_workspaces(const std::string& directory);
inline constexpr const char* kTryPrefix = "bulkhead-try-";
// Such a directory, while nobody tries in it: EBUSY while somebody does. The lock is the descriptor's.
Result<Fd> lock_try(const std::string& directory);

}  // namespace bulkhead
