#include "supervisor/worker/worktrees.h"

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

std::string first_line(const std::string& path) {
  const auto text = read_file(path, 8192);
  return text ? text->substr(0, text->find('\n')) : std::string();
}

void add_interrupted(const std::string& git_dir, const std::string& shown, std::vector<BranchHolder>& out) {
  for (const char* file : {"/rebase-merge/head-name", "/rebase-apply/head-name"}) {
    if (std::string ref = first_line(git_dir + file); ref.starts_with("refs/heads/")) out.push_back({shown, ref});
  }
  if (const std::string start = first_line(git_dir + "/BISECT_START"); !start.empty()) {
    out.push_back({shown, start.starts_with("refs/heads/") ? start : "refs/heads/" + start});
  }
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

std::vector<BranchHolder> interrupted_branches(const std::string& common_dir) {
  std::vector<BranchHolder> holders;
  add_interrupted(common_dir, without_git(common_dir), holders);
  const auto linked = list_directory(common_dir + "/worktrees");
  if (!linked) return holders;  // there are none
  for (const std::string& name : *linked) {
    const std::string admin = common_dir + "/worktrees/" + name;
    add_interrupted(admin, without_git(first_line(admin + "/gitdir")), holders);
  }
  return holders;
}

std::string holder_of(const std::string& ref, const std::vector<Worktree>& worktrees, const std::string& common_dir) {
  for (const Worktree& worktree : worktrees) {
    if (!worktree.bare && worktree.branch == ref) return worktree.path;
  }
  for (const BranchHolder& holder : interrupted_branches(common_dir)) {
    if (holder.ref == ref) return holder.path;
  }
  return {};
}

}  // namespace bulkhead
