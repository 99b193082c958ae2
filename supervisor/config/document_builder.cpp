#include "supervisor/config/document_builder.h"

#include "sandbox/base/text.h"

namespace bulkhead {

std::unexpected<Error> refuse_at(std::string_view file, Position position, std::string why, std::string hint) {
  std::string place(file);
  if (position.line != 0) place += ":" + std::to_string(position.line) + ":" + std::to_string(position.column);
  return fail(std::move(place), {}, std::move(why), std::move(hint));
}

std::unexpected<Error> DocumentBuilder::refuse(Position position, std::string why, std::string hint) const {
  return refuse_at(file_name_, position, std::move(why), std::move(hint));
}

Result<> DocumentBuilder::count(Position position, std::size_t depth, std::size_t nodes) {
  if (depth > kMostDepth) return refuse(position, "is nested more than " + std::to_string(kMostDepth) + " deep");
  nodes_ += nodes;
  if (nodes_ > kMostNodes) return refuse(position, "holds more than " + std::to_string(kMostNodes) + " values");
  return {};
}

Result<> DocumentBuilder::place(const std::string& pointer, Position position) {
  place_bytes_ += pointer.size();
  if (place_bytes_ > kMostPlaces) return refuse(position, "has too many values below long keys");
  if (positions_ != nullptr) positions_->emplace(pointer, position);
  return {};
}

Result<> DocumentBuilder::key(const std::string& pointer, std::string_view key, Position position) {
  if (key.size() > kLongestKey)
    return refuse(position,
                  "the key '" + printable(key, 40) + "' is longer than " + std::to_string(kLongestKey) + " bytes");
  if (positions_ != nullptr)
    if (const auto before = positions_->find(pointer); before != positions_->end())
      return refuse(position, "the key '" + printable(key, 80) + "' is there twice",
                    "the first is at line " + std::to_string(before->second.line) + ", column " +
                        std::to_string(before->second.column));
  return place(pointer, position);
}

}  // namespace bulkhead
