// Copies what an agent wrote, for checkpoints and for starting from them. By descriptor, name by name: no link is
// followed, nothing is opened but directories and regular files, every count is bounded.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>

#include "sandbox/base/units.h"
#include "sandbox/sys/files.h"
#include "supervisor/core/workspaces/worker_protocol.h"
#include "supervisor/worker/escape.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {
namespace {

constexpr int deepest = 240;  // two descriptors a level

using Stat = struct stat;

std::string in(const std::string& directory, std::string_view name) {
  return directory.empty() ? std::string(name) : directory + "/" + std::string(name);
}

// The agent may live while it is checkpointed: what goes away between two calls is counted, not an error.
bool is_gone(int code) { return code == ENOENT || code == ELOOP || code == ENOTDIR || code == ESTALE; }

class Copier {
 public:
  Copier(const CopyTreeRequest& request, const Fd& to, dev_t device) : request_(request), to_(to), device_(device) {}

  Result<> directory(const Fd& from, const Fd& to, const std::string& path, int depth) {
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(::fcntl(from.get(), F_DUPFD_CLOEXEC, 3)), ::closedir);
    if (!listing) return failed("list", path);
    errno = 0;
    while (const dirent* entry = ::readdir(listing.get())) {
      const std::string name = entry->d_name;
      if (name != "." && name != ".." && !excluded(in(path, name))) {
        BULKHEAD_TRY(one(from, to, name, in(path, name), depth));
      }
      errno = 0;
    }
    if (errno != 0) return failed("list", path);
    return {};
  }

  CopyTreeFacts facts;

 private:
  bool excluded(const std::string& path) const {
    return std::ranges::find(request_.exclude, path) != request_.exclude.end();
  }

  static std::unexpected<Error> failed(const char* what, const std::string& path) {
    const int code = errno;
    return errno_error(what, escaped(path, 1024), code);
  }

  Result<> vanished_or(const char* what, const std::string& path) {
    if (!is_gone(errno)) return failed(what, path);
    ++facts.vanished;
    return {};
  }

