// Policies and seccomp profiles by name or path. A policy is found, read, patched and checked here; the spec itself
// comes from sandbox/spec, which reads no file.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/spec/spec.h"
#include "supervisor/config/document.h"

namespace bulkhead {

// Where policies are looked for by name: $BULKHEAD_POLICIES (directories, ':' between them), those of the source tree
// when the program runs from a build tree of it, /etc/bulkhead/policies, /usr/share/bulkhead/policies.
std::vector<std::string> default_policy_dirs();

// The file of a policy. A word without '/' and without .json, .yaml or .yml at its end is a name: NAME.json, .yaml or
// .yml in the first of the directories that has it. Anything else is a path.
Result<std::string> find_policy(const std::string& name_or_path, const std::vector<std::string>& policy_dirs);

// A policy as SandboxSpec::from_policy takes it, for who checks it elsewhere.
struct PolicyFiles {
  Document document;                               // the file as it is, for messages with places
  nlohmann::json policy;                           // with its name and the overrides
  std::map<std::string, nlohmann::json> profiles;  // the seccomp profile it names, by that name
  Document profile;                                // that profile's name and text, for messages with places
};

// An error of SandboxSpec::from_policy(), with its place in the file that it is about.
Error located(const PolicyFiles& files, Error error);

// Changes a policy by a merge patch, as read_policy_files() does by its overrides.
void patch_policy(nlohmann::json& policy, nlohmann::json overrides);

// `overrides` is a merge patch (RFC 7396), such as {"limits": {"memory": "1Gi"}}; a mount in it takes the place of the
// whole mount. A profile is a path beside the policy's file ("./mine.json") or a name: seccomp/NAME.json in the
// directory of the policy, else in one of `policy_dirs`.
Result<PolicyFiles> read_policy_files(const std::string& name_or_path, const std::vector<std::string>& policy_dirs,
                                      const nlohmann::json& overrides = nlohmann::json::object());

// The same, checked. Errors name file, line and column.
Result<SandboxSpec> load_policy(const std::string& name_or_path, const std::vector<std::string>& policy_dirs,
                                const nlohmann::json& overrides = nlohmann::json::object());

}  // namespace bulkhead
