// A layer as a stream of archive entries: read from its blob, decompressed, hashed on both sides and bounded on the
// way. Its user sees entries before both digests are compared again at the end, by finish(): what was made of them is
// thrown away when that fails. (The blob's digest was checked before, too: see ImageLayout::blob.)
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/image/digest.h"
#include "supervisor/image/layout.h"

namespace bulkhead {

struct FreeArchive {
  void operator()(archive* reader) const { archive_read_free(reader); }
};
using ArchivePtr = std::unique_ptr<archive, FreeArchive>;

// In the C locale, where the library leaves names as the bytes they are: in one of UTF-8 it would compose accents.
class LayerStream {
 public:
  // `blob`: of ImageLayout::blob(), borrowed, read from its beginning. `most_bytes`: of the uncompressed archive.
  static Result<std::unique_ptr<LayerStream>> open(const Fd& blob, const ImageLayer& layer, std::uint64_t most_bytes);

  // The next entry, valid until the following call; nothing at the end.
  Result<archive_entry*> next();
  archive* reader() const { return tar_.get(); }  // for the entry's data
  // What went wrong in reader(), as an Error.
  Error error(const char* operation, const std::string& object) const;
  // Reads what is left and compares the digests.
  Result<> finish();

 private:
  LayerStream(const Fd& blob, const ImageLayer& layer, std::uint64_t most_bytes)
      : blob_(blob), layer_(layer), most_bytes_(most_bytes), buffer_(kBuffer), compressed_(kBuffer) {}
  Result<> start();
  la_ssize_t read_blob(void* into, std::size_t size);  // hashed
  la_ssize_t read_archive(const void** bytes);         // decompressed, hashed and bounded
  Result<la_ssize_t> decompressed(void* into, std::size_t size);

  static constexpr std::size_t kBuffer = std::size_t{256} << 10;
  const Fd& blob_;
  ImageLayer layer_;
  std::uint64_t most_bytes_;
  std::uint64_t bytes_ = 0;
  Sha256 blob_hash_, diff_hash_;
  std::vector<char> buffer_, compressed_;
  Result<> problem_;  // of a callback, which can only say "failed"
  bool ended_ = false;
  ArchivePtr filter_, tar_;  // last: they call back while they are freed
};

}  // namespace bulkhead
