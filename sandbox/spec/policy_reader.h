// From a policy document to a SandboxSpec: the one place that may fill one. Each part of a policy is read by one member
// function, in a file of its own where it is long. Internal to sandbox/spec.
#pragma once

#include <map>
#include <set>
#include <string>

#include "sandbox/base/json_node.h"
#include "sandbox/spec/spec.h"

namespace bulkhead {

class PolicyReader {
 public:
  // Both must outlive the reader.
  PolicyReader(const nlohmann::json& policy, const std::map<std::string, nlohmann::json>& profiles);

  Result<SandboxSpec> read();

 private:
  Result<> read_head();  // version, name, hostname
  Result<> read_allow();
  Result<> read_root();                            // policy_mounts.cpp
  Result<> read_image_root(const JsonNode& root);  // policy_image.cpp
  Result<> read_mounts();                          //
  Result<> read_mount(const std::string& target, const JsonNode& mount);
  Result<> read_bind(MountSpec& spec, const JsonNode& mount);
  Result<> read_tmpfs(MountSpec& spec, const JsonNode& mount);
  Result<> add_mount(MountSpec spec, const JsonNode& at);
  Result<> read_devices();      // policy_environment.cpp
  Result<> read_environment();  //
  Result<> read_limits();       // policy_limits.cpp
  Result<> read_capabilities();
  Result<> read_seccomp();
  Result<> read_tcp();
  Result<> read_require();  // policy_require.cpp

  JsonNode part(const std::string& key) const;  // of the completed document: always there
  Origin origin(const std::string& pointer) const;
  Result<> needs(Loosening loosening, const JsonNode& at, std::string_view what) const;

  const nlohmann::json& given_;     // as written: decides what is "built-in"
  const nlohmann::json completed_;  // with the defaults
  const std::map<std::string, nlohmann::json>& profiles_;
  SandboxSpec spec_;
  std::map<SandboxPath, std::string> mounted_;  // target -> pointer of the part that mounts it
  std::set<std::string> capability_names_;
};

// An absolute host path without "." and "..", as a policy names one. Not resolved: that is the launcher's.
Result<std::string> read_host_path(const JsonNode& node);

// A size, as text with a unit or as a number of bytes (policy_limits.cpp).
Result<std::uint64_t> read_bytes(const JsonNode& node, std::uint64_t least, std::uint64_t most);

}  // namespace bulkhead
