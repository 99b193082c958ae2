// Content digests as OCI writes them: "sha256:<64 hexadecimal digits>" (OCI image specification, descriptor.md).
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "sandbox/base/result.h"

namespace bulkhead {

bool is_digest(std::string_view text);
// The part after "sha256:"; of a digest only.
inline std::string_view digest_hex(std::string_view digest) { return digest.substr(7); }

class Sha256 {
 public:
  Sha256();
  void add(const void* bytes, std::size_t size);
  std::string digest();  // once

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

}  // namespace bulkhead
