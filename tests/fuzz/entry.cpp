// libFuzzer's entry: one program for each target, BULKHEAD_FUZZ_TARGET.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bulkhead::fuzz::BULKHEAD_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
