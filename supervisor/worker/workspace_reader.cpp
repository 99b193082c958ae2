#include "supervisor/worker/workspace_reader.h"

#include <charconv>

#include "sandbox/sys/files.h"

namespace bulkhead {

Result<std::string> shallow_of_base(const std::string& base_tree) {
  const std::string path = base_tree + "/.git/shallow";
  if (!exists(path)) return std::string();
  return read_file(path);
}

Result<std::uint64_t> count_commits(const Git& git, const ObjectId& from, const ObjectId& to) {
  BULKHEAD_ASSIGN(const std::string text, git.line("count commits of", to, {"rev-list", "--count", to, "^" + from}));
  std::uint64_t count = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (code != std::errc()) return fail("count commits of", to, "git's answer is not understood");
  return count;
}

Result<WorkspaceReader> WorkspaceReader::open(const std::string& workspace, const std::string& base_tree,
                                              const ObjectId& base, Objects mode) {
  BULKHEAD_ASSIGN(WorkspaceRefs refs, WorkspaceRefs::open(workspace));
  BULKHEAD_TRY(refs.check_objects());
  const std::string base_objects = base_tree + "/.git/objects";
  const std::string objects = workspace + "/.git/objects";
  CleanOptions options{.object_format = object_format_of(base), .trust = Trust::agent};
  BULKHEAD_ASSIGN(options.shallow, shallow_of_base(base_tree));
  options.borrow = {base_objects, objects};
  if (mode == Objects::write) {
    options.borrow = {base_objects};
    options.write_objects = objects;
  }
  BULKHEAD_ASSIGN(CleanRepository clean, CleanRepository::make(options));
  return WorkspaceReader(std::move(refs), std::move(clean));
}

Result<bool> WorkspaceReader::is_ancestor(const ObjectId& older, const ObjectId& newer) const {
  if (older == newer) return true;
  return git().ask("compare history of", newer, {"merge-base", "--is-ancestor", older, newer});
}

Result<std::uint64_t> WorkspaceReader::count(const ObjectId& from, const ObjectId& to) const {
  return count_commits(git(), from, to);
}

Result<WorkspaceReader::Tip> WorkspaceReader::tip(const std::string& branch) const {
  const std::string branch_ref = "refs/heads/" + branch;
  BULKHEAD_ASSIGN(const WorkspaceRefs::Head head, refs_.head());
  BULKHEAD_ASSIGN(const ObjectId on_branch, refs_.ref(branch_ref));
  if (head.commit.empty() && on_branch.empty()) {
    return fail("read the agent's commits", branch, "neither HEAD nor the branch has a commit");
  }
  for (const ObjectId& id : {head.commit, on_branch}) {
    if (id.empty()) continue;
    BULKHEAD_ASSIGN(const Finished type, git().run({"cat-file", "-t", id}));
    if (type.status != 0) return fail("read the agent's commits", branch, id + " is not among the agent's objects");
    if (type.output != "commit\n") return fail("read the agent's commits", branch, id + " is not a commit");
    if (head.commit == on_branch) break;
  }
  Tip tip{.commit = on_branch, .head = head.commit};
  if (head.commit == on_branch) return tip;
  if (on_branch.empty()) {
    tip.commit = head.commit;
    tip.on_branch = false;
    return tip;
  }
  if (head.commit.empty()) {
    tip.head_behind = true;
    return tip;
  }
  BULKHEAD_ASSIGN(tip.head_behind, is_ancestor(head.commit, on_branch));
  if (!tip.head_behind) {
    tip.commit = head.commit;
    tip.on_branch = false;
  }
  return tip;
}

}  // namespace bulkhead
