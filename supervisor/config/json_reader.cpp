// A JSON reader of our own: nlohmann's says neither where a value stood nor that a key was there twice.
#include <charconv>
#include <cmath>

#include "sandbox/base/json_node.h"
#include "sandbox/base/text.h"
#include "supervisor/config/document_builder.h"

namespace bulkhead {
namespace {

void append_utf8(std::string& out, std::uint32_t c) {
  const auto byte = [&](std::uint32_t b) { out += static_cast<char>(b); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xc0 | (c >> 6)), byte(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    byte(0xe0 | (c >> 12)), byte(0x80 | ((c >> 6) & 0x3f)), byte(0x80 | (c & 0x3f));
  } else {
    byte(0xf0 | (c >> 18)), byte(0x80 | ((c >> 12) & 0x3f)), byte(0x80 | ((c >> 6) & 0x3f)), byte(0x80 | (c & 0x3f));
  }
}

class JsonReader {
 public:
  JsonReader(std::string_view text, std::string_view file_name, Positions* positions)
      : text_(text), builder_(file_name, positions) {}

  Result<nlohmann::json> read() {
    skip_space();
    BULKHEAD_TRY(builder_.place("", here()));
    BULKHEAD_ASSIGN(auto value, read_value(0));
    skip_space();
    if (at_ != text_.size()) return unexpected_here("the end of the document");
    return value;
  }

 private:
  Position here() const { return {line_, at_ - line_start_ + 1}; }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r'))
      if (text_[at_++] == '\n') ++line_, line_start_ = at_;
  }

  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  std::unexpected<Error> unexpected_here(std::string_view wanted) const {
    std::string got = at_ == text_.size() ? "the end of the file" : "'" + printable(text_.substr(at_, 1), 16) + "'";
    if (at_ < text_.size() && static_cast<unsigned char>(text_[at_]) >= 0x80) got = "a character that is not ASCII";
    return builder_.refuse(here(), "expected " + std::string(wanted) + ", got " + got);
  }

  Result<nlohmann::json> read_value(std::size_t depth) {
    BULKHEAD_TRY(builder_.count(here(), depth));
    switch (peek()) {
      case '{':
        return read_object(depth);
      case '[':
        return read_array(depth);
      case '"': {
        BULKHEAD_ASSIGN(std::string text, read_string());
        return nlohmann::json(std::move(text));
      }
      case 't':
        if (take("true")) return nlohmann::json(true);
        break;
      case 'f':
        if (take("false")) return nlohmann::json(false);
        break;
      case 'n':
        if (take("null")) return nlohmann::json(nullptr);
        break;
      default:
        if (peek() == '-' || (peek() >= '0' && peek() <= '9')) return read_number();
    }
    return unexpected_here("a JSON value");
  }

  Result<nlohmann::json> read_object(std::size_t depth) {
    nlohmann::json object = nlohmann::json::object();
    auto& members = object.get_ref<nlohmann::json::object_t&>();
    const std::size_t outer = pointer_.size();
    ++at_;
    skip_space();
    if (take("}")) return object;
    for (;;) {
      if (peek() != '"')
        return unexpected_here(members.empty() ? "a key in double quotes or '}'" : "a key in double quotes");
      const Position place = here();
      BULKHEAD_ASSIGN(std::string key, read_string());
      pointer_.append("/").append(pointer_token(key));
      BULKHEAD_TRY(builder_.key(pointer_, key, place));
      const auto [member, is_new] = members.try_emplace(std::move(key));
      if (!is_new) return builder_.refuse(place, "the key is there twice");  // with both places in a second reading
      skip_space();
      if (!take(":")) return unexpected_here("':'");
      skip_space();
      BULKHEAD_ASSIGN(member->second, read_value(depth + 1));
      pointer_.resize(outer);
      skip_space();
      if (take("}")) return object;
      if (!take(",")) return unexpected_here("',' or '}'");
      skip_space();
    }
  }

  Result<nlohmann::json> read_array(std::size_t depth) {
    nlohmann::json array = nlohmann::json::array();
    auto& elements = array.get_ref<nlohmann::json::array_t&>();
    const std::size_t outer = pointer_.size();
    ++at_;
    skip_space();
    if (take("]")) return array;
    for (;;) {
      pointer_.append("/").append(std::to_string(elements.size()));
      BULKHEAD_TRY(builder_.place(pointer_, here()));
      BULKHEAD_ASSIGN(elements.emplace_back(), read_value(depth + 1));
      pointer_.resize(outer);
      skip_space();
      if (take("]")) return array;
      if (!take(",")) return unexpected_here("',' or ']'");
      skip_space();
    }
  }

