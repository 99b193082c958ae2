#include "supervisor/config/yaml_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace bulkhead {
namespace {

using nlohmann::json;

// Text that no reader of YAML takes for anything but that text: a path, or a word that begins with a letter.
bool plain(std::string_view text) {
  if (text.empty()) return false;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!letter(text.front()) && text.front() != '/') return false;
  for (const char c : text)
    if (!letter(c) && !(c >= '0' && c <= '9') && std::string_view("/._-+").find(c) == std::string_view::npos)
      return false;
  for (const std::string_view word : {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"})
    if (std::ranges::equal(text, word, {}, [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }))
      return false;
  return true;
}

// A JSON string is a double-quoted scalar of YAML.
std::string scalar(const json& value) {
  if (value.is_string() && plain(value.get_ref<const std::string&>())) return value.get<std::string>();
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

bool short_list(const json& value) {
  if (!value.is_array() || value.size() > 8) return false;
  for (const json& element : value)
    if (element.is_structured()) return false;
  return true;
}

void write(const json& value, std::size_t depth, std::string& out);

void write_member(const json& value, std::size_t depth, std::string& out) {
  if (value.is_structured() && !value.empty() && !short_list(value)) {
    out += '\n';
    write(value, depth + 1, out);
  } else if (short_list(value)) {
    out += " [";
    for (std::size_t i = 0; i < value.size(); ++i) out += (i == 0 ? "" : ", ") + scalar(value[i]);
    out += "]\n";
  } else {
    out += " " + scalar(value) + "\n";
  }
}

void write(const json& value, std::size_t depth, std::string& out) {
  const std::string margin(2 * depth, ' ');
  if (value.is_object() && !value.empty())
    for (const auto& [key, member] : value.items()) {
      out += margin + scalar(key) + ":";
      write_member(member, depth, out);
    }
  else if (value.is_array() && !value.empty())
    for (const json& element : value) {
      out += margin + "-";
      write_member(element, depth, out);
    }
  else
    out += margin + scalar(value) + "\n";
}

}  // namespace

std::string to_yaml(const json& value) {
  std::string out;
  write(value, 0, out);
  return out;
}

}  // namespace bulkhead
