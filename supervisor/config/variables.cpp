#include <string>

#include "sandbox/base/json_node.h"
#include "sandbox/base/text.h"
#include "supervisor/config/document.h"

namespace bulkhead {
namespace {

constexpr std::size_t kLongestString = 1U << 20;  // of an expanded one

struct Variable {
  std::string name;
  std::string fallback;
  bool has_fallback = false;
  std::size_t length = 0;  // of "${...}" in the text; 0: not a variable of ours
};

// At "${": NAME} or NAME:-default}. Anything else is a shell's and none of our business.
Variable variable_at(std::string_view text) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  constexpr std::size_t start = 2;
  std::size_t at = start;
  while (at < text.size() && letters.find(text[at]) != std::string_view::npos) ++at;
  if (at == start || at == text.size() || (text[start] >= '0' && text[start] <= '9')) return {};
  Variable variable{.name = std::string(text.substr(start, at - start)), .fallback = {}};
  if (text[at] == '}') {
    variable.length = at + 1;
  } else if (text.substr(at).starts_with(":-")) {
    const std::size_t end = text.find('}', at);
    if (end == std::string_view::npos) return {};
    variable.fallback = std::string(text.substr(at + 2, end - at - 2));
    variable.has_fallback = true;
    variable.length = end + 1;
  }
  return variable;
}

class Expander {
 public:
  explicit Expander(const std::map<std::string, std::string>& environment) : environment_(environment) {}

  Result<> expand(nlohmann::json& value, const std::string& pointer) const {
    if (value.is_string()) {
      BULKHEAD_ASSIGN(value, expanded(value.get_ref<const std::string&>(), pointer));
    } else if (value.is_array()) {
      for (std::size_t i = 0; i < value.size(); ++i) BULKHEAD_TRY(expand(value[i], pointer + "/" + std::to_string(i)));
    } else if (value.is_object()) {
      for (auto& [key, member] : value.items()) BULKHEAD_TRY(expand(member, pointer + "/" + pointer_token(key)));
    }
    return {};
  }

 private:
  Result<std::string> expanded(std::string_view text, const std::string& pointer) const {
    std::string out;
    while (!text.empty()) {
      const std::size_t dollar = text.find('$');
      out += text.substr(0, dollar);
      if (dollar == std::string_view::npos) break;
      text.remove_prefix(dollar);
      if (text.starts_with("$${")) {
        out += "${";
        text.remove_prefix(3);
        continue;
      }
      const Variable variable = text.starts_with("${") ? variable_at(text) : Variable{};
      if (variable.length == 0) {
        out += '$';
        text.remove_prefix(1);
        continue;
      }
      BULKHEAD_ASSIGN(const std::string value, value_of(variable, pointer));
      out += value;
      text.remove_prefix(variable.length);
      if (out.size() > kLongestString) return fail("expand", pointer, "is longer than 1Mi with its variables expanded");
    }
    return out;
  }

  // As in a shell, ":-" also stands in for a variable that is set to nothing.
  Result<std::string> value_of(const Variable& variable, const std::string& pointer) const {
    const auto known = environment_.find(variable.name);
    if (known == environment_.end() && !variable.has_fallback)
      return fail("expand", pointer, "the variable '" + printable(variable.name, 80) + "' is not set",
                  "set it, give a default with ${" + variable.name + ":-...}, or write $${" + variable.name +
                      "} to leave it to a shell");
    const std::string& value = known == environment_.end() || (known->second.empty() && variable.has_fallback)
                                   ? variable.fallback
                                   : known->second;
    // An environment holds bytes, a document text.
    if (utf8_prefix(value) != value.size())
      return fail("expand", pointer, "the variable '" + printable(variable.name, 80) + "' is not UTF-8");
    return value;
  }

  const std::map<std::string, std::string>& environment_;
};

}  // namespace

Result<> expand_variables(Document& document, const std::map<std::string, std::string>& environment) {
  auto result = Expander(environment).expand(document.value, "");
  if (!result) return std::unexpected(located(document, std::move(result).error()));
  return {};
}

}  // namespace bulkhead
