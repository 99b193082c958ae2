#include "supervisor/worker/image_tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <climits>

#include "sandbox/base/units.h"
#include "sandbox/sys/files.h"
#include "supervisor/worker/escape.h"

namespace bulkhead {
namespace {

constexpr std::uint64_t kArchiveOverhead = 4096;  // of an entry: its header, long names, padding

std::string shown(const LayerName& name) { return "'" + escaped(name.path(), 300) + "'"; }

Result<Fd> open_in_root(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  Fd fd(static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
  if (!fd.valid()) return errno_error("unpack", "'" + escaped(path, 300) + "'");
  return fd;
}

Result<std::string> path_of(int directory) {
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(directory)).c_str(), path.data(), path.size());
  if (length < 0) return errno_error("unpack", "a directory whose name is too long");
  return std::string(path.data(), static_cast<std::size_t>(length));
}

timespec time_of(archive_entry* entry) {
  if (!archive_entry_mtime_is_set(entry)) return {};
  return {.tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry)};
}

// The archive's own bytes, wherever the library kept them.
Result<std::string> text_of(const char* bytes, const char* what) {
  if (bytes == nullptr) return fail("unpack", what, "it cannot be read as text");
  return std::string(bytes);
}

}  // namespace

Result<ImageTree> ImageTree::open(const std::string& directory, Bounds bounds, ImageAttributes attributes) {
  BULKHEAD_ASSIGN(const auto there, list_directory(directory));
  if (!there.empty()) return fail("unpack image", directory, "the directory is not empty");
  BULKHEAD_ASSIGN(Fd root, open_file(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BULKHEAD_ASSIGN(std::string path, path_of(root.get()));
  return ImageTree(std::move(root), std::move(path), bounds, attributes);
}

Result<> ImageTree::add_layer(const ImageLayout& layout, const ImageLayer& layer) {
  // Of files that are small the archive's own words are more than their content.
  const std::uint64_t most = bounds_.bytes + bounds_.entries * kArchiveOverhead;
  BULKHEAD_ASSIGN(const Fd blob, layout.blob(layer.blob));
  if (!empty_) {
    BULKHEAD_ASSIGN(const auto stream, LayerStream::open(blob, layer, most));
    BULKHEAD_TRY(apply_whiteouts(*stream));
    BULKHEAD_TRY(stream->finish());
  }
  BULKHEAD_ASSIGN(const auto stream, LayerStream::open(blob, layer, most));
  BULKHEAD_TRY(add_entries(*stream));
  empty_ = false;
  return stream->finish();
}

Result<> ImageTree::apply_whiteouts(LayerStream& layer) {
  std::uint64_t seen = 0;
  while (true) {
    BULKHEAD_ASSIGN(archive_entry* const entry, layer.next());
    if (entry == nullptr) return {};
    if (++seen > bounds_.entries) return {};  // add_entries() says so
    BULKHEAD_ASSIGN(const std::string raw, text_of(archive_entry_pathname(entry), "a name"));
    BULKHEAD_ASSIGN(const LayerName name, parse_layer_name(raw));
    BULKHEAD_TRY(white_out(name));
  }
}

Result<> ImageTree::white_out(const LayerName& name) {
  std::string hidden;
  BULKHEAD_ASSIGN(const Whiteout whiteout, whiteout_of(name, hidden));
  if (whiteout == Whiteout::none || whiteout == Whiteout::ignored) return {};
  const auto directory = open_in_root(root_.get(), name.directory(), O_RDONLY | O_DIRECTORY);
  // A whiteout of what is not there hides nothing.
  if (!directory && (directory.error().code == ENOENT || directory.error().code == ENOTDIR)) return {};
  if (!directory) return std::unexpected(directory.error());
  parent_path_.clear();
  if (whiteout == Whiteout::name) {
    const LayerName gone{.parents = name.parents, .leaf = hidden};
    return make_room(directory->get(), gone);
  }
  BULKHEAD_ASSIGN(const auto names, list_directory("/proc/self/fd/" + std::to_string(directory->get()) + "/."));
  LayerName below = name;
  for (const std::string& child : names) {
    below.leaf = child;
    BULKHEAD_TRY(make_room(directory->get(), below));
  }
  return {};
}

Result<> ImageTree::add_entries(LayerStream& layer) {
  while (true) {
    BULKHEAD_ASSIGN(archive_entry* const entry, layer.next());
    if (entry == nullptr) return {};
    BULKHEAD_TRY(add(layer, entry));
  }
}

Result<> ImageTree::count(const LayerName& name) {
  if (++entries_ <= bounds_.entries) return {};
  return fail("unpack", shown(name), "the image has more than " + std::to_string(bounds_.entries) + " files",
              "if that is right, raise the bound in the policy's root with 'inodes'");
}

Result<> ImageTree::count_bytes(const LayerName& name, std::uint64_t more) {
  if (more > bounds_.bytes - std::min(bounds_.bytes, bytes_))
    return fail("unpack", shown(name), "with it the image is larger than " + format_bytes(bounds_.bytes),
                "if that is right, raise the bound in the policy's root with 'size'");
  bytes_ += more;
  return {};
}

Result<> ImageTree::add(LayerStream& layer, archive_entry* entry) {
  BULKHEAD_ASSIGN(const std::string raw, text_of(archive_entry_pathname(entry), "a name"));
  BULKHEAD_ASSIGN(const LayerName name, parse_layer_name(raw));
  BULKHEAD_TRY(count(name));
  std::string hidden;
  BULKHEAD_ASSIGN(const Whiteout whiteout, whiteout_of(name, hidden));
  if (whiteout != Whiteout::none) return {};
  const mode_t type = archive_entry_filetype(entry);
  const char* link = archive_entry_hardlink(entry);
  if (name.leaf.empty()) {
    // The root: 0755 whatever it says, since all that is inside goes through it.
    if (type == S_IFDIR && link == nullptr) return {};
    return fail("unpack", "/", "the root is no directory there");
  }
  BULKHEAD_ASSIGN(const int parent, parent_of(name));
  if (link != nullptr) return add_hard_link(parent, name, link);
  switch (type) {
    case S_IFDIR:
      return add_directory(parent, name, entry);
    case S_IFREG:
      return add_file(parent, name, layer, entry);
    case S_IFLNK: {
      BULKHEAD_ASSIGN(const std::string to, text_of(archive_entry_symlink(entry), "the target of a link"));
      if (to.empty()) return fail("unpack", shown(name), "a link that points nowhere");
      BULKHEAD_TRY(make_room(parent, name));
      if (::symlinkat(to.c_str(), parent, name.leaf.c_str()) != 0) return errno_error("unpack", shown(name));
      const std::array<timespec, 2> times{time_of(entry), time_of(entry)};
      if (::utimensat(parent, name.leaf.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0)
        return errno_error("set time of", shown(name));
      return {};
    }
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
      ++left_out_;
      return make_room(parent, name);
    default:
      return fail("unpack", shown(name), "it is of a kind that is not known");
  }
}

Result<> ImageTree::add_directory(int parent, const LayerName& name, archive_entry* entry) {
  struct stat st{};
  const bool there = ::fstatat(parent, name.leaf.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
  if (!there) {
    BULKHEAD_TRY(make_room(parent, name));
    if (::mkdirat(parent, name.leaf.c_str(), 0700) != 0) return errno_error("unpack", shown(name));
  }
  if (attributes_ == ImageAttributes::user) {
    const Fd directory(::openat(parent, name.leaf.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory.valid()) return errno_error("unpack", shown(name));
    BULKHEAD_TRY(keep_attributes(directory.get(), name, entry));
  }
  BULKHEAD_ASSIGN(const std::string place, place_of(parent, name.leaf));
  ends_[place] = {.mode = archive_entry_perm(entry) & 01777, .time = time_of(entry)};
  return {};
}

Result<> ImageTree::add_file(int parent, const LayerName& name, LayerStream& layer, archive_entry* entry) {
  const auto size = static_cast<std::uint64_t>(std::max<la_int64_t>(archive_entry_size(entry), 0));
  BULKHEAD_TRY(count_bytes(name, size));
  BULKHEAD_TRY(make_room(parent, name));
  const Fd file(::openat(parent, name.leaf.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return errno_error("unpack", shown(name));
  BULKHEAD_TRY(write_data(file.get(), name, layer, size));
  if (attributes_ == ImageAttributes::user) BULKHEAD_TRY(keep_attributes(file.get(), name, entry));
  if (::fchmod(file.get(), archive_entry_perm(entry) & 0777) != 0) return errno_error("set mode of", shown(name));
  const std::array<timespec, 2> times{time_of(entry), time_of(entry)};
  if (::futimens(file.get(), times.data()) != 0) return errno_error("set time of", shown(name));
  return {};
}

Result<> ImageTree::write_data(int file, const LayerName& name, LayerStream& layer, std::uint64_t size) {
  const void* bytes = nullptr;
  std::size_t length = 0;
  la_int64_t offset = 0;
  while (true) {
    const int status = archive_read_data_block(layer.reader(), &bytes, &length, &offset);
    if (status == ARCHIVE_EOF) break;
    if (status != ARCHIVE_OK) return std::unexpected(layer.error("unpack", shown(name)));
    // Parts of a sparse file come with their places.
    if (offset < 0 || static_cast<std::uint64_t>(offset) > size || length > size - static_cast<std::uint64_t>(offset))
      return fail("unpack", shown(name), "its content is longer than it says");
    for (std::size_t done = 0; done < length;) {
      const ssize_t n = ::pwrite(file, static_cast<const char*>(bytes) + done, length - done,
                                 static_cast<off_t>(offset) + static_cast<off_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno_error("unpack", shown(name));
      done += static_cast<std::size_t>(n);
    }
  }
  if (::ftruncate(file, static_cast<off_t>(size)) != 0) return errno_error("set size of", shown(name));
  return {};
}

// user.* alone: security.capability would be of no use without new privileges, and overlay's own words would be
// understood by an overlay.
Result<> ImageTree::keep_attributes(int file, const LayerName& name, archive_entry* entry) {
  archive_entry_xattr_reset(entry);
  const char* key = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  while (archive_entry_xattr_next(entry, &key, &value, &size) == ARCHIVE_OK) {
    const std::string_view text = key == nullptr ? "" : key;
    if (!text.starts_with("user.") || text.starts_with("user.overlay.")) continue;
    BULKHEAD_TRY(count_bytes(name, text.size() + size));
    if (::fsetxattr(file, key, value, size, 0) != 0)
      return errno_error("set attribute " + escaped(text, 100) + " of", shown(name));
  }
  return {};
}

Result<> ImageTree::add_hard_link(int parent, const LayerName& name, const std::string& target) {
  BULKHEAD_ASSIGN(const LayerName to, parse_layer_name(target));
  if (to.leaf.empty()) return fail("unpack", shown(name), "a hard link to the root");
  const auto directory = open_in_root(root_.get(), to.directory(), O_PATH | O_DIRECTORY);
  struct stat at{};
  if (!directory || ::fstatat(directory->get(), to.leaf.c_str(), &at, AT_SYMLINK_NOFOLLOW) != 0)
    return fail("unpack", shown(name), "a hard link to " + shown(to) + ", which is not there");
  if (S_ISDIR(at.st_mode)) return fail("unpack", shown(name), "a hard link to a directory");
  struct stat is{};
  if (::fstatat(parent, name.leaf.c_str(), &is, AT_SYMLINK_NOFOLLOW) == 0 && is.st_ino == at.st_ino) return {};
  BULKHEAD_TRY(make_room(parent, name));
  if (::linkat(directory->get(), to.leaf.c_str(), parent, name.leaf.c_str(), 0) != 0)
    return errno_error("unpack", shown(name));
  return {};
}

Result<int> ImageTree::parent_of(const LayerName& name) {
  std::string path = name.directory();
  if (path == parent_path_) return parent_.get();  // entries of one directory come together
  auto there = open_in_root(root_.get(), path, O_PATH | O_DIRECTORY);
  if (!there && there.error().code == ENOENT) there = make_parents(name);
  if (!there && there.error().code == ENOTDIR)
    return fail("unpack", shown(name), "one of the directories above it is none");
  if (!there) return std::unexpected(there.error());
  parent_ = std::move(*there);
  parent_path_ = std::move(path);
  return parent_.get();
}

// Directories that no entry tells of, as other tools make them too. A link on the way that points nowhere is refused:
// nothing says what it should have been.
Result<Fd> ImageTree::make_parents(const LayerName& name) {
  LayerName so_far;
  Fd directory;
  for (const std::string& part : name.parents) {
    if (!so_far.leaf.empty()) so_far.parents.push_back(so_far.leaf);
    so_far.leaf = part;
    auto next = open_in_root(root_.get(), so_far.path(), O_PATH | O_DIRECTORY);
    if (!next && next.error().code == ENOENT) {
      BULKHEAD_ASSIGN(const Fd above, open_in_root(root_.get(), so_far.directory(), O_PATH | O_DIRECTORY));
      BULKHEAD_TRY(count(so_far));
      if (::mkdirat(above.get(), part.c_str(), 0700) != 0) {
        if (errno == EEXIST)
          return fail("unpack", shown(name), "the link " + shown(so_far) + " above it points nowhere");
        return errno_error("unpack", shown(so_far));
      }
      BULKHEAD_ASSIGN(const std::string place, place_of(above.get(), part));
      ends_[place] = {};
      next = open_in_root(root_.get(), so_far.path(), O_PATH | O_DIRECTORY);
    }
    if (!next) return next;
    directory = std::move(*next);
  }
  return directory;
}

Result<> ImageTree::make_room(int parent, const LayerName& name) {
  struct stat st{};
  if (::fstatat(parent, name.leaf.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return errno_error("unpack", shown(name));
  }
  // What goes may be among the parents of the directory that is remembered. (The caller may still use its descriptor;
  // the next entry looks for its own.)
  if (S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode)) parent_path_.clear();
  if (!S_ISDIR(st.st_mode)) {
    if (::unlinkat(parent, name.leaf.c_str(), 0) != 0) return errno_error("replace", shown(name));
    return {};
  }
  BULKHEAD_ASSIGN(const std::string place, place_of(parent, name.leaf));
  ends_.erase(place);
  ends_.erase(ends_.lower_bound(place + "/"), ends_.lower_bound(place + "0"));  // '0' follows '/'
  return remove_tree("/proc/self/fd/" + std::to_string(parent) + "/" + name.leaf);
}

Result<std::string> ImageTree::place_of(int directory, const std::string& leaf) const {
  BULKHEAD_ASSIGN(const std::string path, path_of(directory));
  if (path == root_path_) return leaf;
  if (!path.starts_with(root_path_ + "/")) return fail("unpack", escaped(path, 300), "it is not in the tree");
  return path.substr(root_path_.size() + 1) + "/" + leaf;
}

Result<> ImageTree::finish() {
  // From below, since a directory's own mode may close it.
  for (auto end = ends_.rbegin(); end != ends_.rend(); ++end) {
    BULKHEAD_ASSIGN(const Fd directory, open_in_root(root_.get(), end->first, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    const std::string shown_place = "'" + escaped(end->first, 300) + "'";
    const std::array<timespec, 2> times{end->second.time, end->second.time};
    if (::futimens(directory.get(), times.data()) != 0) return errno_error("set time of", shown_place);
    if (::fchmod(directory.get(), end->second.mode) != 0) return errno_error("set mode of", shown_place);
  }
  if (::fchmod(root_.get(), 0755) != 0) return errno_error("set mode of", "/");
  // It is used by every later sandbox, so it must not be half there after a power cut.
  if (::syncfs(root_.get()) != 0) return errno_error("sync", "the image's files");
  return {};
}

}  // namespace bulkhead
