// `bulkhead diff`, `log`, `apply`: look at what an agent did, and take it. All of it is git as the user, on the branch
// that the journal names, in the repository that the journal names.
#include <algorithm>

#include "sandbox/base/text.h"
#include "supervisor/cli/apply_rules.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/git_as_user.h"
#include "supervisor/cli/history.h"
#include "supervisor/cli/verbs.h"

namespace bulkhead {
namespace {

struct AgentBranch {
  AgentName name;
  std::string repository;
  std::string base;  // commit oid
  std::string ref;   // refs/heads/bulkhead/<run>/<agent>
  std::string text() const { return name.run + "/" + name.agent; }
  std::string branch() const { return ref.substr(std::string_view("refs/heads/").size()); }
};

// Reads the journal as root, then gives root up.
Outcome<AgentBranch> look_up(const Context& context, const std::string& word) {
  if (auto root = need_root(context, "read the journal"); !root) return std::unexpected(root.error());
  auto history = History::open(context.state);
  if (!history) return std::unexpected(history.error());
  auto name = history->agent(word);
  if (!name) return std::unexpected(name.error());
  auto report = history->report(name->run);
  if (!report) return std::unexpected(report.error());
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  const AgentReport* agent = find_agent(*report, name->agent);
  AgentBranch out{.name = *name, .repository = report->started.repository};
  if (agent == nullptr || !agent->imported || agent->imported->commits == 0) {
    const bool live = !report->finished;
    return failure(ExitCode::bad_input,
                   {.operation = "look at the work of",
                    .object = out.text(),
                    .detail = live ? "nothing of it has reached the repository yet" : "it made no commit",
                    .hint = live ? "look inside: sudo bulkhead shell " + out.text()
                                 : "see why: sudo bulkhead journal " + name->run});
  }
  out.base = agent->base;
  out.ref = "refs/heads/" + agent->branch;
  return out;
}

Outcome<> need_branch(const UserGit& git, const AgentBranch& branch) {
  auto found = or_exit(ExitCode::fault, git.capture({"rev-parse", "--verify", "--quiet", branch.ref + "^{commit}"}));
  if (!found) return std::unexpected(found.error());
  if (found->status == 0) return {};
  if (!found->err.empty())  // git itself has something to say: no repository, not the owner
    return failure(ExitCode::bad_input, {.operation = "open repository",
                                         .object = printable(branch.repository),
                                         .detail = printable(found->err.substr(0, found->err.find('\n')), 400)});
  return failure(ExitCode::bad_input,
                 {.operation = "find branch",
                  .object = branch.branch(),
                  .detail = "it is not in " + printable(branch.repository) + " any more",
                  .hint = "the journal still has the report: sudo bulkhead journal " + branch.name.run});
}

Outcome<int> show(const UserGit& git, const std::vector<std::string>& arguments) {
  auto status = or_exit(ExitCode::fault, git.show(arguments));
  if (!status) return std::unexpected(status.error());
  return *status == 0 ? 0 : static_cast<int>(ExitCode::fault);  // git has said why on stderr
}

// One git command of `apply` whose failure has no better explanation than git's own.
Outcome<std::string> need(const UserGit& git, const std::vector<std::string>& arguments, const std::string& what) {
  auto done = or_exit(ExitCode::fault, git.capture(arguments));
  if (!done) return std::unexpected(done.error());
  if (done->status == 0) return done->out;
  return failure(ExitCode::fault, {.operation = what, .detail = printable(done->err.substr(0, 2000))});
}

Outcome<> refuse_dirty(const UserGit& git, const AgentBranch& branch) {
  auto status = need(git, {"status", "--porcelain", "-z", "--untracked-files=no"}, "look at the working tree");
  if (!status) return std::unexpected(status.error());
  if (status->empty()) return {};
  const std::string first = status->substr(0, status->find('\0'));
  return failure(ExitCode::person_needed, {.operation = "apply",
                                           .object = branch.text(),
                                           .detail = "the working tree has changes that are not committed: " +
                                                     printable(first.size() > 3 ? first.substr(3) : first, 200),
                                           .hint = "commit or stash them, then: sudo bulkhead apply " + branch.text()});
}

Outcome<> refuse_tool_files(const UserGit& git, const AgentBranch& branch, const ApplyOptions& options) {
  if (options.with_tool_files) return {};
  auto names = need(git, {"diff", "--name-only", "-z", "--no-renames", branch.base + "..." + branch.ref},
                    "list the changed files");
  if (!names) return std::unexpected(names.error());
  std::string found;
  for (const std::string& path : split(*names, '\0'))
    if (runs_on_the_host(path)) found += (found.empty() ? "" : ", ") + printable(path, 200);
  if (found.empty()) return {};
  return failure(ExitCode::person_needed, {.operation = "apply",
                                           .object = branch.text(),
                                           .detail = "it changes files that tools on this machine execute: " + found,
                                           .hint = "read them: sudo bulkhead diff " + branch.text() +
                                                   "; then: sudo bulkhead apply --with-tool-files " + branch.text()});
}

// In memory, before anything moves.
Outcome<> refuse_conflicts(const UserGit& git, const AgentBranch& branch) {
  auto merged =
      or_exit(ExitCode::fault,
              git.capture({"merge-tree", "--write-tree", "--name-only", "--no-messages", "-z", "HEAD", branch.ref}));
  if (!merged) return std::unexpected(merged.error());
  if (merged->status == 0) return {};
  if (merged->status != 1)
    return failure(ExitCode::fault, {.operation = "merge in memory", .detail = printable(merged->err.substr(0, 2000))});
  std::string files;
  const auto words = split(merged->out, '\0');
  for (std::size_t i = 1; i < words.size(); ++i)  // the first is the tree
    if (!words[i].empty()) files += (files.empty() ? "" : ", ") + printable(words[i], 200);
  return failure(ExitCode::conflict,
                 {.operation = "apply",
                  .object = branch.text(),
                  .detail = "it conflicts with what is checked out, in " + files + "; nothing was changed",
                  .hint = "merge by hand: git merge " + branch.branch()});
}

}  // namespace

Outcome<int> diff_verb(const Context& context, const DiffOptions& options) {
  auto branch = look_up(context, options.agent);
  if (!branch) return std::unexpected(branch.error());
  const UserGit git(context, branch->repository);
  if (auto there = need_branch(git, *branch); !there) return std::unexpected(there.error());
  std::vector<std::string> arguments{"diff", "--no-ext-diff", "--no-textconv"};
  if (options.stat) arguments.emplace_back("--stat");
  arguments.push_back(branch->base + "..." + branch->ref);
  return show(git, arguments);
}

Outcome<int> log_verb(const Context& context, const LogOptions& options) {
  auto branch = look_up(context, options.agent);
  if (!branch) return std::unexpected(branch.error());
  const UserGit git(context, branch->repository);
  if (auto there = need_branch(git, *branch); !there) return std::unexpected(there.error());
  return show(git, {"log", "--no-ext-diff", "--no-textconv", "--no-show-signature", "--stat",
                    branch->base + ".." + branch->ref});
}

Outcome<int> apply_verb(const Context& context, const ApplyOptions& options) {
  auto branch = look_up(context, options.agent);
  if (!branch) return std::unexpected(branch.error());
  const UserGit git(context, branch->repository);
  if (auto there = need_branch(git, *branch); !there) return std::unexpected(there.error());
  auto bare = need(git, {"rev-parse", "--is-inside-work-tree"}, "look at the repository");
  if (!bare) return std::unexpected(bare.error());
  auto head = or_exit(ExitCode::fault, git.capture({"symbolic-ref", "--short", "--quiet", "HEAD"}));
  if (!head) return std::unexpected(head.error());
  if (!bare->starts_with("true") || head->status != 0)
    return failure(ExitCode::bad_input, {.operation = "apply",
                                         .object = branch->text(),
                                         .detail = "no branch is checked out in " + printable(branch->repository),
                                         .hint = "check one out, or merge yourself: git merge " + branch->branch()});
  const std::string target = printable(head->out.substr(0, head->out.find('\n')), 200);

  if (auto clean = refuse_dirty(git, *branch); !clean) return std::unexpected(clean.error());
  auto contained = or_exit(ExitCode::fault, git.capture({"merge-base", "--is-ancestor", branch->ref, "HEAD"}));
  if (!contained) return std::unexpected(contained.error());
  if (contained->status == 0) {
    out_line(target + " has the work of " + branch->text() + " already; nothing to do");
    return 0;
  }
  if (auto harmless = refuse_tool_files(git, *branch, options); !harmless) return std::unexpected(harmless.error());
  if (auto fits = refuse_conflicts(git, *branch); !fits) return std::unexpected(fits.error());
  std::vector<std::string> merge{"merge", "--quiet", "--no-edit", "--no-verify"};
  if (options.squash) merge.emplace_back("--squash");
  merge.push_back(branch->ref);
  if (auto merged = need(git, merge, "merge " + branch->branch() + " into " + target); !merged)
    return std::unexpected(merged.error());
  if (options.squash) {
    out_line("the changes of " + branch->text() + " are staged on " + target + ", not committed");
    out_line("  next: git diff --cached; git commit");
  } else {
    out_line("merged the work of " + branch->text() + " into " + target);
    out_line("  next: git log --stat " + branch->base.substr(0, 10) + "..; undo: git reset --keep ORIG_HEAD");
  }
  return 0;
}

}  // namespace bulkhead
