// Who holds which branch of a repository: checked out, being rebased or bisected.
#pragma once

#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/worker/git.h"

namespace bulkhead {

struct Worktree {
  std::string path;    // raw
  std::string branch;  // full ref name; empty when detached or bare
  bool locked = false;
  bool bare = false;
};

struct BranchHolder {
  std::string path;  // raw, of the worktree
  std::string ref;   // full ref name
};

// As git sees them, the main one first. `git` stands in the repository or has its GIT_DIR.
Result<std::vector<Worktree>> list_worktrees(const Git& git);

// Branches that a rebase or bisection will come back to, which no worktree shows as checked out meanwhile.
Result<std::vector<BranchHolder>> interrupted_branches(const std::string& common_dir);

// The path of a worktree that holds `ref` in either way, or empty.
Result<std::string> holder_of(const std::string& ref, const std::vector<Worktree>& worktrees,
                              const std::string& common_dir);

}  // namespace bulkhead
