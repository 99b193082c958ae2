#include "supervisor/worker/layer_stream.h"

#include <unistd.h>

#include <cerrno>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "supervisor/worker/escape.h"

namespace bulkhead {
namespace {

std::string words_of(archive* reader) {
  const char* words = archive_error_string(reader);
  return words == nullptr ? "no reason given" : printable(words, 300);
}

}  // namespace

Result<std::unique_ptr<LayerStream>> LayerStream::open(const Fd& blob, const ImageLayer& layer,
                                                       std::uint64_t most_bytes) {
  if (::lseek(blob.get(), 0, SEEK_SET) != 0) return errno_error("seek", layer.blob.digest);
  std::unique_ptr<LayerStream> stream(new LayerStream(blob, layer, most_bytes));
  BULKHEAD_TRY(stream->start());
  return stream;
}

Error LayerStream::error(const char* operation, const std::string& object) const {
  if (!problem_) return problem_.error();
  return {
      .operation = operation, .object = object, .detail = words_of(tar_.get()), .hint = "layer " + layer_.blob.digest};
}

// Two readers, one on the other: the lower one decompresses and knows no archive, so that its output, which the
// configuration's diff_id names, passes through our hands.
Result<> LayerStream::start() {
  if (layer_.compression != LayerCompression::none) {
    filter_.reset(archive_read_new());
    archive* filter = filter_.get();
    const bool gzip = layer_.compression == LayerCompression::gzip;
    bool good = filter != nullptr && archive_read_support_format_raw(filter) == ARCHIVE_OK;
    // WARN: not by the library itself but by a program it would start.
    good = good &&
           (gzip ? archive_read_support_filter_gzip(filter) : archive_read_support_filter_zstd(filter)) == ARCHIVE_OK;
    if (!good) return fail("read layer", layer_.blob.digest, "this libarchive cannot decompress it");
    const auto read = [](archive*, void* self, const void** bytes) {
      auto& stream = *static_cast<LayerStream*>(self);
      *bytes = stream.compressed_.data();
      return stream.read_blob(stream.compressed_.data(), stream.compressed_.size());
    };
    archive_entry* entry = nullptr;
    int status = archive_read_open(filter, this, nullptr, read, nullptr);
    if (status == ARCHIVE_OK) status = archive_read_next_header(filter, &entry);
    if (status == ARCHIVE_EOF) ended_ = true;
    if (status != ARCHIVE_OK && status != ARCHIVE_EOF)
      return problem_ ? fail("decompress", layer_.blob.digest, words_of(filter)) : problem_;
    // A blob that is not what its type says would be passed on as it is.
    const int wanted = gzip ? ARCHIVE_FILTER_GZIP : ARCHIVE_FILTER_ZSTD;
    if (!ended_ && (archive_filter_count(filter) != 2 || archive_filter_code(filter, 0) != wanted))
      return fail("decompress", layer_.blob.digest,
                  std::string("it is not what its type says: ") + (gzip ? "gzip" : "zstd"));
  }
  tar_.reset(archive_read_new());
  const auto read = [](archive*, void* self, const void** bytes) {
    return static_cast<LayerStream*>(self)->read_archive(bytes);
  };
  if (!tar_ || archive_read_support_format_tar(tar_.get()) != ARCHIVE_OK ||
      archive_read_support_format_empty(tar_.get()) != ARCHIVE_OK)
    return fail("read layer", layer_.blob.digest, "this libarchive cannot read tar archives");
  if (archive_read_open(tar_.get(), this, nullptr, read, nullptr) != ARCHIVE_OK)
    return std::unexpected(error("read layer", layer_.blob.digest));
  return {};
}

la_ssize_t LayerStream::read_blob(void* into, std::size_t size) {
  while (true) {
    const ssize_t n = ::read(blob_.get(), into, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      problem_ = errno_error("read layer", layer_.blob.digest);
      return ARCHIVE_FATAL;
    }
    blob_hash_.add(into, static_cast<std::size_t>(n));
    return n;
  }
}

Result<la_ssize_t> LayerStream::decompressed(void* into, std::size_t size) {
  if (ended_) return 0;
  const la_ssize_t n = filter_ ? archive_read_data(filter_.get(), into, size) : read_blob(into, size);
  if (n >= 0) return n;
  if (!problem_) return std::unexpected(problem_.error());
  return fail("decompress", layer_.blob.digest, words_of(filter_.get()));
}

la_ssize_t LayerStream::read_archive(const void** bytes) {
  *bytes = buffer_.data();
  const auto n = decompressed(buffer_.data(), buffer_.size());
  if (!n) {
    problem_ = std::unexpected(n.error());
    return ARCHIVE_FATAL;
  }
  diff_hash_.add(buffer_.data(), static_cast<std::size_t>(*n));
  bytes_ += static_cast<std::uint64_t>(*n);
  if (bytes_ > most_bytes_) {
    problem_ = fail("unpack", "layer " + layer_.blob.digest,
                    "it is larger than " + format_bytes(most_bytes_) + " when it is decompressed",
                    "if that is right, raise the bound in the policy's root with 'size'");
    return ARCHIVE_FATAL;
  }
  return *n;
}

Result<archive_entry*> LayerStream::next() {
  archive_entry* entry = nullptr;
  const int status = archive_read_next_header(tar_.get(), &entry);
  if (!problem_) return std::unexpected(problem_.error());
  if (status == ARCHIVE_EOF) return nullptr;
  // WARN: something of an entry that we do not take anyway, or a name that is taken byte by byte.
  if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return std::unexpected(error("read layer", layer_.blob.digest));
  return entry;
}

Result<> LayerStream::finish() {
  const void* bytes = nullptr;
  la_ssize_t n = 0;
  do n = read_archive(&bytes);  // padding that the archive's reader has left
  while (n > 0);
  if (!problem_) return problem_;
  std::vector<char> rest(kBuffer);
  if (filter_)  // behind the compressed stream
    while ((n = read_blob(rest.data(), rest.size())) > 0) continue;
  if (!problem_) return problem_;
  if (const std::string found = blob_hash_.digest(); found != layer_.blob.digest)
    return fail("check layer", layer_.blob.digest, "it changed while it was read");
  if (const std::string found = diff_hash_.digest(); found != layer_.diff_id)
    return fail("check layer", layer_.blob.digest,
                "unpacked it is " + found + ", but the image's configuration says " + layer_.diff_id,
                "the image is damaged or was tampered with: copy it anew");
  return {};
}

}  // namespace bulkhead
