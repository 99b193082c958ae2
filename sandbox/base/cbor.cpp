#include "sandbox/base/cbor.h"

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace bulkhead {
namespace {

constexpr std::size_t kMostDepth = 32;

// Why the bytes do not begin with one item of that shape; nothing if they do, and then `left` is what follows it.
std::string_view misshapen(std::string_view& left) {
  std::array<std::uint64_t, kMostDepth + 1> awaited{1};  // items still to come, at each level
  std::size_t depth = 0;
  while (true) {
    while (awaited[depth] == 0) {
      if (depth == 0) return {};
      --depth;
    }
    --awaited[depth];
    if (left.empty()) return "ends early";
    const auto first = static_cast<std::uint8_t>(left.front());
    left.remove_prefix(1);
    const unsigned kind = first >> 5, additional = first & 31;
    if (additional > 27) return "has an indefinite length";
    const std::size_t more = additional < 24 ? 0 : std::size_t{1} << (additional - 24);
    if (left.size() < more) return "ends early";
    std::uint64_t number = additional;
    if (more != 0) number = 0;
    for (std::size_t i = 0; i < more; ++i) number = number << 8 | static_cast<std::uint8_t>(left[i]);
    left.remove_prefix(more);
    if (kind == 6) return "has a tag";
    if (kind == 2 || kind == 3) {
      if (number > left.size()) return "ends early";
      left.remove_prefix(number);
    } else if (kind == 4 || kind == 5) {
      if (number > left.size()) return "ends early";  // an item is a byte at least
      if (depth == kMostDepth) return "is too deep";
      awaited[++depth] = kind == 4 ? number : 2 * number;
    }
  }
}

}  // namespace

Result<nlohmann::json> read_cbor(std::string_view bytes, std::string_view* rest) {
  std::string_view left = bytes;
  if (const auto why = misshapen(left); !why.empty()) return fail("read CBOR", {}, std::string(why));
  if (rest == nullptr && !left.empty()) return fail("read CBOR", {}, "something follows it");
  if (rest != nullptr) *rest = left;
  try {
    return nlohmann::json::from_cbor(bytes.substr(0, bytes.size() - left.size()));
  } catch (const nlohmann::json::exception& e) {
    return fail("read CBOR", {}, e.what());
  }
}

}  // namespace bulkhead
