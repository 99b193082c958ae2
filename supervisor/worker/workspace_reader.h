// An agent's commits, seen through a clean repository: the base's objects first, then the agent's.
#pragma once

#include <string>

#include "sandbox/base/result.h"
#include "supervisor/worker/clean_repository.h"
#include "supervisor/worker/workspace_refs.h"

namespace bulkhead {

// Content of the shallow file of a base, or empty.
Result<std::string> shallow_of_base(const std::string& base_tree);

class WorkspaceReader {
 public:
  // With `write` what git makes goes into the agent's own objects.
  enum class Objects { read, write };
  static Result<WorkspaceReader> open(const std::string& workspace, const std::string& base_tree, const ObjectId& base,
                                      Objects objects);

  struct Tip {
    ObjectId commit;
    bool on_branch = true;     // false: the agent left its branch and HEAD is taken
    bool head_behind = false;  // HEAD stands on an ancestor of the branch's commit, or on a branch without one
    ObjectId head = {};        // what the files were checked out from; empty when HEAD has no commit
  };
  // HEAD's commit where it is ahead of or beside `branch`, else the branch's.
  Result<Tip> tip(const std::string& branch) const;

  Result<bool> is_ancestor(const ObjectId& older, const ObjectId& newer) const;
  Result<std::uint64_t> count(const ObjectId& from, const ObjectId& to) const;  // commits in from..to

  const Git& git() const { return clean_.git(); }
  const CleanRepository& clean() const { return clean_; }
  const WorkspaceRefs& refs() const { return refs_; }

 private:
  WorkspaceReader(WorkspaceRefs refs, CleanRepository clean) : refs_(std::move(refs)), clean_(std::move(clean)) {}
  WorkspaceRefs refs_;
  CleanRepository clean_;
};

// commits in from..to, by any git that sees both.
Result<std::uint64_t> count_commits(const Git& git, const ObjectId& from, const ObjectId& to);

}  // namespace bulkhead
