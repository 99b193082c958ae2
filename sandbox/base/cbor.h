// CBOR (RFC 8949) as our own programs write it to one another: no tags, no indefinite lengths, few levels.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "sandbox/base/result.h"

namespace bulkhead {

// nlohmann's reader descends by recursion, without a bound: a message of nothing but beginnings of lists ends a process
// by its stack. So the shape is looked at first. With `rest`, what follows the item is left there; without, nothing
// may.
Result<nlohmann::json> read_cbor(std::string_view bytes, std::string_view* rest = nullptr);

}  // namespace bulkhead
