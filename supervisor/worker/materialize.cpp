// Makes a fresh workspace hold another commit than its base.
#include <algorithm>

#include "sandbox/sys/files.h"
#include "supervisor/core/workspaces/state_paths.h"
#include "supervisor/worker/checkout.h"
#include "supervisor/worker/replace_file.h"
#include "supervisor/worker/streams.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {
namespace {

// Loose, as git would write it. The directories of `branch` are those of workspace_seed(), or are made here.
Result<> write_head(const std::string& git_dir, const std::string& branch, const ObjectId& commit) {
  if (branch.empty()) return replace_file(git_dir + "/HEAD", commit + "\n", 0644);
  const std::string ref = git_dir + "/refs/heads/" + branch;
  BULKHEAD_TRY(make_directories(ref.substr(0, ref.rfind('/')), 0755));
  BULKHEAD_TRY(replace_file(ref, commit + "\n", 0644));
  return replace_file(git_dir + "/HEAD", "ref: refs/heads/" + branch + "\n", 0644);
}

}  // namespace

Result<MaterializeFacts> materialize(const MaterializeRequest& request) {
  const Git git = checkout_git(request.workspace);
  if (!request.branch.empty()) {
    BULKHEAD_ASSIGN(const bool good,
                    git.ask("check branch name", request.branch, {"check-ref-format", "refs/heads/" + request.branch}));
    if (!good) return fail("check out", request.branch, "not a name that git accepts for a branch");
  }
  BULKHEAD_ASSIGN(std::string base, read_file(request.base_tree + "/.git/HEAD", 256));
  while (base.ends_with('\n')) base.pop_back();
  if (!is_object_id(base)) return fail("read", request.base_tree, "its HEAD is not a commit");

  if (!request.pack.empty()) {
    BULKHEAD_ASSIGN(const Fd pack, open_input(request.pack));
    BULKHEAD_TRY(
        git.must("check", "pack", {"index-pack", "--stdin", lenient_strict_option()}, {.stdin_fd = pack.get()}));
  }
  BULKHEAD_TRY(git.must("check out", request.commit, {"read-tree", "--reset", "-u", request.commit}));
  BULKHEAD_TRY(write_head(request.workspace + "/.git", request.branch, request.commit));

  MaterializeFacts facts;
  BULKHEAD_ASSIGN(facts.tree,
                  git.line("read", request.commit, {"rev-parse", "--verify", "--quiet", request.commit + "^{tree}"}));
  Records changed([&](std::string_view) -> Result<> {
    ++facts.changed;
    return {};
  });
  BULKHEAD_TRY(git.must("compare", request.commit,
                        {"diff-tree", "-r", "-z", "--name-only", "--no-renames", base, request.commit},
                        {.sink = changed.sink()}));
  return facts;
}

}  // namespace bulkhead
