// Files that people write: YAML 1.2 (core schema) or JSON, read into one JSON model that can say where everything
// stood.
//
// Refused, never guessed: duplicate keys, tabs as indentation, several documents in a file, merge keys, application
// tags, keys that are not text, numbers that JSON cannot hold, documents that are too large or too deep. Aliases are
// taken in, within a bound on what they add up to.
#pragma once

#include <cstddef>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sandbox/base/result.h"

namespace bulkhead {

struct Position {
  std::size_t line = 0;    // from 1; 0: unknown
  std::size_t column = 0;  // from 1, in bytes
  bool operator==(const Position&) const = default;
};

// JSON pointer -> where it stands: a member at its key, an element at its value, the document ("") at its beginning.
// What an alias stands for has no place of its own.
using Positions = std::unordered_map<std::string, Position>;

struct Document {
  std::string file_name;  // as messages name it
  nlohmann::json value;
  std::string text;  // what was read
};

// `text` is JSON where it reads as such, else YAML; a file named *.json is JSON only. Errors read "FILE:LINE:COLUMN:
// why".
Result<Document> read_document(std::string text, std::string file_name);

// The same of a regular file.
Result<Document> read_document_file(const std::string& path);

// Reads the text once more, since only messages need it: remembering every place takes longer than reading.
Positions positions(const Document& document);

// Replaces ${VAR} and ${VAR:-default} in every string value, never in keys. "$${" stands for "${"; every other "$" is
// left alone, since commands for a shell are full of them. `environment` is given by the caller: nothing is read from
// the process. A variable that is not set and has no default is an error.
Result<> expand_variables(Document& document, const std::map<std::string, std::string>& environment);

// An error whose object is a JSON pointer into the document, with the place in front:
// "file.yaml:12:5: /limits/memory: expected ...". Walks up to the nearest pointer that is known.
Error located(const Document& document, Error error);

// The same as text, with the hint on a line of its own.
std::string locate(const Document& document, const Error& error);

}  // namespace bulkhead
