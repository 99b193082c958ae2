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
std::unexpected<Error> refuse_at(std::string_view file, Position position, std::string why, std::string hint = {});

class DocumentBuilder {
 public:
  // `positions` is filled unless it is null.
  DocumentBuilder(std::string_view file_name, Positions* positions) : file_name_(file_name), positions_(positions) {}

  // Counts `nodes` values that begin at `position`, in `depth` maps and lists.
  Result<> count(Position position, std::size_t depth, std::size_t nodes = 1);
  // `pointer` stands there.
  Result<> place(const std::string& pointer, Position position);
  // The key of the member at `pointer` stands there. One that was there before is refused with both places, where they
  // are remembered.
  Result<> key(const std::string& pointer, std::string_view key, Position position);
  std::unexpected<Error> refuse(Position position, std::string why, std::string hint = {}) const;

 private:
  std::string_view file_name_;
  Positions* positions_;
  std::size_t nodes_ = 0;
  std::size_t place_bytes_ = 0;
};

// JSON (RFC 8259). The text is valid UTF-8 without NUL. `positions` may be null, here and below.
Result<nlohmann::json> read_json(std::string_view text, std::string_view file_name, Positions* positions);
// YAML 1.2, core schema.
Result<nlohmann::json> read_yaml(std::string_view text, std::string_view file_name, Positions* positions);

}  // namespace bulkhead
