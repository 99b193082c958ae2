#include "supervisor/worker/workspace_refs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"
#include "supervisor/core/workspaces/state_paths.h"
#include "supervisor/worker/escape.h"
#include "supervisor/worker/streams.h"

namespace bulkhead {
namespace {

constexpr std::size_t ref_bytes = 4096;
constexpr std::size_t packed_refs_bytes = 64 << 20;
constexpr std::uint64_t object_entries = 4'000'000;

std::string_view kind_of(mode_t mode) {
  if (S_ISLNK(mode)) return "a symbolic link";
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a fifo";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISREG(mode)) return "a file";
  return "a device";
}

// One that git would accept, as far as it matters for a path: relative, no empty, "." or ".." part, no ".lock" (which
// another git may be writing), no control characters.
bool is_ref_name(std::string_view name) {
  if (!name.starts_with("refs/") || name.size() > 1024) return false;
  if (std::ranges::any_of(name,
                          [](char c) { return static_cast<unsigned char>(c) <= ' ' || c == 0x7f || c == '\\'; })) {
    return false;
  }
  return std::ranges::none_of(split(name, '/'), [](const std::string& part) {
    return part.empty() || part.starts_with('.') || part.ends_with(".lock");
  });
}

std::string trimmed(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\r' || text.back() == '\t')) {
    text.remove_suffix(1);
  }
  return std::string(text);
}

Result<mode_t> mode_at(int directory, const std::string& path) {
  struct stat status{};
  if (::fstatat(directory, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return errno_error("stat", ".git/" + escaped(path));
  return status.st_mode;
}

class ObjectsCheck {
 public:
  Result<> directory(const Fd& parent, const std::string& name, const std::string& shown, int depth) {
    const Fd fd(::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) {
      const int code = errno;
      if (const auto mode = mode_at(parent.get(), name); mode && !S_ISDIR(*mode)) return wrong(shown, *mode);
      return errno_error("open", shown, code);
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)), ::closedir);
    if (!listing) return errno_error("list", shown);
    while (const dirent* entry = ::readdir(listing.get())) {
      const std::string child = entry->d_name;
      if (child == "." || child == "..") continue;
      BULKHEAD_TRY(one(fd, child, shown + "/" + escaped(child, 256), *entry, depth));
    }
    return {};
  }

 private:
  Result<> one(const Fd& parent, const std::string& name, const std::string& shown, const dirent& entry, int depth) {
    if (++entries_ > object_entries) return fail("read objects of", "the workspace", "more than 4000000 files");
    if (shown.ends_with("/info/alternates") || shown.ends_with("/info/http-alternates")) {
      return fail("read objects of", "the workspace", shown + " borrows objects from elsewhere",
                  "the agent may have cloned with --shared or --reference; its own objects are taken only");
    }
    mode_t mode = entry.d_type == DT_REG ? S_IFREG : entry.d_type == DT_DIR ? S_IFDIR : 0;
    if (mode == 0) {
      BULKHEAD_ASSIGN(mode, mode_at(parent.get(), name));
    }
    if (S_ISREG(mode)) return {};
    // objects/xx/file and objects/info/commit-graphs/file are the deepest that git makes.
    if (S_ISDIR(mode)) return depth < 3 ? directory(parent, name, shown, depth + 1) : Result<>();
    return wrong(shown, mode);
  }
  static Result<> wrong(const std::string& shown, mode_t mode) {
    return fail("read objects of", "the workspace", shown + " is " + std::string(kind_of(mode)));
  }
  std::uint64_t entries_ = 0;
};

}  // namespace

