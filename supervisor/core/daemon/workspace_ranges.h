// uid ranges, by the directories on disk that were made for them. A verification has a range of its own that is in no
// journal: what a dead supervisor left of one is found by its owner.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "supervisor/core/workspaces/state_paths.h"

namespace bulkhead {

// Of an attempt or a verification: the group of its disk; of a checkpoint: who owns its upper directory. Both are ours
// to give away and nobody else's. None where there is none yet.
std::optional<std::uint32_t> range_of_directory(const std::string& directory);

// Of everything the agent has on disk.
std::set<std::uint32_t> ranges_on_disk(const AgentPaths& agent);

}  // namespace bulkhead