  Result<std::string> read_string() {
    const Position start = here();
    std::string out;
    ++at_;
    for (;;) {
      if (at_ == text_.size() || text_[at_] == '\n') return builder_.refuse(start, "the string has no end on its line");
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '"') return ++at_, out;
      if (c < 0x20) return unexpected_here("no control character in a string; write it as an escape");
      if (c != '\\') {
        std::size_t end = at_ + 1;
        while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' &&
               static_cast<unsigned char>(text_[end]) >= 0x20)
          ++end;
        out += text_.substr(at_, end - at_);
        at_ = end;
        continue;
      }
      BULKHEAD_TRY(read_escape(out));
    }
  }

  Result<> read_escape(std::string& out) {
    static constexpr std::string_view letters = "\"\\/bfnrt";
    static constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    const Position start = here();
    ++at_;
    const char letter = peek();
    if (const std::size_t known = letters.find(letter); letter != '\0' && known != std::string_view::npos) {
      ++at_;
      out += meanings[known];
      return {};
    }
    if (letter != 'u') return builder_.refuse(start, "unknown escape in a string");
    BULKHEAD_ASSIGN(std::uint32_t unit, read_unit(start));
    if (unit >= 0xd800 && unit <= 0xdbff) {
      if (!text_.substr(at_).starts_with("\\u")) return builder_.refuse(start, "half of a surrogate pair");
      ++at_;
      BULKHEAD_ASSIGN(const std::uint32_t low, read_unit(start));
      if (low < 0xdc00 || low > 0xdfff) return builder_.refuse(start, "half of a surrogate pair");
      unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    } else if (unit >= 0xdc00 && unit <= 0xdfff) {
      return builder_.refuse(start, "half of a surrogate pair");
    }
    append_utf8(out, unit);
    return {};
  }

  // "uXXXX"
  Result<std::uint32_t> read_unit(Position start) {
    std::uint32_t unit = 0;
    const std::string_view digits = text_.substr(at_ + 1, 4);
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
    if (digits.size() != 4 || code != std::errc() || end != digits.data() + 4)
      return builder_.refuse(start, "\\u wants four hexadecimal digits");
    at_ += 5;
    return unit;
  }

  std::size_t digits() {
    const std::size_t first = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ - first;
  }

  Result<nlohmann::json> read_number() {
    const Position start = here();
    const std::size_t first = at_;
    const bool negative = take("-");
    const bool zero = peek() == '0';
    if (const std::size_t n = digits(); n == 0 || (zero && n > 1))
      return builder_.refuse(start, "is not a JSON number");
    bool whole = true;
    if (take(".")) {
      whole = false;
      if (digits() == 0) return builder_.refuse(start, "is not a JSON number");
    }
    if (peek() == 'e' || peek() == 'E') {
      whole = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (digits() == 0) return builder_.refuse(start, "is not a JSON number");
    }
    const char* const begin = text_.data() + first;
    const char* const end = text_.data() + at_;
    if (whole) {
      std::uint64_t positive = 0;
      if (!negative && std::from_chars(begin, end, positive).ec == std::errc()) return nlohmann::json(positive);
      std::int64_t any = 0;
      if (negative && std::from_chars(begin, end, any).ec == std::errc()) return nlohmann::json(any);
      return builder_.refuse(start, "the number does not fit into 64 bits");
    }
    double real = 0;
    if (std::from_chars(begin, end, real).ec != std::errc() || !std::isfinite(real))
      return builder_.refuse(start, "the number is out of range");
    return nlohmann::json(real);
  }

  std::string_view text_;
  DocumentBuilder builder_;
  std::string pointer_;  // of what is being read
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  std::size_t line_start_ = 0;
};

}  // namespace

Result<nlohmann::json> read_json(std::string_view text, std::string_view file_name, Positions* positions) {
  if (positions == nullptr)
    if (auto value = JsonReader(text, file_name, nullptr).read()) return value;
  Positions own;
  return JsonReader(text, file_name, positions != nullptr ? positions : &own).read();
}

}  // namespace bulkhead
