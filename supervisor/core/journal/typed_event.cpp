#include "supervisor/core/journal/typed_event.h"

namespace bulkhead {

namespace {

// nlohmann's serializer replaces what is not UTF-8; going through it is the shortest way to text that JSON can hold.
std::string valid_utf8(const std::string& text) {
  const std::string dumped = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(dumped).get<std::string>();
}

constexpr std::string_view kCut = "…";

// Bytes of one byte of UTF-8 inside a JSON string: control characters grow sixfold.
std::size_t json_bytes(char c) {
  if (c == '"' || c == '\\' || c == '\n' || c == '\t' || c == '\r' || c == '\b' || c == '\f') return 2;
  return static_cast<unsigned char>(c) < 0x20 ? 6 : 1;
}

}  // namespace

std::string clip(std::string text, std::size_t limit) {
  // Bound the work first: an agent may have had a hand in how long this is.
  bool cut = text.size() > limit;
  if (cut) text.resize(limit);
  text = valid_utf8(text);
  std::size_t bytes = 0;
  std::size_t keep = 0;  // what leaves room for the mark
  for (std::size_t i = 0; i < text.size(); ++i) {
    bytes += json_bytes(text[i]);
    if (bytes + kCut.size() <= limit) keep = i + 1;
    if (bytes > limit) cut = true;
  }
  if (!cut) return text;
  while (keep > 0 && keep < text.size() && (static_cast<unsigned char>(text[keep]) & 0xC0) == 0x80) --keep;
  text.resize(keep);
  return text.append(kCut);
}

std::vector<std::string> clip_list(const std::vector<std::string>& items) {
  constexpr std::size_t kItem = 512;
  constexpr std::size_t kAround = 3;  // quotes and comma
  std::vector<std::string> kept;
  std::size_t bytes = 0;
  for (const std::string& item : items) {
    std::string text = clip(item, kItem);
    bytes += kAround;
    for (char c : text) bytes += json_bytes(c);
    if (bytes > kMaxEventListBytes) break;
    kept.push_back(std::move(text));
  }
  return kept;
}

const nlohmann::json* BodyReader::find(const char* key) {
  if (!problem_.empty()) return nullptr;
  auto found = body_.find(key);
  if (found != body_.end()) return &*found;
  problem_ = "'" + std::string(key) + "' is missing";
  return nullptr;
}

void BodyReader::wrong(const char* key) { problem_ = "'" + std::string(key) + "' has a wrong type or value"; }

bool BodyReader::assign(const nlohmann::json& from, std::string& to) {
  if (!from.is_string()) return false;
  to = from.get_ref<const std::string&>();
  return true;
}

bool BodyReader::assign(const nlohmann::json& from, bool& to) {
  if (!from.is_boolean()) return false;
  to = from.get<bool>();
  return true;
}

bool BodyReader::assign(const nlohmann::json& from, std::vector<std::string>& to) {
  if (!from.is_array()) return false;
  to.clear();
  for (const auto& item : from)
    if (!assign(item, to.emplace_back())) return false;
  return true;
}

bool BodyReader::assign_signed(const nlohmann::json& from, std::int64_t low, std::int64_t high, std::int64_t& to) {
  if (!from.is_number_integer()) return false;
  if (from.is_number_unsigned() && from.get<std::uint64_t>() > static_cast<std::uint64_t>(high)) return false;
  to = from.get<std::int64_t>();
  return to >= low && to <= high;
}

bool BodyReader::assign_unsigned(const nlohmann::json& from, std::uint64_t high, std::uint64_t& to) {
  if (!from.is_number_integer()) return false;
  // A number made in the program rather than parsed is signed even when it is not negative.
  if (!from.is_number_unsigned() && from.get<std::int64_t>() < 0) return false;
  to = from.get<std::uint64_t>();
  return to <= high;
}

}  // namespace bulkhead
