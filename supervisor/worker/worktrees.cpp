#include "supervisor/worker/worktrees.h"

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

// Empty when the file is not there.
Result<std::string> first_line(const std::string& path) {
  const auto text = read_file(path, 8192);
  if (text) return text->substr(0, text->find('\n'));
  if (text.error().code == ENOENT || text.error().code == ENOTDIR) return std::string();
  return std::unexpected(text.error());
}

Result<> add_interrupted(const std::string& git_dir, const std::string& shown, std::vector<BranchHolder>& out) {
  for (const char* file : {"/rebase-merge/head-name", "/rebase-apply/head-name"}) {
    BULKHEAD_ASSIGN(const std::string ref, first_line(git_dir + file));
    if (ref.starts_with("refs/heads/")) out.push_back({shown, ref});
  }
  BULKHEAD_ASSIGN(const std::string start, first_line(git_dir + "/BISECT_START"));
  if (!start.empty()) out.push_back({shown, start.starts_with("refs/heads/") ? start : "refs/heads/" + start});
  return {};
}

std::string without_git(std::string path) {
  if (path.ends_with("/.git")) path.resize(path.size() - 5);
  return path;
}

}  // namespace

Result<std::vector<Worktree>> list_worktrees(const Git& git) {
  std::vector<Worktree> worktrees;
  Records records([&](std::string_view line) -> Result<> {
    if (line.starts_with("worktree ")) {
      worktrees.push_back({.path = std::string(line.substr(9))});
    } else if (!worktrees.empty()) {
      Worktree& last = worktrees.back();
      if (line.starts_with("branch ")) last.branch = line.substr(7);
      if (line == "bare") last.bare = true;
      if (line == "locked" || line.starts_with("locked ")) last.locked = true;
    }
    return {};
  });
  BULKHEAD_TRY(git.must("list worktrees of", "the repository", {"worktree", "list", "--porcelain", "-z"},
                        {.sink = records.sink()}));
  return worktrees;
}

Result<std::vector<BranchHolder>> interrupted_branches(const std::string& common_dir) {
  std::vector<BranchHolder> holders;
  BULKHEAD_TRY(add_interrupted(common_dir, without_git(common_dir), holders));
  const std::string linked = common_dir + "/worktrees/";
  if (!exists(linked)) return holders;
  BULKHEAD_ASSIGN(const std::vector<std::string> names, list_directory(linked));
  for (const std::string& name : names) {
    std::string admin = linked;
    admin += name;
    BULKHEAD_ASSIGN(const std::string checkout, first_line(admin + "/gitdir"));
    BULKHEAD_TRY(add_interrupted(admin, without_git(checkout), holders));
  }
  return holders;
}

Result<std::string> holder_of(const std::string& ref, const std::vector<Worktree>& worktrees,
                              const std::string& common_dir) {
  for (const Worktree& worktree : worktrees) {
    if (!worktree.bare && worktree.branch == ref) return worktree.path;
  }
  BULKHEAD_ASSIGN(const std::vector<BranchHolder> interrupted, interrupted_branches(common_dir));
  for (const BranchHolder& holder : interrupted) {
    if (holder.ref == ref) return holder.path;
  }
  return std::string();
}

}  // namespace bulkhead