Result<WorkspaceRefs> WorkspaceRefs::open(const std::string& workspace) {
  BULKHEAD_ASSIGN(const Fd top, open_file(workspace, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  Fd git_dir(::openat(top.get(), ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (git_dir.valid()) return WorkspaceRefs(std::move(git_dir));
  if (errno == ENOENT) return fail("open repository of", "the workspace", "the agent removed .git");
  const int code = errno;
  if (const auto mode = mode_at(top.get(), ".git"); mode && !S_ISDIR(*mode)) {
    return fail("open repository of", "the workspace", ".git is " + std::string(kind_of(*mode)) + ", not a directory");
  }
  return errno_error("open", workspace + "/.git", code);
}

// Nothing when it is not there. O_NONBLOCK: opening a fifo must not wait for its writer.
Result<std::optional<std::string>> WorkspaceRefs::read(const std::string& path, std::size_t limit) const {
  const auto fd = open_beneath(git_dir_.get(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  const std::string shown = ".git/" + escaped(path, 512);
  if (!fd) {
    if (fd.error().code == ENOENT || fd.error().code == ENOTDIR) return std::nullopt;
    if (fd.error().code == ELOOP) return fail("read", shown, "a symbolic link is in the way");
    return errno_error("read", shown, fd.error().code);
  }
  struct stat status{};
  if (::fstat(fd->get(), &status) != 0) return errno_error("stat", shown);
  if (S_ISDIR(status.st_mode)) return std::nullopt;  // a directory of further refs
  if (!S_ISREG(status.st_mode)) return fail("read", shown, "it is " + std::string(kind_of(status.st_mode)));
  if (static_cast<std::uint64_t>(status.st_size) > limit) {
    return fail("read", shown, "it is larger than " + std::to_string(limit) + " bytes");
  }
  BULKHEAD_ASSIGN(std::string text, read_fd(fd->get(), limit));
  return text;
}

Result<WorkspaceRefs::Head> WorkspaceRefs::head() const {
  BULKHEAD_ASSIGN(const std::optional<std::string> text, read("HEAD", ref_bytes));
  if (!text) return fail("read", ".git/HEAD", "it is not there");
  Head head;
  const std::string line = trimmed(*text);
  if (!line.starts_with("ref:")) {
    if (!is_object_id(line)) return fail("read", ".git/HEAD", "neither a branch nor a commit");
    head.commit = line;
    return head;
  }
  head.ref = line.substr(4);
  head.ref.erase(0, head.ref.find_first_not_of(" \t"));
  if (!is_ref_name(head.ref))
    return fail("read", ".git/HEAD", "'" + escaped(head.ref, 256) + "' is not a name for a branch");
  BULKHEAD_ASSIGN(head.commit, ref(head.ref));
  return head;
}

Result<ObjectId> WorkspaceRefs::ref(const std::string& full_name) const {
  if (!is_ref_name(full_name)) return fail("read", escaped(full_name, 256), "not a name for a ref");
  BULKHEAD_ASSIGN(const std::optional<std::string> loose, read(full_name, ref_bytes));
  if (loose) {
    std::string id = trimmed(*loose);
    if (is_object_id(id)) return id;
    return fail("read", ".git/" + escaped(full_name, 512), "it does not hold an object id");
  }
  BULKHEAD_ASSIGN(const std::optional<std::string> packed, read("packed-refs", packed_refs_bytes));
  if (!packed) return ObjectId();
  std::string_view rest = *packed;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto space = line.find(' ');
    if (space != std::string_view::npos && line.substr(space + 1) == full_name && is_object_id(line.substr(0, space))) {
      return ObjectId(line.substr(0, space));
    }
  }
  return ObjectId();
}

Result<> WorkspaceRefs::check_objects() const {
  return ObjectsCheck().directory(git_dir_, "objects", ".git/objects", 0);
}

Result<> WorkspaceRefs::write(const std::string& path, std::string_view content) const {
  std::string directory;
  const auto parts = split(path, '/');
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    directory += (directory.empty() ? "" : "/") + parts[i];
    // Through a link in an earlier part mkdirat would follow; open_beneath below refuses it, and a directory made
    // elsewhere in the agent's own sandbox harms nobody.
    if (::mkdirat(git_dir_.get(), directory.c_str(), 0755) != 0 && errno != EEXIST) {
      return errno_error("make directory", ".git/" + escaped(directory, 512));
    }
  }
  const std::string shown = ".git/" + escaped(path, 512);
  BULKHEAD_ASSIGN(const Fd parent,
                  open_beneath(git_dir_.get(), directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY));
  const std::string temporary = parts.back() + ".bulkhead";
  (void)::unlinkat(parent.get(), temporary.c_str(), 0);  // of an attempt that was killed here
  const Fd file(::openat(parent.get(), temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file.valid()) return errno_error("create", shown);
  BULKHEAD_TRY(write_all(file.get(), content, shown));
  if (::renameat(parent.get(), temporary.c_str(), parent.get(), parts.back().c_str()) != 0) {
    return errno_error("replace", shown);
  }
  return {};
}

}  // namespace bulkhead
