// Columns of text for a terminal, as wide as their widest cell.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

// Columns that printable text takes: its characters, not its bytes.
std::size_t text_width(std::string_view text);
std::string pad(std::string text, std::size_t width);

class Table {
 public:
  explicit Table(std::vector<std::string> header) { row(std::move(header)); }
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  // One line each, after `indent`, columns two spaces apart, nothing at the end of a line.
  std::string text(const std::string& indent) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// A duration as precise as a reader wants it: "250ms", "4.2s", "1h30m".
std::string rounded(std::int64_t milliseconds);
std::string utc(std::int64_t unix_ms);        // "2026-11-20 09:30:27"
std::string utc_clock(std::int64_t unix_ms);  // "09:30:27.120"

}  // namespace bulkhead
