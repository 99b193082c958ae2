#include <algorithm>
#include <set>

#include "sandbox/base/text.h"
#include "sandbox/spec/device_names.h"
#include "sandbox/spec/policy_reader.h"

namespace bulkhead {
namespace {

constexpr std::size_t kLongestValue = 128 * 1024 - 256;  // execve(2): MAX_ARG_STRLEN is 32 pages, with the name

bool is_variable(std::string_view text) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  return !text.empty() && text.size() <= 200 && (text[0] < '0' || text[0] > '9') &&
         text.find_first_not_of(letters) == std::string_view::npos;
}

}  // namespace

Result<> PolicyReader::read_environment() {
  static const std::vector<std::string> keys{"pass", "set"};
  const JsonNode environment = part("environment");
  BULKHEAD_TRY(environment.object_of(keys));
  BULKHEAD_ASSIGN(const auto passed, environment.find("pass")->elements());
  for (const JsonNode& node : passed) {
    BULKHEAD_ASSIGN(std::string pattern, node.string());
    // A lone "*" would hand over whatever the caller holds, credentials among it.
    const std::string_view stem =
        std::string_view(pattern).substr(0, pattern.size() - (pattern.ends_with('*') ? 1 : 0));
    if (!is_variable(stem)) return node.expected("the name of a variable, or the beginning of one and '*'");
    if (std::ranges::find(spec_.environment_pass_, pattern) != spec_.environment_pass_.end())
      return node.refuse("'" + pattern + "' is there twice");
    spec_.environment_pass_.push_back(std::move(pattern));
  }
  const JsonNode set = *environment.find("set");
  BULKHEAD_TRY(set.object());
  for (const auto& [name, node] : set.members()) {
    if (!is_variable(name)) return node.refuse("'" + printable(name, 80) + "' cannot be the name of a variable");
    if (node.value().is_null()) continue;  // not even the built-in one
    BULKHEAD_ASSIGN(std::string value, node.string());
    if (value.size() > kLongestValue) return node.refuse("is longer than the kernel takes");
    spec_.environment_set_.emplace(name, std::move(value));
  }
  return {};
}

Result<> PolicyReader::read_devices() {
  static const std::vector<std::string> known(kDeviceNames.begin(), kDeviceNames.end());
  BULKHEAD_ASSIGN(const auto nodes, part("devices").elements());
  for (const JsonNode& node : nodes) {
    BULKHEAD_ASSIGN(std::string device, node.word(known));
    if (std::ranges::find(spec_.devices_, device) != spec_.devices_.end())
      return node.refuse("'" + device + "' is there twice");
    spec_.devices_.push_back(std::move(device));
  }
  return {};
}

}  // namespace bulkhead
