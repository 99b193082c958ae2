#include "supervisor/core/report/table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "sandbox/base/units.h"

namespace bulkhead {

namespace {

std::tm broken_down(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000 - (unix_ms % 1000 < 0 ? 1 : 0);
  std::tm out{};
  gmtime_r(&seconds, &out);
  return out;
}

std::string formatted(const std::tm& time, const char* format) {
  std::array<char, 64> buffer{};
  return {buffer.data(), std::strftime(buffer.data(), buffer.size(), format, &time)};
}

}  // namespace

std::size_t text_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string pad(std::string text, std::size_t width) {
  const std::size_t has = text_width(text);
  if (has < width) text.append(width - has, ' ');
  return text;
}

std::string Table::text(const std::string& indent) const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], text_width(row[i]));
    }
  std::string out;
  for (const auto& row : rows_) {
    std::string line = indent;
    for (std::size_t i = 0; i < row.size(); ++i) line += pad(row[i], widths[i]) + "  ";
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string rounded(std::int64_t milliseconds) {
  std::int64_t ms = std::max<std::int64_t>(milliseconds, 0);
  const std::int64_t step = ms < 1'000 ? 1 : ms < 60'000 ? 100 : 1'000;
  return format_duration(std::chrono::milliseconds{(ms + step / 2) / step * step});
}

std::string utc(std::int64_t unix_ms) { return formatted(broken_down(unix_ms), "%Y-%m-%d %H:%M:%S"); }

std::string utc_clock(std::int64_t unix_ms) {
  const std::int64_t ms = (unix_ms % 1000 + 1000) % 1000;
  std::string digits = std::to_string(ms);
  return formatted(broken_down(unix_ms), "%H:%M:%S.") + std::string(3 - digits.size(), '0') + digits;
}

}  // namespace bulkhead
