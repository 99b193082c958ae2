// Content digests as OCI writes them: "sha256:<64 hexadecimal digits>" (OCI image specification, descriptor.md).
#pragma once

#include <nettle/sha2.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "sandbox/base/result.h"

namespace bulkhead {

bool is_digest(std::string_view text);
// The part after "sha256:"; of a digest only.
inline std::string_view digest_hex(std::string_view digest) { return digest.substr(7); }

class Sha256 {
 public:
  Sha256() { nettle_sha256_init(&context_); }
  void add(const void* bytes, std::size_t size);
  std::string digest();  // once

 private:
  sha256_ctx context_;
};

}  // namespace bulkhead
