// Small text helpers. Text from agents is data wherever it is shown: pass it through printable() first.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead {

// Escapes what a terminal or a reader could be fooled by: control characters, ESC, invalid UTF-8, bidirectional and
// zero-width marks become \xNN or \u{NNNN}; at most `limit` bytes of output, "…" where cut. Tabs and newlines escape
// too.
std::string printable(std::string_view untrusted, std::size_t limit = 4096);

// How many bytes of `text` are well-formed UTF-8 (RFC 3629), counted from the front: text.size() when all are.
std::size_t utf8_prefix(std::string_view text);

// The candidate nearest to `word` by edit distance, or "" when none is near enough to be a likely misspelling.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

// "'a', 'b' or 'c'".
std::string one_of(std::span<const std::string> words);

// Always one part more than there are separators: split("", ',') is one empty part.
std::vector<std::string> split(std::string_view text, char separator);

// Quotes for a POSIX shell where needed: for messages that name a command to run next.
std::string shell_quote(std::string_view word);

}  // namespace bulkhead
