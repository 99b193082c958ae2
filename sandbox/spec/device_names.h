// The devices that a policy may give, by their names in /dev: null(4), full(4), random(4), tty(4).
#pragma once

#include <array>
#include <string_view>

namespace bulkhead {

inline constexpr std::array<std::string_view, 6> kDeviceNames{"null", "zero", "full", "random", "urandom", "tty"};

}  // namespace bulkhead
