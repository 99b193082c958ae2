// Commits what an agent left uncommitted. The agent's files, objects and refs are used; its configuration, hooks,
// index, attributes' drivers and excludes are not: `git add` in a repository of the agent's would run what it names.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "sandbox/base/units.h"
#include "sandbox/sys/files.h"
#include "supervisor/worker/replace_file.h"
#include "supervisor/worker/streams.h"
#include "supervisor/worker/subcommands.h"
#include "supervisor/worker/workspace_reader.h"

namespace bulkhead {
namespace {

// What differs from the index: changed, deleted and new files, NUL-ended. Named here and handed to update-index, since
// `git add` asks git inside nested repositories, which reads their configuration.
class Listing {
 public:
  Listing(const Fd& top, std::uint64_t max_bytes) : top_(top), max_bytes_(max_bytes) {}

  Result<> take(std::string_view path) {
    const std::string name(path);
    if (path.ends_with('/')) {  // a nested repository: nobody could check it out
      ++left_out_;
      return {};
    }
    struct stat status{};
    if (::fstatat(top_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      if (S_ISDIR(status.st_mode)) return add(name, directories_);
      if (S_ISREG(status.st_mode)) {
        if (::faccessat(top_.get(), name.c_str(), R_OK, AT_EACCESS) != 0) {
          ++left_out_;
          return {};
        }
        bytes_ += static_cast<std::uint64_t>(status.st_size);
        if (bytes_ > max_bytes_) {
          return fail("commit", "uncommitted changes", "they are larger than " + format_bytes(max_bytes_),
                      "name what is not to be kept in .gitignore");
        }
      }
    }
    return add(name, paths_);
  }
  // Each followed by NUL.
  const std::string& paths() const { return paths_; }
  // In the index and a directory now: a file that made way for files below it, or a submodule that moved.
  const std::string& directories() const { return directories_; }
  std::uint64_t left_out() const { return left_out_; }

 private:
  static Result<> add(const std::string& name, std::string& list) {
    list += name;
    list += '\0';
    if (list.size() > max_names) return fail("commit", "uncommitted changes", "too many files");
    return {};
  }

  static constexpr std::size_t max_names = 64 << 20;
  const Fd& top_;
  std::uint64_t max_bytes_;
  std::string paths_;
  std::string directories_;
  std::uint64_t bytes_ = 0;
  std::uint64_t left_out_ = 0;
};

// Takes files that became directories out of the index; the submodules among `directories` are returned, NUL-ended.
Result<std::string> replaced_by_directories(const Git& git, const std::string& directories) {
  if (directories.empty()) return std::string();
  std::set<std::string, std::less<>> submodules;
  Records entries([&](std::string_view entry) -> Result<> {  // "mode id stage TAB path"
    if (entry.starts_with("160000 ")) submodules.emplace(entry.substr(entry.find('\t') + 1));
    return {};
  });
  BULKHEAD_TRY(git.must("list", "submodules", {"ls-files", "-z", "--stage"}, {.sink = entries.sink()}));
  std::string moved;
  std::string gone;
  Records names([&](std::string_view name) -> Result<> {
    (submodules.contains(name) ? moved : gone).append(name).push_back('\0');
    return {};
  });
  BULKHEAD_TRY(names.add(directories));
  BULKHEAD_TRY(
      git.must("read", "uncommitted changes", {"update-index", "-z", "--force-remove", "--stdin"}, {.input = gone}));
  return moved;
}

Result<std::string> tree_of(const Git& git, const std::string& commit) {
  return git.line("read", commit, {"rev-parse", "--verify", "--quiet", commit + "^{tree}"});
}

Result<> set_tip(const WorkspaceReader& reader, const std::string& branch, const ObjectId& commit,
                 const std::string& index) {
  BULKHEAD_ASSIGN(const std::string content, read_file(index, std::size_t{1} << 30));
  BULKHEAD_TRY(reader.refs().write("index", content));
  BULKHEAD_TRY(reader.refs().write("refs/heads/" + branch, commit + "\n"));
  return reader.refs().write("HEAD", "ref: refs/heads/" + branch + "\n");
}

}  // namespace

Result<FinishFacts> finish(const FinishRequest& request) {
  BULKHEAD_ASSIGN(const WorkspaceReader reader, WorkspaceReader::open(request.workspace, request.base_tree,
                                                                      request.base, WorkspaceReader::Objects::write));
  BULKHEAD_ASSIGN(const WorkspaceReader::Tip tip, reader.tip(request.branch));
  FinishFacts facts{.tip = tip.commit, .on_branch = tip.on_branch};

  // The base's index knows which files are still the base's: only what the agent changed is read.
  const std::string index = reader.clean().scratch_file("index");
  BULKHEAD_ASSIGN(const std::string base_index, read_file(request.base_tree + "/.git/index", std::size_t{1} << 30));
  BULKHEAD_TRY(replace_file(index, base_index));
  const Git git = reader.git()
                      .with("GIT_WORK_TREE", request.workspace)
                      .with("GIT_INDEX_FILE", index)
                      .in(request.workspace)
                      .config("core.bare", "false")
                      .config("core.checkStat", "minimal")
                      .config("core.trustctime", "false");
  const ObjectId& files_of = tip.head.empty() ? tip.commit : tip.head;
  BULKHEAD_TRY(git.must("read", files_of, {"read-tree", "-i", "-m", files_of}));

  BULKHEAD_ASSIGN(const Fd top, open_file(request.workspace, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  Listing listing(top, request.max_bytes);
  Records names([&](std::string_view path) { return listing.take(path); });
  BULKHEAD_TRY(git.must("list", "uncommitted changes",
                        {"ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-per-directory=.gitignore"},
                        {.sink = names.sink()}));
  facts.left_out = listing.left_out();
  if (listing.paths().empty() && listing.directories().empty()) return facts;
  BULKHEAD_ASSIGN(const std::string moved, replaced_by_directories(git, listing.directories()));
  BULKHEAD_TRY(git.must("read", "uncommitted changes",
                        {"update-index", "-z", "--add", "--remove", "--replace", "--stdin"},
                        {.input = listing.paths() + moved}));
  BULKHEAD_ASSIGN(std::string tree, git.must("write", "uncommitted changes", {"write-tree"}));
  while (tree.ends_with('\n')) tree.pop_back();
  BULKHEAD_ASSIGN(const std::string tip_tree, tree_of(git, files_of));
  if (tree == tip_tree) return facts;

  Records changed([&](std::string_view) -> Result<> {
    ++facts.changed;
    return {};
  });
  BULKHEAD_TRY(git.must("compare", tip.commit, {"diff-tree", "-r", "-z", "--name-only", "--no-renames", tip_tree, tree},
                        {.sink = changed.sink()}));
  if (tip.head_behind) {
    // The files are those of an older commit: committed on the branch's they would undo what came after.
    facts.left_out += facts.changed;
    facts.changed = 0;
    return facts;
  }
  BULKHEAD_ASSIGN(facts.tip, git.with("GIT_AUTHOR_NAME", request.name)
                                 .with("GIT_AUTHOR_EMAIL", request.email)
                                 .with("GIT_COMMITTER_NAME", request.name)
                                 .with("GIT_COMMITTER_EMAIL", request.email)
                                 .must("commit", "uncommitted changes",
                                       {"commit-tree", tree, "-p", tip.commit, "-F", "-"}, {.input = request.message}));
  while (facts.tip.ends_with('\n')) facts.tip.pop_back();
  BULKHEAD_TRY(set_tip(reader, request.branch, facts.tip, index));
  facts.committed = true;
  return facts;
}

}  // namespace bulkhead
