// Merges in memory, and moves the target by compare-and-swap. The two are apart so that the merged tree can be
// verified in between.
#include <algorithm>

#include "supervisor/worker/escape.h"
#include "supervisor/worker/owner_repository.h"
#include "supervisor/worker/subcommands.h"
#include "supervisor/worker/worktrees.h"

namespace bulkhead {
namespace {

constexpr std::size_t listed_conflicts = 128;
constexpr std::size_t listed_bytes = std::size_t{24} << 10;  // of each list, so that both fit the answer

void add_bounded(std::vector<std::string>& list, std::string text) {
  std::size_t bytes = text.size();
  for (const std::string& there : list) bytes += there.size();
  if (list.size() < listed_conflicts && bytes <= listed_bytes) list.push_back(std::move(text));
}

// merge-tree -z: tree NUL { path NUL } NUL { number-of-paths NUL path NUL... type NUL message NUL }
Result<> read_conflicts(const std::vector<std::string>& fields, MergeFacts& facts) {
  std::size_t at = 1;
  for (; at < fields.size() && !fields[at].empty(); ++at) {
    ++facts.conflicts_total;
    add_bounded(facts.conflicts, escaped(fields[at], 1024));
  }
  ++at;
  while (at < fields.size() && !fields[at].empty()) {
    std::size_t paths = 0;
    for (char c : fields[at]) {
      if (c < '0' || c > '9' || paths > fields.size()) return fail("merge", "", "git's answer is not understood");
      paths = paths * 10 + static_cast<std::size_t>(c - '0');
    }
    const std::size_t message = at + 1 + paths + 1;
    if (message >= fields.size()) return fail("merge", "", "git's answer is not understood");
    std::string text = fields[message];
    while (text.ends_with('\n')) text.pop_back();
    if (text.starts_with("CONFLICT")) add_bounded(facts.messages, escaped(text, 1024));
    at = message + 1;
  }
  return {};
}

std::vector<std::string> split_records(std::string_view text) {
  std::vector<std::string> fields;
  while (!text.empty()) {
    const auto end = std::min(text.find('\0'), text.size());
    fields.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return fields;
}

Result<std::string> tree_of(const Git& git, const ObjectId& commit) {
  return git.line("read", commit, {"rev-parse", "--verify", "--quiet", commit + "^{tree}"});
}

}  // namespace

Result<MergeFacts> merge_prepare(const MergePrepareRequest& request) {
  BULKHEAD_ASSIGN(const OwnerRepository repository, OwnerRepository::open(request.git_dir));
  // A clean git directory: attributes and merge drivers of the repository's configuration are commands.
  BULKHEAD_ASSIGN(const CleanRepository clean,
                  repository.clean(object_format_of(request.tip), OwnerRepository::Objects::write));
  const Git& git = clean.git();
  const auto is_ancestor = [&](const ObjectId& older, const ObjectId& newer) {
    return git.ask("compare history of", newer, {"merge-base", "--is-ancestor", older, newer});
  };

  MergeFacts facts;
  BULKHEAD_ASSIGN(const bool already, is_ancestor(request.tip, request.ours));
  BULKHEAD_ASSIGN(const bool forward, is_ancestor(request.ours, request.tip));
  if (already || forward) {
    facts.outcome = already ? MergeOutcome::already_merged : MergeOutcome::fast_forward;
    facts.commit = already ? request.ours : request.tip;
    BULKHEAD_ASSIGN(facts.tree, tree_of(git, facts.commit));
    return facts;
  }

  BULKHEAD_ASSIGN(const Finished merged,
                  git.run({"merge-tree", "--write-tree", "-z", "--name-only", "--messages", request.ours, request.tip},
                          {.output_limit = 64 << 20}));
  if (merged.status > 1) return git_error("merge", request.tip, merged);
  const auto fields = split_records(merged.output);
  if (fields.empty()) return fail("merge", request.tip, "git's answer is not understood");
  if (merged.status == 1) {
    BULKHEAD_TRY(read_conflicts(fields, facts));
    return facts;
  }
  facts.outcome = MergeOutcome::merged;
  facts.tree = fields.front();
  Git author = git.with("GIT_AUTHOR_NAME", request.name)
                   .with("GIT_AUTHOR_EMAIL", request.email)
                   .with("GIT_COMMITTER_NAME", request.name)
                   .with("GIT_COMMITTER_EMAIL", request.email);
  if (request.time != 0) {
    const std::string date = "@" + std::to_string(request.time) + " +0000";
    author = author.with("GIT_AUTHOR_DATE", date).with("GIT_COMMITTER_DATE", date);
  }
  BULKHEAD_ASSIGN(facts.commit,
                  author.must("commit merge of", request.tip,
                              {"commit-tree", facts.tree, "-p", request.ours, "-p", request.tip, "-F", "-"},
                              {.input = request.message}));
  while (facts.commit.ends_with('\n')) facts.commit.pop_back();
  return facts;
}

Result<MergeCommitFacts> merge_commit(const MergeCommitRequest& request) {
  const std::string shown = escaped(request.target, 512);
  BULKHEAD_ASSIGN(const OwnerRepository repository, OwnerRepository::open(request.git_dir));
  const Git git = repository.git(request.name, request.email);
  BULKHEAD_ASSIGN(const bool named_well, git.ask("check branch name", shown, {"check-ref-format", request.target}));
  if (!named_well || !request.target.starts_with("refs/heads/")) return fail("merge into", shown, "not a branch");

  BULKHEAD_ASSIGN(const std::string now, repository.ref(request.target));
  if (now == request.commit) return MergeCommitFacts{.moved = false};

  BULKHEAD_ASSIGN(const std::string alias, git.line("read branch", shown, {"symbolic-ref", "-q", request.target}));
  if (!alias.empty())
    return fail("merge into", shown, "it is another name for " + escaped(alias, 512), "name that one");
  BULKHEAD_ASSIGN(const std::vector<Worktree> worktrees, list_worktrees(git));
  BULKHEAD_ASSIGN(const std::string holder, holder_of(request.target, worktrees, request.git_dir));
  if (!holder.empty()) {
    return fail("merge into", shown, "it is checked out at " + escaped(holder, 1024),
                "check out another branch there, or merge into a new one");
  }
  BULKHEAD_TRY(repository.move_refs(git, {{.ref = request.target, .from = request.expect_old, .to = request.commit}},
                                    request.reason));
  return MergeCommitFacts{.moved = true};
}

}  // namespace bulkhead
