#include "sandbox/base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace bulkhead {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Characters that change how their neighbours are shown, or are not shown at all: what "Trojan Source" and invisible
// prompt text are made of. Sorted.
constexpr std::array<Range, 23> kDeceiving{{
    {0x80, 0x9f},        // C1 controls; some terminals take 0x9b for ESC [
    {0xad, 0xad},        // soft hyphen
    {0x34f, 0x34f},      // combining grapheme joiner
    {0x61c, 0x61c},      // Arabic letter mark
    {0x115f, 0x1160},    // Hangul fillers
    {0x17b4, 0x17b5},    // Khmer inherent vowels, invisible
    {0x180b, 0x180f},    // Mongolian selectors and vowel separator
    {0x200b, 0x200f},    // zero-width space, joiners, direction marks
    {0x2028, 0x202e},    // line and paragraph separators, embeddings and overrides
    {0x2060, 0x206f},    // word joiner, invisible operators, isolates
    {0x3164, 0x3164},    // Hangul filler
    {0xfe00, 0xfe0f},    // variation selectors: bytes can be hidden in them
    {0xfeff, 0xfeff},    // byte order mark
    {0xffa0, 0xffa0},    // half-width Hangul filler
    {0xfff0, 0xfffb},    // interlinear annotation
    {0xfffe, 0xffff},    // not characters
    {0x110bd, 0x110bd},  // Kaithi number sign
    {0x13430, 0x1343f},  // Egyptian format controls
    {0x1bca0, 0x1bca3},  // shorthand format controls
    {0x1d173, 0x1d17a},  // musical format controls
    {0x1fffe, 0x1ffff},  // not characters
    {0xe0000, 0xe0fff},  // tags and more variation selectors
    {0x10fffe, 0x10ffff},
}};

bool deceives(char32_t c) {
  const auto* range = std::ranges::lower_bound(kDeceiving, c, {}, &Range::last);
  return range != kDeceiving.end() && c >= range->first;
}

struct Decoded {
  char32_t character = 0;
  std::size_t length = 0;  // 0: not UTF-8
};

// One character of well-formed UTF-8: no overlong forms, no surrogates, nothing past U+10FFFF (RFC 3629).
Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  std::size_t length = 0;
  char32_t character = 0;
  char32_t smallest = 0;
  if ((lead & 0xe0) == 0xc0) {
    length = 2, character = lead & 0x1fU, smallest = 0x80;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3, character = lead & 0x0fU, smallest = 0x800;
  } else if ((lead & 0xf8) == 0xf0) {
    length = 4, character = lead & 0x07U, smallest = 0x10000;
  }
  if (length == 0 || text.size() < length) return {};
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    character = (character << 6) | (byte(i) & 0x3fU);
  }
  if (character < smallest || character > 0x10ffff || (character >= 0xd800 && character <= 0xdfff)) return {};
  return {character, length};
}

std::string hex(std::uint32_t value, std::size_t width) {
  std::string digits;
  for (; value != 0 || digits.size() < width; value >>= 4)
    digits.insert(digits.begin(), "0123456789abcdef"[value & 0xf]);
  return digits;
}

char fold(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '-' ? '_' : c;
}

// Optimal string alignment: insert, delete, replace, swap neighbours. Case and '-' for '_' cost nothing.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> previous(b.size() + 1);
  std::vector<std::size_t> current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) previous[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = previous[j - 1] + (fold(a[i - 1]) == fold(b[j - 1]) ? 0 : 1);
      current[j] = std::min({replace, previous[j] + 1, current[j - 1] + 1});
      if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
        current[j] = std::min(current[j], before[j - 2] + 1);
    }
    std::swap(before, previous);
    std::swap(previous, current);
  }
  return previous[b.size()];
}

bool begins(std::string_view word, std::string_view beginning) {
  return word.size() >= beginning.size() &&
         std::ranges::equal(word.substr(0, beginning.size()), beginning, {}, fold, fold);
}

}  // namespace

std::string printable(std::string_view untrusted, std::size_t limit) {
  static constexpr std::string_view ellipsis = "…";
  std::string out;
  std::size_t cut = 0;  // the longest beginning of whole characters that leaves room for the ellipsis
  while (!untrusted.empty()) {
    const Decoded next = decode(untrusted);
    const auto byte = static_cast<std::uint8_t>(untrusted[0]);
    const std::size_t before = out.size();
    if (next.length == 0 || next.character < 0x20 || next.character == 0x7f)
      out += "\\x" + hex(byte, 2);
    else if (deceives(next.character))
      out += "\\u{" + hex(next.character, 4) + "}";
    else
      out += untrusted.substr(0, next.length);
    if (before + ellipsis.size() <= limit) cut = before;
    if (out.size() > limit) {
      out.resize(cut);
      return limit < ellipsis.size() ? "" : out + std::string(ellipsis);
    }
    untrusted.remove_prefix(std::max<std::size_t>(next.length, 1));
  }
  return out;
}

std::size_t utf8_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Decoded next = decode(text.substr(at));
    if (next.length == 0) break;
    at += next.length;
  }
  return at;
}

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  constexpr std::size_t longest_key = 64;  // the distance costs the product of both lengths, and `word` is untrusted
  if (word.size() > longest_key) return {};
  std::string best;
  std::size_t best_distance = longest_key;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > longest_key) continue;
    const std::size_t longer = std::max(word.size(), candidate.size());
    const std::size_t d = distance(word, candidate);
    const bool likely = d * 3 <= longer || (d == 1 && longer >= 3);
    if (likely && d < best_distance) best = candidate, best_distance = d;
  }
  if (!best.empty() || word.size() < 3) return best;
  for (const std::string& candidate : candidates)  // "mem" for "memory", "env" for "environment"
    if (begins(candidate, word)) return candidate;
  return {};
}

std::string one_of(std::span<const std::string> words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i != 0) out += i + 1 == words.size() ? " or " : ", ";
    out += "'" + words[i] + "'";
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string shell_quote(std::string_view word) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(plain) == std::string_view::npos) return std::string(word);
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'')
      out += "'\\''";
    else
      out += c;
  }
  return out + "'";
}

}  // namespace bulkhead
