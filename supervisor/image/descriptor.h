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

bool is_index(const std::string& media_type);
bool is_manifest(const std::string& media_type);
// The media type of an image's document, of which it is an index's or a manifest's; `named`: what the descriptor that
// names it says (empty: nothing). One that could be read as either, or that says another type of itself, is refused:
// who checked it elsewhere may have checked the other image in it (CVE-2021-41190; OCI image specification 1.0.2).
Result<std::string> type_of_document(const nlohmann::json& object, const std::string& named);

}  // namespace bulkhead
