// Packs come and go by `Stream`: a path inside the sandbox or a descriptor that was handed over ("fd:N").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"
#include "supervisor/core/workspaces/worker_protocol.h"

namespace bulkhead {

Result<Fd> open_input(const Stream& stream);
Result<Fd> open_output(const Stream& stream);  // created 0600 or truncated; a descriptor is written where it stands

// Takes a pack as it is written, bounds it and counts its objects by its header (gitformat-pack(5)).
class PackWriter {
 public:
  PackWriter(int fd, std::uint64_t limit) : fd_(fd), limit_(limit) {}
  Result<> write(std::string_view chunk);
  std::uint64_t bytes() const { return bytes_; }
  Result<std::uint64_t> objects() const;

 private:
  int fd_;
  std::uint64_t limit_;
  std::uint64_t bytes_ = 0;
  std::string header_;
};

Result<> write_all(int fd, std::string_view text, const std::string& object);
Result<std::uint64_t> copy_all(int from, int to);  // to the end of `from`; how much

}  // namespace bulkhead
