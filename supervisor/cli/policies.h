// Policies as the verbs need them: found and read as the user, checked, with exit codes.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "sandbox/spec/spec.h"
#include "supervisor/cli/context.h"
#include "supervisor/config/policy_files.h"

namespace bulkhead {

struct CheckedPolicy {
  PolicyFiles files;
  SandboxSpec spec;
};

// Exit 2 with file, line and column where it is wrong.
Outcome<CheckedPolicy> read_policy(const std::string& name_or_path);

}  // namespace bulkhead
