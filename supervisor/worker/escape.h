// Names that came from a repository, as they may be shown and put into an answer.
#pragma once

#include <string>
#include <string_view>

#include "sandbox/base/text.h"

namespace bulkhead {

// Injective: a backslash doubles, everything else that printable() escapes is \xNN or \u{NNNN}; distinct paths stay
// distinct. Only a path whose escape is longer than `limit` is cut.
inline std::string escaped(std::string_view path, std::size_t limit = 4096) {
  std::string doubled;
  for (char c : path) {
    if (c == '\\') doubled += c;
    doubled += c;
  }
  return printable(doubled, limit);
}

}  // namespace bulkhead
