#include "supervisor/core/journal/blob_store.h"

#include <fcntl.h>
#include <nettle/sha2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "sandbox/base/hex.h"
#include "sandbox/sys/fd.h"
#include "sandbox/sys/files.h"

namespace bulkhead {

namespace {

constexpr std::string_view kTemporary = ".new-";

Result<> write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno_error("write", path);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<> sync_directory(const std::string& path) {
  BULKHEAD_ASSIGN(const Fd directory, open_file(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(directory.get()) != 0) return errno_error("fsync", path);
  return {};
}

Result<> write_blob(const std::string& directory, const std::string& temporary, const std::string& path,
                    std::string_view content, Durability durability) {
  {
    BULKHEAD_ASSIGN(const Fd file, open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
    BULKHEAD_TRY(write_all(file.get(), content, temporary));
    if (durability == Durability::power && ::fsync(file.get()) != 0) return errno_error("fsync", temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error("rename to", path);
  if (durability == Durability::power) BULKHEAD_TRY(sync_directory(directory));
  return {};
}

}  // namespace

BlobId sha256_hex(std::string_view content) {
  sha256_ctx context;
  nettle_sha256_init(&context);
  nettle_sha256_update(&context, content.size(), reinterpret_cast<const std::uint8_t*>(content.data()));
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
  nettle_sha256_digest(&context, digest.size(), digest.data());
  return to_hex(digest);
}

Result<BlobStore> BlobStore::open(std::string directory, JournalMode mode) {
  if (mode == JournalMode::read) return BlobStore(std::move(directory));
  BULKHEAD_TRY(make_directory(directory, 0700));
  BULKHEAD_ASSIGN(const std::vector<std::string> entries, list_directory(directory));
  for (const std::string& entry : entries)
    if (entry.starts_with(kTemporary) && ::unlink((directory + "/" + entry).c_str()) != 0)
      return errno_error("remove", directory + "/" + entry);
  return BlobStore(std::move(directory));
}

std::string BlobStore::path_of(const BlobId& id) const {
  return directory_ + "/" + id.substr(0, 2) + "/" + id.substr(2);
}

bool BlobStore::has(const BlobId& id) const { return is_sha256_hex(id) && exists(path_of(id)); }

Result<BlobId> BlobStore::put(std::string_view content, Durability durability) {
  BlobId id = sha256_hex(content);
  const std::string path = path_of(id);
  const std::string directory = directory_ + "/" + id.substr(0, 2);
  if (exists(path)) {
    // It may have been put process-durably before.
    if (durability == Durability::power) {
      BULKHEAD_ASSIGN(const Fd file, open_file(path, O_RDONLY));
      if (::fsync(file.get()) != 0) return errno_error("fsync", path);
      BULKHEAD_TRY(sync_directory(directory));
      BULKHEAD_TRY(sync_directory(directory_));
    }
    return id;
  }
  BULKHEAD_TRY(make_directory(directory, 0700));
  if (durability == Durability::power) BULKHEAD_TRY(sync_directory(directory_));
  const std::string temporary = directory_ + "/" + std::string(kTemporary) + id;
  Result<> written = write_blob(directory, temporary, path, content, durability);
  if (!written) {
    ::unlink(temporary.c_str());
    return std::unexpected(std::move(written).error());
  }
  return id;
}

Result<std::string> BlobStore::get(const BlobId& id, std::size_t limit) const {
  if (!is_sha256_hex(id)) return fail("read blob", id, "a blob's name is 64 hexadecimal digits");
  BULKHEAD_ASSIGN(std::string content, read_file(path_of(id), limit));
  if (sha256_hex(content) != id)
    return fail("read blob", path_of(id), "its content does not match its name",
                "the file is damaged: restore the state directory from a backup");
  return content;
}

}  // namespace bulkhead
