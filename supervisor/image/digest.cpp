#include "supervisor/image/digest.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace bulkhead {

bool is_digest(std::string_view text) {
  return text.size() == 7 + 64 && text.starts_with("sha256:") &&
         std::ranges::all_of(text.substr(7), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

void Sha256::add(const void* bytes, std::size_t size) {
  nettle_sha256_update(&context_, size, static_cast<const std::uint8_t*>(bytes));
}

std::string Sha256::digest() {
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> bytes{};
  nettle_sha256_digest(&context_, bytes.size(), bytes.data());
  std::string text = "sha256:";
  for (const unsigned byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace bulkhead
