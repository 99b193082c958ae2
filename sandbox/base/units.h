// Quantities as people write them, in integers with their unit in the name. Kubernetes' notation: Ki, Mi, Gi, Ti are
// powers of 1024, k, M, G, T of 1000; "500m" of a CPU is half of one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "sandbox/base/result.h"

namespace bulkhead {

Result<std::uint64_t> parse_bytes(std::string_view text);                 // "4Gi", "100M", "65536"
Result<std::uint32_t> parse_cpu_milli(std::string_view text);             // "2" = 2000, "1.5" = 1500, "500m" = 500
Result<std::chrono::milliseconds> parse_duration(std::string_view text);  // "30m", "1h30m", "250ms", "10s"

std::string format_bytes(std::uint64_t bytes);             // "4Gi", "1.5Mi", "812": for people, rounded to a tenth
std::string format_duration(std::chrono::milliseconds d);  // "1h30m", "4.2s", "250ms": exact
std::string format_cpu(std::uint32_t milli);               // "2", "500m"

}  // namespace bulkhead
