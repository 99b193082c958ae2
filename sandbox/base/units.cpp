#include "sandbox/base/units.h"

#include <array>
#include <limits>
#include <optional>

#include "sandbox/base/text.h"

namespace bulkhead {
namespace {

using Wide = unsigned __int128;  // holds any 64-bit count times any unit below, and the scaled digits of a fraction

// A decimal number "12.5" as value / scale. 2^64-1 has twenty digits; with nine more 128 bits still hold the value.
struct Decimal {
  Wide value = 0;
  Wide scale = 1;
};

constexpr std::size_t kMaxWholeDigits = 20;
constexpr std::size_t kMaxFractionDigits = 9;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes a decimal number off the front of `text`; nothing when there is none or it is unreasonably long.
std::optional<Decimal> take_decimal(std::string_view& text) {
  Decimal number;
  std::size_t at = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) number.value = number.value * 10 + Wide(text[at] - '0');
  if (at == 0 || at > kMaxWholeDigits) return std::nullopt;
  if (at < text.size() && text[at] == '.') {
    const std::size_t first = ++at;
    for (; at < text.size() && is_digit(text[at]); ++at) {
      if (at - first >= kMaxFractionDigits) return std::nullopt;
      number.value = number.value * 10 + Wide(text[at] - '0');
      number.scale *= 10;
    }
    if (at == first) return std::nullopt;
  }
  text.remove_prefix(at);
  return number;
}

// Whether number * unit is past `max`. Asked first, it also keeps the product in whole() inside 128 bits.
bool exceeds(const Decimal& number, std::uint64_t unit, std::uint64_t max) {
  return number.value / number.scale > max / unit || number.value * unit > Wide{max} * number.scale;
}

// number * unit as a whole count, or nothing when a fraction is left.
std::optional<std::uint64_t> whole(const Decimal& number, std::uint64_t unit) {
  const Wide product = number.value * unit;
  if (product % number.scale != 0) return std::nullopt;
  return static_cast<std::uint64_t>(product / number.scale);
}

std::string quoted(std::string_view text) { return "'" + printable(text, 80) + "'"; }

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};

