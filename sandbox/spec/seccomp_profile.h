// Seccomp profiles in the OCI runtime specification's format (config-linux.md, "Seccomp"), also as Docker ships them
// (archMap, includes, excludes, minKernel). Parsing is pure; compiling goes through libseccomp and yields plain BPF.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "sandbox/base/result.h"

namespace bulkhead {

struct SeccompCondition {
  unsigned index = 0;  // which argument
  std::uint64_t value = 0;
  std::uint64_t value_two = 0;  // SCMP_CMP_MASKED_EQ: value is the mask, value_two the datum
  std::string op;               // "SCMP_CMP_EQ", ...
  bool operator==(const SeccompCondition&) const = default;
};

struct SeccompRule {
  std::vector<std::string> names;
  std::string action;     // "SCMP_ACT_ALLOW", ...
  int errno_return = -1;  // -1: EPERM
  std::vector<SeccompCondition> conditions;
  bool operator==(const SeccompRule&) const = default;
};

struct SeccompProfile {
  std::string name;
  std::string default_action;
  int default_errno = -1;
  std::vector<SeccompRule> rules;
  bool operator==(const SeccompProfile&) const = default;
};

// A filter as the kernel takes it; no instructions: none is loaded.
struct SeccompProgram {
  std::vector<sock_filter> code;
  bool operator==(const SeccompProgram& other) const;
};

// `capabilities` the sandbox keeps decide Docker's includes/excludes; errors carry a JSON pointer in Error::object.
// Unknown keys, unknown actions and operators are refused; system calls that this libseccomp does not know are passed
// over.
Result<SeccompProfile> parse_seccomp_profile(std::string name, const nlohmann::json& profile,
                                             const std::set<std::string>& capabilities);

// The native program: foreign architectures and x32 are killed. Deterministic for equal profiles.
Result<std::vector<sock_filter>> compile_seccomp(const SeccompProfile& profile);
// By libseccomp alone: for profiles that seccomp_ranges.h leaves to it, and what its result is tested against.
Result<std::vector<sock_filter>> compile_with_libseccomp(const SeccompProfile& profile);

// The profile with more allowed: system calls by name, and named groups of them ("@debug"). Refuses what is neither,
// with the near one as the hint.
Result<SeccompProfile> with_allowed(SeccompProfile profile, const std::vector<std::string>& names);

// The group that holds a call ("@debug"), or nothing.
std::string group_of(std::string_view call);

// The same profile with refusals made visible: what it answers with EPERM it tells to a listener (bulkhead-init), which
// answers EPERM. Left out are calls that the listener itself, and the child before it, cannot do without.
SeccompProfile observed(SeccompProfile profile);

// The program without a listener: what it would be told is answered with EPERM.
std::vector<sock_filter> unobserved(std::vector<sock_filter> program);

std::string system_call_name(int number);  // "unshare"; "call 9999" for one that this libseccomp does not know

// A second, always loaded filter that allows all but TIOCSTI and TIOCLINUX, compared in the low 32 bits
// (CVE-2019-10063).
Result<std::vector<sock_filter>> compile_terminal_guard();

}  // namespace bulkhead
