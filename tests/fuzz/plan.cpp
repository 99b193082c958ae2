#include "sandbox/plan/plan.h"
#include "tests/fuzz/targets.h"

namespace bulkhead::fuzz {

bool plan(std::string_view input) {
  const auto decoded = decode(input);
  if (!decoded) {
    require(!decoded.error().detail.empty(), "refused without a reason");
    return false;
  }
  require(!decoded->command.argv.empty(), "a plan without a command");
  const std::string encoded = encode(*decoded);
  const auto again = decode(encoded);
  require(again.has_value(), "does not read what it wrote");
  require(again->operations == decoded->operations, "other operations after a round trip");
  require(encode(*again) == encoded, "another plan after a round trip");
  require(render(*decoded).size() >= decoded->operations.size(), "an operation is not shown");
  return true;
}

}  // namespace bulkhead::fuzz