  Result<> one(const Fd& from, const Fd& to, const std::string& name, const std::string& path, int depth) {
    Stat status{};
    if (::fstatat(from.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return vanished_or("stat", path);
    if (++entries_ > request_.max_files) {
      return fail("copy", "tree", "it has more than " + std::to_string(request_.max_files) + " files");
    }
    if (status.st_dev != device_) {  // something is mounted there
      ++facts.skipped;
      return {};
    }
    if (S_ISDIR(status.st_mode)) return copy_directory(from, to, name, path, depth);
    if (status.st_nlink > 1 && linked_before(to, name, status)) {
      ++facts.hard_links;
      return {};
    }
    if (S_ISREG(status.st_mode)) return copy_file(from, to, name, path);
    if (S_ISLNK(status.st_mode)) return copy_link(from, to, name, path, status);
    const bool whiteout = S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
    if (!whiteout && !S_ISFIFO(status.st_mode)) {
      ++facts.skipped;
      return {};
    }
    if (::mknodat(to.get(), name.c_str(), (status.st_mode & S_IFMT) | 0600, makedev(0, 0)) != 0)
      return failed("create", path);
    ++(whiteout ? facts.whiteouts : facts.fifos);
    return finish_by_name(to, name, path, status);
  }

  Result<> copy_directory(const Fd& from, const Fd& to, const std::string& name, const std::string& path, int depth) {
    if (depth == deepest) return fail("copy", escaped(path, 256), "nested deeper than 240 directories");
    const Fd source(::openat(from.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!source.valid()) return vanished_or("open", path);
    Stat status{};  // of what was opened, whatever the name means by now
    if (::fstat(source.get(), &status) != 0) return failed("stat", path);
    if (::mkdirat(to.get(), name.c_str(), 0700) != 0) return failed("create", path);
    const Fd target(::openat(to.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!target.valid()) return failed("open copy of", path);
    ++facts.directories;
    BULKHEAD_TRY(directory(source, target, path, depth + 1));
    return finish(source, target, path, status);
  }

  Result<> copy_file(const Fd& from, const Fd& to, const std::string& name, const std::string& path) {
    // O_NONBLOCK: by now the name may be a fifo.
    const Fd source(::openat(from.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!source.valid()) return vanished_or("open", path);
    Stat status{};
    if (::fstat(source.get(), &status) != 0) return failed("stat", path);
    if (!S_ISREG(status.st_mode)) {
      ++facts.vanished;
      return {};
    }
    const Fd target(::openat(to.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!target.valid()) return failed("create", path);
    BULKHEAD_TRY(copy_data(source, target, path, status));
    ++facts.files;
    if (status.st_nlink > 1) remember_link(status, path);
    return finish(source, target, path, status);
  }

  // Shared extents where the file system has them, else the data between the holes; up to the size it had when it was
  // opened, so that a file which grows all the time comes to an end.
  Result<> copy_data(const Fd& source, const Fd& target, const std::string& path, const Stat& status) {
    const auto held = static_cast<std::uint64_t>(status.st_blocks) * 512;
    if (facts.bytes + shared_ + held > request_.max_bytes) return too_large();
    if (status.st_size == 0) return {};
    if (::ioctl(target.get(), FICLONE, source.get()) == 0) {
      shared_ += held;  // the original may go, and this one stay
      return {};
    }
    const off_t size = status.st_size;
    for (off_t at = 0; at < size;) {
      const off_t data = ::lseek(source.get(), at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) break;  // a hole to the end
      if (data < 0 && errno != EINVAL) return failed("read", path);
      const off_t start = data < 0 ? at : data;  // a file system that knows no holes
      const off_t hole = data < 0 ? size : ::lseek(source.get(), start, SEEK_HOLE);
      const off_t end = std::min(hole < 0 ? size : hole, size);
      if (start >= end) break;
      BULKHEAD_ASSIGN(const bool whole, copy_range(source, target, path, start, end));
      if (!whole) break;  // it was cut short meanwhile
      at = end;
    }
    if (::ftruncate(target.get(), size) != 0) return failed("set size of", path);
    return {};
  }

  Result<bool> copy_range(const Fd& source, const Fd& target, const std::string& path, off_t at, off_t end) {
    off_t to = at;
    while (at < end) {
      const auto want = static_cast<std::size_t>(std::min<off_t>(end - at, 1 << 30));
      ssize_t n = kernel_copies_ ? ::copy_file_range(source.get(), &at, target.get(), &to, want, 0) : -1;
      if (n < 0 && kernel_copies_ && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) {
        return failed("copy", path);
      }
      if (n < 0) {  // between file systems of different kinds
        kernel_copies_ = false;
        BULKHEAD_ASSIGN(n, copy_buffer(source, target, path, at, std::min(want, buffer_.size())));
        at += n;
        to += n;
      }
      if (n == 0) return false;
      facts.bytes += static_cast<std::uint64_t>(n);
      if (facts.bytes + shared_ > request_.max_bytes) return too_large();
    }
    return true;
  }

  Result<ssize_t> copy_buffer(const Fd& source, const Fd& target, const std::string& path, off_t at, std::size_t want) {
    const ssize_t n = ::pread(source.get(), buffer_.data(), want, at);
    if (n < 0) return failed("read", path);
    for (ssize_t done = 0; done < n;) {
      const ssize_t wrote =
          ::pwrite(target.get(), buffer_.data() + done, static_cast<std::size_t>(n - done), at + done);
      if (wrote < 0) return failed("write", path);
      done += wrote;
    }
    return n;
  }

  Result<> copy_link(const Fd& from, const Fd& to, const std::string& name, const std::string& path,
                     const Stat& status) {
    std::array<char, 4097> text{};
    const ssize_t n = ::readlinkat(from.get(), name.c_str(), text.data(), text.size() - 1);
    if (n < 0) return vanished_or("read link", path);
    if (::symlinkat(text.data(), to.get(), name.c_str()) != 0) return failed("create", path);
    ++facts.links;
    return finish_by_name(to, name, path, status);
  }

  // Owner first (it clears setuid), then mode, attributes, times. Only inside root may give files away, and as uid 1000
  // the copy belongs to it anyway.
  Result<> finish(const Fd& source, const Fd& target, const std::string& path, const Stat& status) {
    if (::geteuid() == 0 && ::fchown(target.get(), status.st_uid, status.st_gid) != 0)
      return failed("set owner of", path);
    BULKHEAD_TRY(copy_attributes(source, target, path));
    if (::fchmod(target.get(), status.st_mode & 01777) != 0) return failed("set mode of", path);
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    if (::futimens(target.get(), times.data()) != 0) return failed("set times of", path);
    return {};
  }

  // For what cannot be opened. The directory is ours: nobody changes what a name in it means.
  Result<> finish_by_name(const Fd& to, const std::string& name, const std::string& path, const Stat& status) {
    if (::geteuid() == 0 &&
        ::fchownat(to.get(), name.c_str(), status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
      return failed("set owner of", path);
    }
    if (!S_ISLNK(status.st_mode) && ::fchmodat(to.get(), name.c_str(), status.st_mode & 01777, 0) != 0) {
      return failed("set mode of", path);
    }
    const std::array<timespec, 2> times{status.st_atim, status.st_mtim};
    if (::utimensat(to.get(), name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0)
      return failed("set times of", path);
    return {};
  }

  // What overlay keeps of opaque and redirected directories (userxattr); everything else an agent set stays behind.
  Result<> copy_attributes(const Fd& source, const Fd& target, const std::string& path) {
    std::string names(65536, '\0');
    const ssize_t n = ::flistxattr(source.get(), names.data(), names.size());
    if (n < 0 && (errno == ENOTSUP || errno == EACCES)) return {};
    if (n < 0) return failed("list attributes of", path);
    names.resize(static_cast<std::size_t>(n));
    for (const std::string& name : split(names, '\0')) {
      if (!name.starts_with("user.overlay.")) continue;
      std::array<char, 4096> value{};
      const ssize_t size = ::fgetxattr(source.get(), name.c_str(), value.data(), value.size());
      if (size < 0) return failed("read attribute of", path);
      if (::fsetxattr(target.get(), name.c_str(), value.data(), static_cast<std::size_t>(size), 0) != 0) {
        return failed("set attribute of", path);
      }
    }
    return {};
  }

  // By path below the copy, where every directory is one that we made. A name that cannot be linked (its path is too
  // long, it has too many already) becomes a copy.
  bool linked_before(const Fd& to, const std::string& name, const Stat& status) const {
    const auto found = links_.find(status.st_ino);
    return found != links_.end() && ::linkat(to_.get(), found->second.c_str(), to.get(), name.c_str(), 0) == 0;
  }

  void remember_link(const Stat& status, const std::string& path) {
    if (links_.size() < max_links) links_.emplace(status.st_ino, path);
  }

  std::unexpected<Error> too_large() const {
    return fail("copy", "tree", "it is larger than " + format_bytes(request_.max_bytes));
  }

  static constexpr std::size_t max_links = 200'000;
  const CopyTreeRequest& request_;
  const Fd& to_;
  dev_t device_;
  std::uint64_t entries_ = 0;
  std::uint64_t shared_ = 0;  // bytes of files whose extents are shared with the original
  std::map<ino_t, std::string> links_;
  bool kernel_copies_ = true;
  std::string buffer_ = std::string(1 << 20, '\0');
};

}  // namespace

Result<CopyTreeFacts> copy_tree(const CopyTreeRequest& request) {
  BULKHEAD_ASSIGN(const Fd from, open_file(request.from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BULKHEAD_ASSIGN(const Fd to, open_file(request.to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BULKHEAD_ASSIGN(const std::vector<std::string> there, list_directory(request.to));
  if (!there.empty()) return fail("copy tree to", request.to, "the directory is not empty");
  Stat status{};
  if (::fstat(from.get(), &status) != 0) return errno_error("stat", request.from);
  Copier copier(request, to, status.st_dev);
  BULKHEAD_TRY(copier.directory(from, to, "", 0));
  return copier.facts;
}

}  // namespace bulkhead
