#include "sandbox/launch/image_store.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "sandbox/base/hex.h"
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
Result<> lock(const Fd& fd, const std::string& path, int how) {
  if (::flock(fd.get(), how | LOCK_NB) != 0) return errno_error("lock", path, errno == EWOULDBLOCK ? EBUSY : errno);
  struct stat opened{}, there{};
  if (::fstat(fd.get(), &opened) != 0) return errno_error("stat", path);
  if (::lstat(path.c_str(), &there) != 0) return errno_error("stat", path);
  if (opened.st_dev != there.st_dev || opened.st_ino != there.st_ino) return errno_error("lock", path, EBUSY);
  return {};
}

Result<Fd> lock_directory(const std::string& path, int how) {
  BULKHEAD_ASSIGN(Fd fd, open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BULKHEAD_TRY(lock(fd, path, how));
  return fd;
}

// EBUSY as well when another gives it its final name between our steps.
Result<Fd> lock_making(const std::string& making) {
  if (::mkdir(making.c_str(), 0700) != 0 && errno != EEXIST) return errno_error("create directory", making);
  auto fd = lock_directory(making, LOCK_EX);
  if (!fd && fd.error().code == ENOENT) return errno_error("lock", making, EBUSY);
  return fd;
}

// Under a free name for what is on its way out, which is returned.
Result<std::string> put_away(const std::string& path) {
  constexpr unsigned most = 1000;
  for (unsigned n = 1; n <= most; ++n) {
    const std::string away = path + "." + std::to_string(n) + ".removed";
    if (::renameat2(AT_FDCWD, making_path(path).c_str(), AT_FDCWD, away.c_str(), RENAME_NOREPLACE) == 0) return away;
    if (errno != EEXIST) return errno_error("rename", making_path(path));
  }
  return fail("rename", making_path(path), "there are " + std::to_string(most) + " such on their way out",
              "remove them with: sudo bulkhead clean");
}

// Of an image whose tree has been emptied.
Result<> remove_emptied(const std::string& directory) {
  const std::string tree = directory + "/tree";
  if (::rmdir(tree.c_str()) != 0 && errno != ENOENT) return errno_error("remove", tree);
  for (const char* file : {"/ready", "/ready.new"})
    if (::unlink((directory + file).c_str()) != 0 && errno != ENOENT) return errno_error("remove", directory + file);
  if (::rmdir(directory.c_str()) != 0) return errno_error("remove", directory);
  return {};
}

Result<> sync_directory(const std::string& path) {
  BULKHEAD_ASSIGN(const Fd fd, open_file(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return errno_error("sync", path);
  return {};
}

}  // namespace

bool is_image_key(std::string_view text) {
  if (text.ends_with("-x")) text.remove_suffix(2);
  return is_sha256_hex(text);
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

Result<BegunImage> ImageStore::begin(const std::string& store, const std::string& key, std::uint32_t owner) {
  BULKHEAD_TRY(check(store, key));
  if (owner < kRangeFirst + (kRangeCount - kStoreRanges) * kRangeSize)
    return fail("make image", key, "its owner must be of a store's uid range");
  const std::string path = image_path(store, key), making = making_path(path), tree = making + "/tree";
  BULKHEAD_TRY(make_directories(store, 0700));
  BULKHEAD_ASSIGN(Fd lock, lock_making(making));
  if (exists(path + "/ready")) {
    ::rmdir(making.c_str());
    return errno_error("make image", key, EEXIST);
  }
  Fd old;
  BegunImage begun{.tree = tree, .left = {}};
  if (struct stat st{}; ::rmdir(tree.c_str()) != 0 && ::lstat(tree.c_str(), &st) == 0) {
    // Its worker may still be writing, where a launcher outlived its client: under the other name that hurts nobody.
    BULKHEAD_ASSIGN(const std::string away, put_away(path));
    if (st.st_uid == owner) begun.left = away + "/tree";
    old = std::exchange(lock, Fd());
    BULKHEAD_ASSIGN(lock, lock_making(making));
  }
  BULKHEAD_TRY(make_directory(tree, 0700));
  if (::lchown(tree.c_str(), owner, owner) != 0) return errno_error("chown", tree);
  making_.insert_or_assign(path, std::move(lock));
  if (!begun.left.empty()) removing_.insert_or_assign(begun.left, std::move(old));
  return begun;
}

Result<UnpackedImage> ImageStore::finish(const std::string& store, const std::string& key, const std::string& facts) {
  BULKHEAD_TRY(check(store, key));
  const std::string path = image_path(store, key), making = making_path(path);
  const auto made = making_.extract(path);
  if (made.empty()) return fail("finish image", key, "it is not being made");
  Fd held = std::move(made.mapped());
  BULKHEAD_TRY(write_file_atomic(making + "/ready", facts));
  if (::rename(making.c_str(), path.c_str()) != 0) return errno_error("rename", making);
  BULKHEAD_TRY(sync_directory(store));
  // flock(2) gives the one lock up before it takes the other: somebody may remove the image between the two.
  BULKHEAD_TRY(lock(held, path, LOCK_SH));
  used_.insert_or_assign(path, std::move(held));
  return UnpackedImage{.tree = path + "/tree", .facts = facts};
}

Result<std::string> ImageStore::abandon(const std::string& store, const std::string& key) {
  BULKHEAD_TRY(check(store, key));
  const std::string path = image_path(store, key), making = making_path(path);
  Fd held;
  if (auto made = making_.extract(path); !made.empty()) {
    held = std::move(made.mapped());
  } else {
    auto free = lock_directory(making, LOCK_EX);
    if (!free && (free.error().code == ENOENT || free.error().code == EBUSY)) return std::string();  // not ours
    if (!free) return std::unexpected(free.error());
    held = std::move(*free);
  }
  if (remove_emptied(making)) return std::string();  // nothing was made
  BULKHEAD_ASSIGN(const std::string away, put_away(path));
  return removing_.insert_or_assign(away + "/tree", std::move(held)).first->first;
}

Result<> ImageStore::discard(const std::string& tree) {
  const auto removing = removing_.extract(tree);
  if (removing.empty()) return fail("remove image", tree, "it is not being removed");
  return remove_emptied(tree.substr(0, tree.rfind('/')));
}

void ImageStore::abandon_all() {
  making_.clear();
  removing_.clear();
}

}  // namespace bulkhead
