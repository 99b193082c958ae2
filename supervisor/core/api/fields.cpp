#include "supervisor/core/api/fields.h"

#include "sandbox/base/text.h"

namespace bulkhead {

Fields::Fields(std::string message, const nlohmann::json& object) : message_(std::move(message)), object_(object) {
  if (!object_.is_object())
    error_ = Error{.operation = "read message", .object = message_, .detail = "it is not a JSON object"};
}

void Fields::wrong(const std::string& key, const std::string& expected) {
  if (!error_)
    error_ = Error{.operation = "read message",
                   .object = message_,
                   .detail = "key '" + printable(key, 80) + "' is not " + expected};
}

const nlohmann::json* Fields::optional(const std::string& key) {
  asked_.insert(key);
  if (!object_.is_object()) return nullptr;
  auto it = object_.find(key);
  return it == object_.end() ? nullptr : &*it;
}

const nlohmann::json* Fields::need(const std::string& key) {
  const nlohmann::json* value = optional(key);
  if (value == nullptr && !error_)
    error_ = Error{.operation = "read message", .object = message_, .detail = "key '" + key + "' is missing"};
  return value;
}

std::string Fields::text(const std::string& key) {
  const nlohmann::json* value = need(key);
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  if (value != nullptr) wrong(key, "text");
  return {};
}

std::vector<std::string> Fields::texts(const std::string& key) {
  std::vector<std::string> out;
  const nlohmann::json* value = need(key);
  if (value == nullptr) return out;
  if (!value->is_array()) {
    wrong(key, "a list of texts");
    return out;
  }
  for (const auto& item : *value)
    if (item.is_string())
      out.push_back(item.get<std::string>());
    else
      wrong(key, "a list of texts");
  return out;
}

std::map<std::string, std::string> Fields::text_map(const std::string& key) {
  std::map<std::string, std::string> out;
  const nlohmann::json* value = need(key);
  if (value == nullptr) return out;
  if (!value->is_object()) {
    wrong(key, "a map of texts");
    return out;
  }
  for (const auto& [name, item] : value->items())
    if (item.is_string())
      out[name] = item.get<std::string>();
    else
      wrong(key, "a map of texts");
  return out;
}

bool Fields::flag(const std::string& key) {
  const nlohmann::json* value = need(key);
  if (value != nullptr && value->is_boolean()) return value->get<bool>();
  if (value != nullptr) wrong(key, "true or false");
  return false;
}

nlohmann::json Fields::object(const std::string& key) {
  const nlohmann::json* value = need(key);
  if (value != nullptr && value->is_object()) return *value;
  if (value != nullptr) wrong(key, "an object");
  return nlohmann::json::object();
}

Result<> Fields::finish() {
  if (!error_)
    for (const auto& [key, value] : object_.items())
      if (!asked_.contains(key)) {
        std::vector<std::string> known(asked_.begin(), asked_.end());
        std::string near = nearest(key, known);
        return fail("read message", message_, "unknown key '" + printable(key, 80) + "'",
                    near.empty() ? "" : "did you mean '" + near + "'?");
      }
  if (error_) return std::unexpected(*error_);
  return {};
}

}  // namespace bulkhead
