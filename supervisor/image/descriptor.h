// Descriptors as they stand in an index or a manifest.
#pragma once

#include <string>
#include <vector>

#include "sandbox/base/json_node.h"
#include "supervisor/image/layout.h"

namespace bulkhead {

Result<Descriptor> read_descriptor(const JsonNode& node);
// The list `key` of an object; at most 1024.
Result<std::vector<Descriptor>> read_descriptors(const char* document, const nlohmann::json& object,
                                                 const std::string& key);

}  // namespace bulkhead
