// What differs between two commits: exact totals, and as many paths as fit an answer.
#pragma once

#include <cstdint>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/core/workspaces/worker_protocol.h"
#include "supervisor/worker/git.h"

namespace bulkhead {

struct Changes {
  std::vector<ChangedPath> paths;
  std::uint64_t total = 0;
  std::uint64_t added = 0;
  std::uint64_t removed = 0;
};

Result<Changes> changed_paths(const Git& git, const ObjectId& from, const ObjectId& to, std::uint64_t max_paths);

}  // namespace bulkhead
