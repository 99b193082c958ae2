// Whether a wall stands here, found by building it: each in a child process of its own, with the code that sandboxes
// are made with. What a try makes ends with it. For `bulkhead doctor`, for policies that go on without a wall, and to
// say what was missing after a launch failed. Needs root; the process must have one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sandbox/host/host_facts.h"

namespace bulkhead {

// What the kernel answered, where it does not stand; an error where that could not be found out just then, for want of
// memory, descriptors or processes: that is no answer, and nobody goes on without a wall for it. What `facts` say is
// missing is not tried. Wall::workspaces has a try of its own.
using TriedWall = Result<std::optional<std::string>>;
TriedWall try_wall(Wall wall, const HostFacts& facts);
Result<MissingWalls> try_walls(const WallSet& walls, const HostFacts& facts);

// In a directory of its own below `directory`, which must be where workspaces would be.
TriedWall try_workspaces(const std::string& directory);
// What such tries made in `directory` and, killed, left there.
std::vector<std::string> abandoned_tries(const std::string& directory);

}  // namespace bulkhead
