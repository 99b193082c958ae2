// Reads a repository as its owner, before anything is made, and says of everything that will not work why.
#include <fcntl.h>
#include <stdlib.h>

#include <algorithm>
#include <memory>

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"
#include "supervisor/core/workspaces/state_paths.h"
#include "supervisor/worker/escape.h"
#include "supervisor/worker/git.h"
#include "supervisor/worker/subcommands.h"
#include "supervisor/worker/worktrees.h"

namespace bulkhead {
namespace {

constexpr std::size_t listed_worktrees = 64;

Git as_user(const Git& git, const std::string& config_home) {
  if (config_home.empty()) return git;
  return git.with("HOME", config_home).without("GIT_CONFIG_GLOBAL");
}

// What the owner has declared safe counts; nothing else of their configuration decides how git behaves here. Without
// their configuration this is a git directory that was found safe before.
Result<Git> with_safe_directories(const Git& git, const InspectRequest& request) {
  if (request.config_home.empty()) return git.config("safe.directory", request.repository);
  BULKHEAD_ASSIGN(const Finished listed,
                  as_user(git, request.config_home).run({"config", "--global", "-z", "--get-all", "safe.directory"}));
  Git out = git;
  for (const std::string& directory : split(listed.output, '\0')) {
    if (!directory.empty()) out = out.config("safe.directory", directory);
  }
  return out;
}

Result<> read_layout(const Git& git, const std::string& repository, InspectFacts& facts) {
  BULKHEAD_ASSIGN(const Finished found, git.run({"rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir",
                                                 "--is-bare-repository", "--is-inside-work-tree",
                                                 "--is-shallow-repository", "--show-object-format"}));
  if (found.status != 0) {
    if (found.errors.contains("dubious ownership")) {
      return fail(
          "open repository", repository, "it belongs to somebody else",
          "run as its owner, or declare it safe: git config --global --add safe.directory " + shell_quote(repository));
    }
    if (found.errors.contains("not a git repository")) {
      return fail("open repository", repository, "not a git repository (nor is any directory above it)",
                  "stand in a git repository, or make this one: git init");
    }
    return git_error("open repository", repository, found);
  }
  const auto lines = split(found.output, '\n');
  if (lines.size() != 7) return fail("open repository", repository, "its path holds a line break");
  facts.git_dir = lines[0];
  facts.common_dir = lines[1];
  facts.bare = lines[2] == "true";
  facts.shallow = lines[4] == "true";
  facts.object_format = lines[5];
  if (lines[3] == "true") {
    BULKHEAD_ASSIGN(facts.top_level, git.line("open repository", repository, {"rev-parse", "--show-toplevel"}));
  }
  for (const std::string& path : {facts.git_dir, facts.common_dir, facts.top_level}) {
    if (printable(path, path.size()) != path) {
      return fail("open repository", escaped(path), "its path holds characters that cannot be shown");
    }
  }
  return {};
}

// gitrepository-layout(5): lines, relative ones to the objects directory they stand in; git follows five levels.
Result<> add_alternates(const std::string& objects, int depth, std::vector<std::string>& out) {
  const std::string file = objects + "/info/alternates";
  if (depth == 0 || !exists(file)) return {};
  BULKHEAD_ASSIGN(const std::string text, read_file(file, std::size_t{64} << 10));
  for (const std::string& line : split(text, '\n')) {
    if (line.empty() || line.starts_with('#')) continue;
    std::string joined = line.starts_with('/') ? "" : objects + "/";
    joined += line;
    const std::unique_ptr<char, decltype(&::free)> real(::realpath(joined.c_str(), nullptr), ::free);
    if (!real) return errno_error("open borrowed objects", escaped(joined, 1024));
    const std::string directory = real.get();
    if (std::ranges::find(out, directory) != out.end()) continue;
    if (out.size() == 16) return fail("open borrowed objects", escaped(directory, 1024), "more than 16 directories");
    if (printable(directory, directory.size()) != directory) {
      return fail("open borrowed objects", escaped(directory, 1024), "its path holds characters that cannot be shown");
    }
    out.push_back(directory);
    BULKHEAD_TRY(add_alternates(directory, depth - 1, out));
  }
  return {};
}

Result<> read_head(const Git& git, const std::string& repository, InspectFacts& facts) {
  BULKHEAD_ASSIGN(const std::string ref, git.line("read HEAD of", repository, {"symbolic-ref", "-q", "HEAD"}));
  if (ref.starts_with("refs/heads/")) facts.head_branch = ref.substr(11);
  BULKHEAD_ASSIGN(facts.head,
                  git.line("read HEAD of", repository, {"rev-parse", "--verify", "--quiet", "HEAD^{commit}"}));
  return {};
}

Result<> read_base(const Git& git, const InspectRequest& request, InspectFacts& facts) {
  const auto resolve = [&](const std::string& revision) {
    return git.run({"rev-parse", "--verify", "--quiet", "--end-of-options", revision});
  };
  BULKHEAD_ASSIGN(const Finished commit, resolve(request.base + "^{commit}"));
  facts.base = commit.output.substr(0, commit.output.find('\n'));
  if (commit.status == 0 && is_object_id(facts.base)) return {};

  if (facts.head.empty()) {
    BULKHEAD_ASSIGN(const std::string any, git.line("read", request.repository, {"rev-list", "-n", "1", "--all"}));
    if (any.empty()) {
      return fail("open repository", request.repository, "it has no commit yet, so there is nothing to start from",
                  "make one: git commit --allow-empty -m 'Start'");
    }
  }
  BULKHEAD_ASSIGN(const Finished object, resolve(request.base));
  const std::string shown = escaped(request.base, 256);
  if (object.status == 0) {  // also for a full id of nothing
    BULKHEAD_ASSIGN(const Finished type,
                    git.run({"cat-file", "-t", object.output.substr(0, object.output.find('\n'))}));
    if (type.status == 0) {
      return fail("read base", shown, "it is a " + type.output.substr(0, type.output.find('\n')) + ", not a commit");
    }
  }
  if (request.base == "HEAD") {
    return fail("read base", "HEAD", "the branch '" + escaped(facts.head_branch, 256) + "' has no commit yet",
                "name a base that has: base: <branch, tag or commit>");
  }
  return fail("read base", shown, "the repository has no such branch, tag or commit");
}

Result<> refuse_missing_objects(const Git& git, const InspectRequest& request, const InspectFacts& facts) {
  BULKHEAD_ASSIGN(const Finished promised,
                  git.run({"config", "--get-regexp", "^(extensions\\.partialclone|remote\\..*\\.promisor)$"}));
  if (promised.status != 0) return {};
  std::uint64_t missing = 0;
  Records records(
      [&](std::string_view line) -> Result<> {
        if (line.starts_with('?')) ++missing;
        return {};
      },
      '\n');
  BULKHEAD_TRY(git.must("read objects of", request.repository, {"rev-list", "--objects", "--missing=print", facts.base},
                        {.sink = records.sink()}));
  if (missing == 0) return {};
  return fail("open repository", request.repository,
              "a partial clone: " + std::to_string(missing) + " objects of the base are not here",
              "fetch them: git fetch --refetch --no-filter");
}

Result<> count_submodules(const Git& git, InspectFacts& facts) {
  Records records([&](std::string_view entry) -> Result<> {
    if (entry.starts_with("160000 ")) ++facts.submodules;
    return {};
  });
  BULKHEAD_TRY(git.must("list files of", facts.base, {"ls-tree", "-r", "-z", "--full-tree", facts.base},
                        {.sink = records.sink()}));
  return {};
}

Result<> read_dirt(const Git& git, InspectFacts& facts) {
  if (facts.top_level.empty()) return {};
  // Filters are commands of the repository's configuration: comparing files runs none of them.
  BULKHEAD_ASSIGN(const Finished filters, git.run({"config", "--name-only", "-z", "--get-regexp", "^filter\\."}));
  Git plain = git;
  for (const std::string& key : split(filters.output, '\0')) {
    if (!key.empty()) plain = plain.config(key, key.ends_with(".required") ? "false" : "");
  }
  Records records([&](std::string_view) -> Result<> {
    ++facts.dirty_files;
    return {};
  });
  BULKHEAD_TRY(
      plain.must("compare files of", facts.top_level,
                 {"status", "--porcelain=v1", "-z", "--untracked-files=no", "--no-renames", "--ignore-submodules=all"},
                 {.sink = records.sink()}));
  facts.dirty = facts.dirty_files != 0;
  return {};
}

Result<bool> ref_exists(const Git& git, const std::string& ref) {
  return git.ask("read", ref, {"show-ref", "--verify", "--quiet", ref});
}

// Refs are files: 'a' and 'a/b' cannot both be branches.
Result<std::string> branch_in_the_way(const Git& git, const std::string& branch) {
  for (auto slash = branch.find('/'); slash != std::string::npos; slash = branch.find('/', slash + 1)) {
    std::string above = branch.substr(0, slash);
    BULKHEAD_ASSIGN(const bool there, ref_exists(git, "refs/heads/" + above));
    if (there) return above;
  }
  BULKHEAD_ASSIGN(std::string below,
                  git.line("list branches", "",
                           {"for-each-ref", "--count=1", "--format=%(refname)", "refs/heads/" + branch + "/"}));
  return below.empty() ? below : below.substr(11);
}

Result<> read_target(const Git& git, const InspectRequest& request, const std::vector<Worktree>& worktrees,
                     InspectFacts& facts) {
  BULKHEAD_ASSIGN(const bool taken, ref_exists(git, "refs/heads/bulkhead"));
  if (taken) {
    return fail("use branch", "bulkhead", "agents' branches are named bulkhead/<run>/<agent>, and git cannot have both",
                "rename it: git branch -m bulkhead NEW-NAME");
  }
  if (request.target.empty()) return {};
  const std::string shown = escaped(request.target, 256);
  facts.target_ref = "refs/heads/" + request.target;
  BULKHEAD_ASSIGN(const bool named_well, git.ask("check branch name", shown, {"check-ref-format", facts.target_ref}));
  if (!named_well || request.target == "HEAD" || request.target.starts_with('-')) {
    return fail("merge into", shown, "not a name that git accepts for a branch");
  }
  if (printable(facts.target_ref, facts.target_ref.size()) != facts.target_ref) {
    return fail("merge into", shown, "the name holds characters that cannot be shown");
  }
  BULKHEAD_ASSIGN(facts.target,
                  git.line("read branch", shown, {"rev-parse", "--verify", "--quiet", facts.target_ref + "^{commit}"}));
  BULKHEAD_ASSIGN(const std::string alias, git.line("read branch", shown, {"symbolic-ref", "-q", facts.target_ref}));
  if (!alias.empty()) {
    return fail("merge into", shown, "it is another name for " + escaped(alias, 256), "name that one");
  }
  if (facts.target.empty()) {
    BULKHEAD_ASSIGN(const std::string other, branch_in_the_way(git, request.target));
    if (!other.empty()) {
      return fail("merge into", shown, "git cannot have it beside the branch '" + escaped(other, 256) + "'",
                  "choose another name for the target");
    }
  }
  BULKHEAD_ASSIGN(const std::string holder, holder_of(facts.target_ref, worktrees, facts.common_dir));
  facts.target_checked_out = escaped(holder);
  facts.target_dirty = !holder.empty() && holder == facts.top_level && facts.dirty;
  return {};
}

Result<> read_committer(const Git& git, const std::string& config_home, InspectFacts& facts) {
  const Git user = as_user(git, config_home);
  const auto get = [&](const char* key, const char* otherwise) -> Result<std::string> {
    BULKHEAD_ASSIGN(std::string value, user.line("read configuration", key, {"config", "--get", key}));
    std::erase_if(value, [](char c) { return c == '<' || c == '>' || c == '\n'; });
    value = printable(value, 256);
    return value.empty() ? otherwise : value;
  };
  BULKHEAD_ASSIGN(facts.committer_name, get("user.name", "Bulkhead"));
  BULKHEAD_ASSIGN(facts.committer_email, get("user.email", "bulkhead@localhost"));
  return {};
}

}  // namespace

Result<InspectFacts> inspect(const InspectRequest& request) {
  // Opened here, so that a missing directory is not "git: cannot change to".
  BULKHEAD_ASSIGN(const Fd directory, open_file(request.repository, O_RDONLY | O_DIRECTORY));
  BULKHEAD_ASSIGN(const Git git, with_safe_directories(Git().in(request.repository), request));

  InspectFacts facts;
  BULKHEAD_TRY(read_layout(git, request.repository, facts));
  BULKHEAD_TRY(add_alternates(facts.common_dir + "/objects", 5, facts.object_directories));
  BULKHEAD_TRY(read_head(git, request.repository, facts));
  BULKHEAD_TRY(read_base(git, request, facts));
  BULKHEAD_TRY(refuse_missing_objects(git, request, facts));
  BULKHEAD_TRY(count_submodules(git, facts));
  BULKHEAD_TRY(read_dirt(git, facts));
  BULKHEAD_ASSIGN(const std::vector<Worktree> worktrees, list_worktrees(git));
  facts.worktrees_total = worktrees.size();
  for (const Worktree& worktree : worktrees) {
    if (facts.worktrees.size() == listed_worktrees) break;
    facts.worktrees.push_back({.path = escaped(worktree.path, 512),
                               .branch = worktree.branch.empty() ? "" : escaped(worktree.branch.substr(11), 256),
                               .locked = worktree.locked});
  }
  BULKHEAD_TRY(read_target(git, request, worktrees, facts));
  BULKHEAD_TRY(read_committer(git, request.config_home, facts));
  return facts;
}

}  // namespace bulkhead
