// Reading a JSON document that a person wrote: a value together with where it stands, so that every refusal says where
// and what was expected. Errors: operation = the kind of document ("policy"), object = the JSON pointer.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"

namespace bulkhead {

class JsonNode {
 public:
  // `value` and `document` (a literal such as "policy") must outlive the node and those reached from it.
  JsonNode(std::string_view document, const nlohmann::json& value) : JsonNode(document, value, {}) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& pointer() const { return pointer_; }

  // The refusal of this value: "expected <what>, got <the value>".
  std::unexpected<Error> expected(std::string_view what, std::string hint = {}) const;
  // The refusal of this value for another reason.
  std::unexpected<Error> refuse(std::string reason, std::string hint = {}) const;

  // An object that holds none but `known` keys; a near one is the hint.
  Result<> object_of(std::span<const std::string> known) const;
  Result<> object() const;
  // The value of a key, or nothing; this must be an object.
  std::optional<JsonNode> find(const std::string& key) const;
  // Every member, in the order of keys; every element. This must be an object, a list.
  std::vector<std::pair<std::string, JsonNode>> members() const;
  Result<std::vector<JsonNode>> elements() const;

  Result<std::string> string() const;
  Result<std::vector<std::string>> strings() const;  // of a list
  Result<bool> boolean() const;
  Result<std::uint64_t> integer(std::uint64_t least, std::uint64_t most) const;
  // A string that is one of `words`.
  Result<std::string> word(std::span<const std::string> words) const;

 private:
  JsonNode(std::string_view document, const nlohmann::json& value, std::string pointer)
      : document_(document), value_(&value), pointer_(std::move(pointer)) {}

  std::string_view document_;
  const nlohmann::json* value_;
  std::string pointer_;
};

// A key or index as one reference token of a JSON pointer (RFC 6901): '~' and '/' escaped.
std::string pointer_token(std::string_view key);

// "'text'", "number 3", "true", "null", "a list", "a map": how a message names a value.
std::string describe(const nlohmann::json& value);

// The hint for a name that is not among `known`: the near one, else all of them.
std::string suggest(std::string_view name, std::span<const std::string> known, std::string_view kind);

}  // namespace bulkhead
