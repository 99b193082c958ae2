// Reads and writes typed events (see event.h) from the one list of members that each names in fields(). Unknown keys
// are passed over: a newer writer may have added some. A missing key or a wrong type is an error that names it.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/core/journal/event.h"

namespace bulkhead {

inline constexpr std::size_t kMaxEventText = 1024;       // bytes of one free text in a body
inline constexpr std::size_t kMaxEventListBytes = 2048;  // bytes of one list of texts in a body

// At most `limit` bytes as a JSON string, cut at a character, "…" where cut; invalid UTF-8 replaced, since JSON cannot
// hold it.
std::string clip(std::string text, std::size_t limit = kMaxEventText);
// As many of the first items as fit; each clipped.
std::vector<std::string> clip_list(const std::vector<std::string>& items);

// Enumerations are written as words: each has word(E) and an overload of from_word.
template <class E>
concept WordEnum = std::is_enum_v<E> && requires(E value, std::string_view text) {
  { word(value) } -> std::convertible_to<std::string_view>;
  { from_word(text, value) } -> std::same_as<bool>;
};

class BodyWriter {
 public:
  explicit BodyWriter(nlohmann::json& body) : body_(body) {}
  template <class T>
  void operator()(const char* key, const T& value) {
    body_[key] = encode(value);
  }

  // Free text for people, which may come from anywhere: clipped to fit.
  void text(const char* key, const std::string& value) { body_[key] = clip(value); }
  void texts(const char* key, const std::vector<std::string>& value) { body_[key] = clip_list(value); }
  // What an older writer had not: its default is read where it is missing.
  void later(const char* key, const std::string& value, std::size_t limit) { body_[key] = clip(value, limit); }
  template <class T>
  void later(const char* key, const T& value) {
    body_[key] = encode(value);
  }

 private:
  template <class T>
  static nlohmann::json encode(const T& value) {
    if constexpr (WordEnum<T>)
      return std::string(word(value));
    else
      return value;
  }
  template <class T>
  static nlohmann::json encode(const std::optional<T>& value) {
    return value ? encode(*value) : nlohmann::json();
  }
  template <WordEnum E>
  static nlohmann::json encode(const std::vector<E>& values) {
    nlohmann::json list = nlohmann::json::array();
    for (E value : values) list.push_back(encode(value));
    return list;
  }

  nlohmann::json& body_;
};

class BodyReader {
 public:
  explicit BodyReader(const nlohmann::json& body) : body_(body) {
    if (!body_.is_object()) problem_ = "the body is not an object";
  }
  template <class T>
  void operator()(const char* key, T& value) {
    const nlohmann::json* found = find(key);
    if (found == nullptr) return;
    if (!assign(*found, value)) wrong(key);
  }
  template <class T>
  void operator()(const char* key, std::optional<T>& value) {
    const nlohmann::json* found = find(key);
    if (found == nullptr) return;
    value.reset();
    if (found->is_null()) return;
    T inner{};
    if (!assign(*found, inner)) return wrong(key);
    value = std::move(inner);
  }
  void text(const char* key, std::string& value) { (*this)(key, value); }
  void texts(const char* key, std::vector<std::string>& value) { (*this)(key, value); }
  void later(const char* key, std::string& value, std::size_t) { later(key, value); }
  template <class T>
  void later(const char* key, T& value) {
    if (body_.is_object() && body_.contains(key)) (*this)(key, value);
  }
  const std::string& problem() const { return problem_; }  // empty: all is well

 private:
  const nlohmann::json* find(const char* key);
  void wrong(const char* key);
  static bool assign(const nlohmann::json& from, std::string& to);
  static bool assign(const nlohmann::json& from, bool& to);
  static bool assign(const nlohmann::json& from, std::vector<std::string>& to);
  static bool assign_signed(const nlohmann::json& from, std::int64_t low, std::int64_t high, std::int64_t& to);
  static bool assign_unsigned(const nlohmann::json& from, std::uint64_t high, std::uint64_t& to);
  template <class T>
    requires(std::integral<T> || std::is_enum_v<T>)
  static bool assign(const nlohmann::json& from, T& to) {
    if constexpr (WordEnum<T>) {
      return from.is_string() && from_word(from.get_ref<const std::string&>(), to);
    } else if constexpr (std::is_signed_v<T>) {
      std::int64_t number = 0;
      if (!assign_signed(from, std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), number)) return false;
      to = static_cast<T>(number);
      return true;
    } else {
      std::uint64_t number = 0;
      if (!assign_unsigned(from, std::numeric_limits<T>::max(), number)) return false;
      to = static_cast<T>(number);
      return true;
    }
  }
  template <class E>
    requires WordEnum<E>
  static bool assign(const nlohmann::json& from, std::vector<E>& to) {
    if (!from.is_array()) return false;
    to.clear();
    for (const auto& item : from)
      if (!assign(item, to.emplace_back())) return false;
    return true;
  }

  const nlohmann::json& body_;
  std::string problem_;
};

template <class T>
Event make_event(std::string run, std::string agent, unsigned attempt, const T& typed) {
  Event event{
      .run = std::move(run), .agent = std::move(agent), .attempt = attempt, .type = T::type, .version = T::version};
  BodyWriter writer(event.body);
  T::fields(typed, writer);
  return event;
}

// The body as a T; the caller has looked at event.type. A version above T::version is an error.
template <class T>
Result<T> read_event(const Event& event) {
  const std::string object = std::string(T::type) + " (event " + std::to_string(event.seq) + ")";
  if (event.version > T::version)
    return fail("read", object, "version " + std::to_string(event.version) + " is newer than this program knows",
                "use the Bulkhead that wrote this journal, or a newer one");
  T typed;
  BodyReader reader(event.body);
  T::fields(typed, reader);
  if (!reader.problem().empty()) return fail("read", object, reader.problem());
  return typed;
}

}  // namespace bulkhead
