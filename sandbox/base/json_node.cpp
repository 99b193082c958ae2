#include "sandbox/base/json_node.h"

#include <algorithm>

#include "sandbox/base/text.h"

namespace bulkhead {
namespace {

constexpr std::size_t kShown = 80;  // bytes of a value or key that a message repeats

}  // namespace

std::string pointer_token(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

std::string describe(const nlohmann::json& value) {
  using Type = nlohmann::json::value_t;
  switch (value.type()) {
    case Type::null:
      return "nothing (null)";
    case Type::boolean:
      return value.get<bool>() ? "true" : "false";
    case Type::number_integer:
    case Type::number_unsigned:
    case Type::number_float:
      return "number " + value.dump();
    case Type::string:
      return "'" + printable(value.get_ref<const std::string&>(), kShown) + "'";
    case Type::array:
      return "a list";
    case Type::object:
      return "a map";
    case Type::binary:
    case Type::discarded:
      break;
  }
  return "bytes";
}

std::string suggest(std::string_view name, std::span<const std::string> known, std::string_view kind) {
  if (const std::string near = nearest(name, known); !near.empty()) return "did you mean '" + near + "'?";
  return std::string(kind) + " is one of " + one_of(known);
}

std::unexpected<Error> JsonNode::expected(std::string_view what, std::string hint) const {
  return refuse("expected " + std::string(what) + ", got " + describe(*value_), std::move(hint));
}

std::unexpected<Error> JsonNode::refuse(std::string reason, std::string hint) const {
  return fail(std::string(document_), pointer_, std::move(reason), std::move(hint));
}

Result<> JsonNode::object() const {
  if (!value_->is_object()) return expected("a map");
  return {};
}

Result<> JsonNode::object_of(std::span<const std::string> known) const {
  BULKHEAD_TRY(object());
  for (auto member = value_->begin(); member != value_->end(); ++member)
    if (const std::string& key = member.key(); std::ranges::find(known, key) == known.end())
      return find(key)->refuse("unknown key '" + printable(key, kShown) + "'", suggest(key, known, "a key here"));
  return {};
}

std::optional<JsonNode> JsonNode::find(const std::string& key) const {
  const auto member = value_->find(key);
  if (member == value_->end()) return std::nullopt;
  return JsonNode(document_, *member, pointer_ + "/" + pointer_token(key));
}

std::vector<std::pair<std::string, JsonNode>> JsonNode::members() const {
  std::vector<std::pair<std::string, JsonNode>> all;
  for (auto member = value_->begin(); member != value_->end(); ++member)
    all.emplace_back(member.key(), JsonNode(document_, *member, pointer_ + "/" + pointer_token(member.key())));
  return all;
}

Result<std::vector<JsonNode>> JsonNode::elements() const {
  if (!value_->is_array()) return expected("a list");
  std::vector<JsonNode> all;
  for (std::size_t i = 0; i < value_->size(); ++i)
    all.push_back(JsonNode(document_, (*value_)[i], pointer_ + "/" + std::to_string(i)));
  return all;
}

Result<std::string> JsonNode::string() const {
  if (!value_->is_string())
    return expected("a string", value_->is_number() || value_->is_boolean() ? "put it in quotes" : "");
  const auto& text = value_->get_ref<const std::string&>();
  // Every string ends up as a path, a name or an environment entry: C strings that would end early.
  if (text.find('\0') != std::string::npos) return refuse("holds a NUL character");
  return text;
}

Result<std::vector<std::string>> JsonNode::strings() const {
  if (!value_->is_array()) return expected("a list");
  std::vector<std::string> all;
  all.reserve(value_->size());
  for (const nlohmann::json& element : *value_) {
    const auto* const text = element.get_ptr<const std::string*>();
    const bool fine = text != nullptr && text->find('\0') == std::string::npos;
    if (!fine) return std::unexpected((*elements())[all.size()].string().error());  // its place, only now
    all.push_back(*text);
  }
  return all;
}

Result<bool> JsonNode::boolean() const {
  if (!value_->is_boolean()) return expected("true or false");
  return value_->get<bool>();
}

Result<std::uint64_t> JsonNode::integer(std::uint64_t least, std::uint64_t most) const {
  const std::string range = "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  if (!value_->is_number_integer()) return expected(range);
  // A negative number would wrap around on the way to unsigned.
  if (!value_->is_number_unsigned() && value_->get<std::int64_t>() < 0) return expected(range);
  const auto number = value_->get<std::uint64_t>();
  if (number < least || number > most) return expected(range);
  return number;
}

Result<std::string> JsonNode::word(std::span<const std::string> words) const {
  BULKHEAD_ASSIGN(std::string text, string());
  if (std::ranges::find(words, text) != words.end()) return text;
  const std::string near = nearest(text, words);
  return expected(one_of(words), near.empty() ? "" : "did you mean '" + near + "'?");
}

}  // namespace bulkhead
