#include "supervisor/image/digest.h"

#include <array>
#include <cstdint>

#include "sandbox/base/hex.h"

namespace bulkhead {

bool is_digest(std::string_view text) { return text.starts_with("sha256:") && is_sha256_hex(text.substr(7)); }

void Sha256::add(const void* bytes, std::size_t size) {
  nettle_sha256_update(&context_, size, static_cast<const std::uint8_t*>(bytes));
}

std::string Sha256::digest() {
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> bytes{};
  nettle_sha256_digest(&context_, bytes.size(), bytes.data());
  return "sha256:" + to_hex(bytes);
}

}  // namespace bulkhead
