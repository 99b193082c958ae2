// Reads an agent's git directory without git: where HEAD and a branch stand. Everything below .git was written by the
// agent: no link is followed, nothing but regular files is opened for longer than to see that, every size is bounded.
#pragma once

#include <optional>
#include <string>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"
#include "supervisor/core/workspaces/worker_protocol.h"

namespace bulkhead {

class WorkspaceRefs {
 public:
  // Refuses a workspace whose .git is not a directory of its own.
  static Result<WorkspaceRefs> open(const std::string& workspace);

  struct Head {
    std::string ref;  // full name; empty when detached
    ObjectId commit;  // empty: the branch has no commit, or what it says is not an id
  };
  Result<Head> head() const;

  // Loose, else packed; empty when it is in neither.
  Result<ObjectId> ref(const std::string& full_name) const;

  // The object directory holds only what git put there: directories and regular files, no borrowing. A fifo there
  // would keep git waiting, a link or an alternates file would make it read elsewhere.
  Result<> check_objects() const;

  // Replaces HEAD, a branch or the index atomically, where the agent left directories in place.
  Result<> write(const std::string& path_in_git_dir, std::string_view content) const;

 private:
  explicit WorkspaceRefs(Fd git_dir) : git_dir_(std::move(git_dir)) {}
  Result<std::optional<std::string>> read(const std::string& path, std::size_t limit) const;
  Fd git_dir_;
};

}  // namespace bulkhead
