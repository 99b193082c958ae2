#include "sandbox/launch/image_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr std::size_t kMostFacts = std::size_t{64} << 10;

std::string image_path(const std::string& store, const std::string& key) { return store + "/" + key; }
std::string making_path(const std::string& path) { return path + ".making"; }

Result<> check(const std::string& store, const std::string& key) {
  if (!store.starts_with('/') || store.find("/../") != std::string::npos)
    return fail("use image store", store, "is not an absolute path");
  if (!is_image_key(key)) return fail("use image", key, "is not the key of one");
  return {};
}

// Locked, and still what stands at `path`: it may have been renamed or removed while we came.
Result<Fd> lock_directory(const std::string& path, int how) {
  BULKHEAD_ASSIGN(Fd fd, open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (::flock(fd.get(), how | LOCK_NB) != 0) return errno_error("lock", path, errno == EWOULDBLOCK ? EBUSY : errno);
  struct stat opened{}, there{};
  if (::fstat(fd.get(), &opened) != 0) return errno_error("stat", path);
  if (::lstat(path.c_str(), &there) != 0) return errno_error("stat", path);
  if (opened.st_dev != there.st_dev || opened.st_ino != there.st_ino) return errno_error("lock", path, EBUSY);
  return fd;
}

Result<> sync_directory(const std::string& path) {
  BULKHEAD_ASSIGN(const Fd fd, open_file(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return errno_error("sync", path);
  return {};
}

}  // namespace

bool is_image_key(std::string_view text) {
  if (text.ends_with("-x")) text.remove_suffix(2);
  return text.size() == 64 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<Fd> lock_unused_image(const std::string& directory) { return lock_directory(directory, LOCK_EX); }

Result<std::optional<UnpackedImage>> ImageStore::find(const std::string& store, const std::string& key) {
  BULKHEAD_TRY(check(store, key));
  const std::string path = image_path(store, key);
  if (!used_.contains(path)) {
    auto lock = lock_directory(path, LOCK_SH);
    // Busy: it is being removed.
    if (!lock && (lock.error().code == ENOENT || lock.error().code == EBUSY)) return std::nullopt;
    if (!lock) return std::unexpected(lock.error());
    if (!exists(path + "/ready")) return std::nullopt;
    used_.emplace(path, std::move(*lock));
  }
  BULKHEAD_ASSIGN(std::string facts, read_file(path + "/ready", kMostFacts));
  // Its age is how long nobody has used it.
  if (::utimensat(AT_FDCWD, (path + "/ready").c_str(), nullptr, AT_SYMLINK_NOFOLLOW) != 0)
    return errno_error("set time of", path + "/ready");
  return UnpackedImage{.tree = path + "/tree", .facts = std::move(facts)};
}

Result<std::string> ImageStore::begin(const std::string& store, const std::string& key, std::uint32_t owner) {
  BULKHEAD_TRY(check(store, key));
  if (owner < kRangeFirst + (kRangeCount - kStoreRanges) * kRangeSize)
    return fail("make image", key, "its owner must be of a store's uid range");
  const std::string path = image_path(store, key), making = making_path(path);
  BULKHEAD_TRY(make_directories(store, 0700));
  BULKHEAD_TRY(make_directory(making, 0700));
  BULKHEAD_ASSIGN(Fd lock, lock_directory(making, LOCK_EX));
  if (exists(path + "/ready")) {
    ::rmdir(making.c_str());
    return errno_error("make image", key, EEXIST);
  }
  const std::string tree = making + "/tree";
  if (exists(tree)) {
    // Its worker may still be writing, where a launcher outlived its client: what cannot be removed now is left to
    // whoever cleans up.
    const std::string away = path + "." + std::to_string(::getpid()) + ".removed";
    BULKHEAD_TRY(remove_tree(away));
    if (::rename(tree.c_str(), away.c_str()) != 0) return errno_error("rename", tree);
    (void)remove_tree(away);
  }
  BULKHEAD_TRY(make_directory(tree, 0700));
  if (::lchown(tree.c_str(), owner, owner) != 0) return errno_error("chown", tree);
  making_.insert_or_assign(path, std::move(lock));
  return tree;
}

Result<UnpackedImage> ImageStore::finish(const std::string& store, const std::string& key, const std::string& facts) {
  BULKHEAD_TRY(check(store, key));
  const std::string path = image_path(store, key), making = making_path(path);
  const auto lock = making_.find(path);
  if (lock == making_.end()) return fail("finish image", key, "it is not being made");
  BULKHEAD_TRY(write_file_atomic(making + "/ready", facts));
  if (::rename(making.c_str(), path.c_str()) != 0) return errno_error("rename", making);
  BULKHEAD_TRY(sync_directory(store));
  if (::flock(lock->second.get(), LOCK_SH) != 0) return errno_error("lock", path);
  used_.insert_or_assign(path, std::move(lock->second));
  making_.erase(lock);
  return UnpackedImage{.tree = path + "/tree", .facts = facts};
}

Result<> ImageStore::abandon(const std::string& store, const std::string& key) {
  BULKHEAD_TRY(check(store, key));
  const std::string path = image_path(store, key);
  if (!making_.contains(path)) return {};
  const auto removed = remove_tree(making_path(path));
  making_.erase(path);
  return removed;
}

void ImageStore::abandon_all() { making_.clear(); }

}  // namespace bulkhead
