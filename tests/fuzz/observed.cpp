#include "sandbox/explain/observed.h"

#include "tests/fuzz/targets.h"

namespace bulkhead::fuzz {

bool observed(std::string_view input) {
  const Observed read = parse_observed(input);
  require(read.rows.size() <= kMostObservations, "more rows than init can write");
  for (const Observation& row : read.rows) {
    require(row.path.empty() || row.path.front() == '/', "a path that is not absolute");
    require(row.path.find('\0') == std::string::npos, "a path with an end inside");
    require(row.who.find('\x1b') == std::string::npos, "an escape of the agent's for the terminal");
  }
  return !read.rows.empty();
}

}  // namespace bulkhead::fuzz
