// JSON as YAML that a person may go on writing. What is written reads back as the same value.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace bulkhead {

std::string to_yaml(const nlohmann::json& value);

}  // namespace bulkhead
