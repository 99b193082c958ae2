// What the two readers share: places, bounds, duplicate keys. Internal to supervisor/config.
#pragma once

#include <string>
#include <string_view>

#include "supervisor/config/document.h"

namespace bulkhead {

constexpr std::size_t kMostText = 4U << 20;     // bytes of a document
constexpr std::size_t kMostDepth = 64;          // maps and lists in one another
constexpr std::size_t kMostNodes = 100'000;     // values, each use of an alias counted
constexpr std::size_t kLongestKey = 1024;       // bytes
constexpr std::size_t kMostPlaces = 32U << 20;  // bytes of pointers remembered: few deep lists with long keys add up

// "FILE:LINE:COLUMN: why"
std::unexpected<Error> refuse_at(const std::string& file, Position position, std::string why, std::string hint = {});

class DocumentBuilder {
 public:
  explicit DocumentBuilder(Document& document) : document_(document) {}

  // Counts `nodes` values that begin at `position`, in `depth` maps and lists.
  Result<> count(Position position, std::size_t depth, std::size_t nodes = 1);
  // Remembers where `pointer` stands.
  Result<> place(const std::string& pointer, Position position);
  // Remembers a key of the map at `pointer`; one that was there before is refused with both places.
  Result<std::string> key(const std::string& pointer, std::string_view key, Position position);
  std::unexpected<Error> refuse(Position position, std::string why, std::string hint = {}) const;

 private:
  Document& document_;
  std::size_t nodes_ = 0;
  std::size_t place_bytes_ = 0;
};

// JSON (RFC 8259). The text is valid UTF-8 without NUL.
Result<Document> read_json(std::string_view text, std::string file_name);
// YAML 1.2, core schema.
Result<Document> read_yaml(std::string_view text, std::string file_name);

}  // namespace bulkhead
