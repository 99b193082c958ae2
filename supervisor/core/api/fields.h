// Reads one JSON object strictly: every key is asked for, has the type that is asked for, and nothing is left over.
// Errors name the message and the key. The first error sticks; finish() hands it out.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sandbox/base/result.h"

namespace bulkhead {

class Fields {
 public:
  Fields(std::string message, const nlohmann::json& object);

  std::string text(const std::string& key);
  std::vector<std::string> texts(const std::string& key);
  std::map<std::string, std::string> text_map(const std::string& key);
  bool flag(const std::string& key);
  nlohmann::json object(const std::string& key);
  const nlohmann::json* optional(const std::string& key);  // nullptr when absent

  template <std::integral T>
  T number(const std::string& key) {
    const nlohmann::json* value = need(key);
    if (value == nullptr) return T{};
    std::optional<T> out = as_number<T>(*value);
    if (!out)
      wrong(key, "a whole number from " + std::to_string(std::numeric_limits<T>::min()) + " to " +
                     std::to_string(std::numeric_limits<T>::max()));
    return out.value_or(T{});
  }
  template <std::integral T>
  std::vector<T> numbers(const std::string& key) {
    std::vector<T> out;
    const nlohmann::json* value = need(key);
    if (value == nullptr) return out;
    if (!value->is_array())
      wrong(key, "a list of whole numbers");
    else
      for (const auto& item : *value) {
        std::optional<T> number = as_number<T>(item);
        if (!number) wrong(key, "a list of whole numbers");
        out.push_back(number.value_or(T{}));
      }
    return out;
  }

  void wrong(const std::string& key, const std::string& expected);  // records what a caller found
  Result<> finish();                                                // also refuses keys that nobody asked for

 private:
  template <std::integral T>
  static std::optional<T> as_number(const nlohmann::json& value) {
    if (value.is_number_unsigned()) {
      auto number = value.get<std::uint64_t>();
      if (number <= static_cast<std::uint64_t>(std::numeric_limits<T>::max())) return static_cast<T>(number);
    } else if (value.is_number_integer()) {
      auto number = value.get<std::int64_t>();  // negative, else it would be unsigned
      if constexpr (std::signed_integral<T>)
        if (number >= std::numeric_limits<T>::min() && number <= std::numeric_limits<T>::max())
          return static_cast<T>(number);
    }
    return std::nullopt;
  }
  const nlohmann::json* need(const std::string& key);

  std::string message_;
  const nlohmann::json& object_;
  std::set<std::string> asked_;
  std::optional<Error> error_;
};

}  // namespace bulkhead
