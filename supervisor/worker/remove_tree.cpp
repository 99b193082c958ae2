// Empties a directory that an agent wrote to, whatever it holds: unreadable directories, any depth, any names.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "sandbox/sys/files.h"
#include "supervisor/worker/escape.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {
namespace {

constexpr int deepest = 64;  // below that a directory is moved to the top first, so that depth costs no descriptors

class Remover {
 public:
  Remover(const Fd& top, dev_t device) : top_(top), device_(device) {}

  // Until nothing is left: what was moved to the top is met in the next round.
  Result<> all() {
    do {
      moved_ = 0;
      BULKHEAD_TRY(contents(top_, "", 0));
    } while (moved_ != 0);
    return {};
  }
  std::uint64_t removed() const { return removed_; }

 private:
  Result<> contents(const Fd& directory, const std::string& path, int depth) {
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(::fcntl(directory.get(), F_DUPFD_CLOEXEC, 3)),
                                                      ::closedir);
    if (!listing) return errno_error("list", path);
    ::rewinddir(listing.get());  // the position is shared with the round before
    errno = 0;
    while (const dirent* entry = ::readdir(listing.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") BULKHEAD_TRY(one(directory, name, path + "/" + escaped(name, 256), depth));
      errno = 0;
    }
    return errno == 0 ? Result<>() : errno_error("list", path);
  }

  Result<> one(const Fd& parent, const std::string& name, const std::string& path, int depth) {
    if (::unlinkat(parent.get(), name.c_str(), 0) == 0) {
      ++removed_;
      return {};
    }
    int code = errno;
    if (code == ENOENT) return {};
    if (code == EACCES) {
      // The directory above cannot be written to, though it is ours.
      if (::fchmod(parent.get(), 0700) == 0 && ::unlinkat(parent.get(), name.c_str(), 0) == 0) {
        ++removed_;
        return {};
      }
      code = errno;
    }
    if (code != EISDIR && code != EPERM) return errno_error("remove", path, code);
    return remove_directory(parent, name, path, depth);
  }

  Result<> remove_directory(const Fd& parent, const std::string& name, const std::string& path, int depth) {
    if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) == 0) {
      ++removed_;
      return {};
    }
    if (errno != ENOTEMPTY && errno != EEXIST && errno != EACCES) return errno_error("remove", path);
    if (depth == deepest) return move_to_top(parent, name, path);
    BULKHEAD_ASSIGN(const Fd directory, open_directory(parent, name, path));
    struct stat status{};
    if (::fstat(directory.get(), &status) != 0) return errno_error("stat", path);
    if (status.st_dev != device_) return fail("remove", path, "something is mounted here");
    BULKHEAD_TRY(contents(directory, path, depth + 1));
    if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) == 0) {
      ++removed_;
      return {};
    }
    return errno_error("remove", path);
  }

  // Through O_PATH, since the mode may forbid opening it otherwise; chmod by name could follow a link.
  static Result<Fd> open_directory(const Fd& parent, const std::string& name, const std::string& path) {
    constexpr int how = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    Fd directory(::openat(parent.get(), name.c_str(), how));
    if (directory.valid()) {
      if (::faccessat(directory.get(), ".", W_OK | X_OK, AT_EACCESS) != 0 && ::fchmod(directory.get(), 0700) != 0) {
        return errno_error("set mode of", path);
      }
      return directory;
    }
    if (errno != EACCES) return errno_error("open", path);
    const Fd handle(::openat(parent.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!handle.valid()) return errno_error("open", path);
    if (::chmod(("/proc/self/fd/" + std::to_string(handle.get())).c_str(), 0700) != 0) {
      return errno_error("set mode of", path);
    }
    directory = Fd(::openat(parent.get(), name.c_str(), how));
    if (!directory.valid()) return errno_error("open", path);
    return directory;
  }

  Result<> move_to_top(const Fd& parent, const std::string& name, const std::string& path) {
    for (;;) {
      const std::string free_name = ".bulkhead-remove-" + std::to_string(next_++);
      if (::renameat2(parent.get(), name.c_str(), top_.get(), free_name.c_str(), RENAME_NOREPLACE) == 0) break;
      if (errno == EACCES && (::fchmodat(parent.get(), name.c_str(), 0700, AT_SYMLINK_NOFOLLOW) == 0)) continue;
      if (errno != EEXIST) return errno_error("move", path);
    }
    ++moved_;
    return {};
  }

  const Fd& top_;
  dev_t device_;
  std::uint64_t removed_ = 0;
  std::uint64_t moved_ = 0;
  std::uint64_t next_ = 0;
};

}  // namespace

Result<RemoveTreeFacts> remove_tree_contents(const RemoveTreeRequest& request) {
  BULKHEAD_ASSIGN(const Fd top, open_file(request.directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  struct stat status{};
  if (::fstat(top.get(), &status) != 0) return errno_error("stat", request.directory);
  Remover remover(top, status.st_dev);
  BULKHEAD_TRY(remover.all());
  return RemoveTreeFacts{.removed = remover.removed()};
}

}  // namespace bulkhead