constexpr std::array<Unit, 13> kByteUnits{{{"", 1},
                                           {"Ki", 1ULL << 10},
                                           {"Mi", 1ULL << 20},
                                           {"Gi", 1ULL << 30},
                                           {"Ti", 1ULL << 40},
                                           {"Pi", 1ULL << 50},
                                           {"Ei", 1ULL << 60},
                                           {"k", 1'000},
                                           {"M", 1'000'000},
                                           {"G", 1'000'000'000},
                                           {"T", 1'000'000'000'000},
                                           {"P", 1'000'000'000'000'000},
                                           {"E", 1'000'000'000'000'000'000}}};

constexpr std::array<Unit, 5> kDurationUnits{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

// A century. Long enough for any limit, short enough that adding it to a clock never overflows.
constexpr std::uint64_t kMaxMilliseconds = 36'525ULL * 86'400'000;

// More CPUs than a kernel is built for; also what keeps the quota in microseconds inside 64 bits.
constexpr std::uint64_t kMaxCpuMilli = 1'000'000;

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto refuse = [&](std::string_view why) { return fail("read size", quoted(text), std::string(why)); };
  std::string_view rest = text;
  const auto number = take_decimal(rest);
  if (!number) return refuse("expected a size such as 512Mi or 2Gi");
  for (const Unit& unit : kByteUnits) {
    if (rest != unit.suffix) continue;
    if (exceeds(*number, unit.factor, std::numeric_limits<std::uint64_t>::max()))
      return refuse("is more than 64 bits hold");
    if (const auto bytes = whole(*number, unit.factor)) return *bytes;
    return refuse("is not a whole number of bytes");
  }
  return refuse("expected a size such as 512Mi or 2Gi");
}

Result<std::uint32_t> parse_cpu_milli(std::string_view text) {
  const auto refuse = [&](std::string_view why) { return fail("read CPU share", quoted(text), std::string(why)); };
  std::string_view rest = text;
  const auto number = take_decimal(rest);
  if (!number || (rest != "" && rest != "m")) return refuse("expected a number of CPUs such as 2, 1.5 or 500m");
  const std::uint64_t unit = rest == "m" ? 1 : 1000;
  if (exceeds(*number, unit, kMaxCpuMilli)) return refuse("is more than 1000 CPUs");
  const auto milli = whole(*number, unit);
  if (!milli) return refuse("is finer than a thousandth of a CPU");
  return static_cast<std::uint32_t>(*milli);
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto refuse = [&](std::string_view why) { return fail("read duration", quoted(text), std::string(why)); };
  constexpr std::string_view expected = "expected a duration such as 250ms, 10s, 30m or 1h30m";
  if (text == "0") return std::chrono::milliseconds{0};
  std::string_view rest = text;
  std::uint64_t total = 0;
  std::size_t next_unit =
      0;  // units go from large to small, each at most once: "30m1h" is more likely a slip than meant
  do {
    const auto number = take_decimal(rest);
    if (!number) return refuse(expected);
    std::size_t letters = 0;
    while (letters < rest.size() && !is_digit(rest[letters])) ++letters;
    const std::string_view suffix = rest.substr(0, letters);
    std::size_t at = 0;
    while (at < kDurationUnits.size() && kDurationUnits[at].suffix != suffix) ++at;
    if (at == kDurationUnits.size()) return refuse(expected);
    if (at < next_unit) return refuse("has its units out of order or twice");
    if (exceeds(*number, kDurationUnits[at].factor, kMaxMilliseconds)) return refuse("is more than a century");
    const auto milliseconds = whole(*number, kDurationUnits[at].factor);
    if (!milliseconds) return refuse("is finer than a millisecond");
    if (*milliseconds > kMaxMilliseconds - total) return refuse("is more than a century");
    total += *milliseconds;
    next_unit = at + 1;
    rest.remove_prefix(letters);
  } while (!rest.empty());
  return std::chrono::milliseconds{static_cast<std::int64_t>(total)};
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 7> suffixes{"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  std::size_t power = 0;
  while (power + 1 < suffixes.size() && (bytes >> (10 * (power + 1))) != 0) ++power;
  const auto tenths_of = [&](std::size_t p) {
    const Wide unit = Wide{1} << (10 * p);
    return static_cast<std::uint64_t>((Wide{bytes} * 10 + unit / 2) / unit);
  };
  std::uint64_t tenths = tenths_of(power);
  if (tenths >= 10240 && power + 1 < suffixes.size()) tenths = tenths_of(++power);  // 1023.99Ki reads as 1Mi
  std::string out = std::to_string(tenths / 10);
  if (tenths % 10 != 0) out += "." + std::to_string(tenths % 10);
  return out + std::string(suffixes[power]);
}

std::string format_duration(std::chrono::milliseconds d) {
  const bool negative = d.count() < 0;
  // Negated as unsigned: the smallest 64-bit number has no positive counterpart.
  std::uint64_t left = negative ? 0 - static_cast<std::uint64_t>(d.count()) : static_cast<std::uint64_t>(d.count());
  std::string out = negative ? "-" : "";
  if (left < 1000) return out + (left == 0 ? "0s" : std::to_string(left) + "ms");
  const std::uint64_t hours = left / 3'600'000;
  left %= 3'600'000;
  const std::uint64_t minutes = left / 60'000;
  left %= 60'000;
  if (hours != 0) out += std::to_string(hours) + "h";
  if (minutes != 0) out += std::to_string(minutes) + "m";
  if (left == 0) return out;
  out += std::to_string(left / 1000);
  if (std::uint64_t thousandths = left % 1000; thousandths != 0) {
    std::string digits = std::to_string(1000 + thousandths).substr(1);
    while (digits.back() == '0') digits.pop_back();
    out += "." + digits;
  }
  return out + "s";
}

std::string format_cpu(std::uint32_t milli) {
  return milli % 1000 == 0 ? std::to_string(milli / 1000) : std::to_string(milli) + "m";
}

}  // namespace bulkhead
