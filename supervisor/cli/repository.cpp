#include "supervisor/cli/repository.h"

#include <filesystem>

namespace bulkhead {
namespace {

namespace fs = std::filesystem;

bool directory_at(const fs::path& path) {
  std::error_code ignored;  // what cannot be looked at is not ours to use
  return fs::is_directory(path, ignored);
}

// git's own test for a git directory (is_git_directory() in git's setup.c): HEAD, objects and refs.
bool is_git_directory(const fs::path& path) {
  std::error_code ignored;
  return (fs::exists(path / "HEAD", ignored) || fs::is_symlink(path / "HEAD", ignored)) &&
         directory_at(path / "objects") && directory_at(path / "refs");
}

}  // namespace

Result<std::string> find_repository(const std::string& directory) {
  std::error_code error;
  const fs::path start = fs::canonical(directory, error);
  if (error) return errno_error("open directory", directory, error.value());
  if (!directory_at(start)) return errno_error("open directory", directory, ENOTDIR);
  for (fs::path at = start;; at = at.parent_path()) {
    std::error_code ignored;
    // A file is the .git of a linked worktree or a submodule.
    if (fs::is_regular_file(at / ".git", ignored) || is_git_directory(at / ".git")) return at.string();
    if (is_git_directory(at)) {
      // Inside a .git directory the repository is the working tree around it; elsewhere it is a bare one.
      return at.filename() == ".git" ? at.parent_path().string() : at.string();
    }
    if (at == at.root_path()) break;
  }
  return fail("find repository", start.string(), "not a git repository, nor is any directory above it",
              "make one: git init && git add -A && git commit -m start; or go to one");
}

}  // namespace bulkhead
