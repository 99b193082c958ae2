// Content-addressed files beside the journal: blobs/ab/cdef…, named by the SHA-256 of their content. Written once,
// never changed. One writer, any number of readers.
#pragma once

#include <string>
#include <string_view>

#include "sandbox/base/result.h"
#include "supervisor/core/journal/journal.h"

namespace bulkhead {

// 64 lower-case hexadecimal digits.
using BlobId = std::string;
BlobId sha256_hex(std::string_view content);

class BlobStore {
 public:
  // `write` creates the directory (0700) and removes temporary files that a dead writer left.
  static Result<BlobStore> open(std::string directory, JournalMode mode);

  // A blob that is there already is not written again. power: content and directory entry are fsynced on return; put
  // a blob before the event that names it.
  Result<BlobId> put(std::string_view content, Durability durability);
  // The content, checked against its name; at most `limit` bytes.
  Result<std::string> get(const BlobId& id, std::size_t limit = std::size_t{64} << 20) const;
  bool has(const BlobId& id) const;

 private:
  explicit BlobStore(std::string directory) : directory_(std::move(directory)) {}
  std::string path_of(const BlobId& id) const;
  std::string directory_;
};

}  // namespace bulkhead
