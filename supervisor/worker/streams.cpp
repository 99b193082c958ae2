#include "supervisor/worker/streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>

#include "sandbox/base/units.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr std::size_t pack_header = 12;  // "PACK", version, number of objects; big endian

Result<Fd> handed_over(const Stream& stream) {
  int number = -1;
  std::from_chars(stream.data() + 3, stream.data() + stream.size(), number);
  const int fd = ::fcntl(number, F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return errno_error("use descriptor", stream);
  return Fd(fd);
}

}  // namespace

Result<Fd> open_input(const Stream& stream) {
  if (stream.starts_with("fd:")) return handed_over(stream);
  return open_file(stream, O_RDONLY | O_NOFOLLOW);
}

Result<Fd> open_output(const Stream& stream) {
  if (stream.starts_with("fd:")) return handed_over(stream);
  return open_file(stream, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
}

Result<> write_all(int fd, std::string_view text, const std::string& object) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("write", object);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::uint64_t> copy_all(int from, int to) {
  std::uint64_t copied = 0;
  std::string buffer(std::size_t{256} << 10, '\0');
  for (;;) {
    const ssize_t n = ::read(from, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("read", "pack");
    if (n == 0) return copied;
    BULKHEAD_TRY(write_all(to, std::string_view(buffer.data(), static_cast<std::size_t>(n)), "pack"));
    copied += static_cast<std::uint64_t>(n);
  }
}

Result<> PackWriter::write(std::string_view chunk) {
  bytes_ += chunk.size();
  if (bytes_ > limit_) return fail("write", "pack", "it would be larger than " + format_bytes(limit_));
  if (header_.size() < pack_header) header_ += chunk.substr(0, pack_header - header_.size());
  return write_all(fd_, chunk, "pack");
}

Result<std::uint64_t> PackWriter::objects() const {
  if (header_.size() < pack_header || !header_.starts_with("PACK")) return fail("read", "pack", "git wrote no pack");
  std::uint64_t count = 0;
  for (std::size_t i = 8; i < pack_header; ++i) count = (count << 8) | static_cast<unsigned char>(header_[i]);
  return count;
}

}  // namespace bulkhead
