// Seccomp profiles in the OCI runtime specification's format (config-linux.md, "Seccomp"), also as Docker ships them
// (archMap, includes, excludes, minKernel) and as Podman does (errno, defaultErrno by name). Parsing is pure; compiling
// goes through libseccomp and yields plain BPF.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
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

// What its errors have as Error::operation.
inline constexpr std::string_view kSeccompProfile = "seccomp profile";

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
std::vector<std::string> seccomp_group_names();

// The same profile with refusals made visible: what it answers with EPERM it tells to a listener (bulkhead-init), which
// answers EPERM. Left out are calls that the listener itself, and the child before it, cannot do without.
SeccompProfile observed(SeccompProfile profile);

// For a sandbox that is observed (`--explain`, `policy learn`). Two filters, of which the kernel takes the stricter
// verdict, and of equal ones the later filter's:
//  - `base` is loaded before init, without a listener. It decides: what the profile allows it allows. What observed()
//    would tell it tells nobody, which the kernel answers with ENOSYS; so init, too, is under a whole filter.
//  - `command` is loaded by the command alone, just before it executes its program, with the listener that init holds
//    (a process may have one listener only, hence no other in `base`). It says what `base` says, and tells also of
//    calls that take a path or an address. Init answers those with "continue": that is no decision, since refusing one
//    of them is for `base`, which never leaves it to a listener.
// Told calls that the program of init makes itself would wait for init: so it must not be under `command`.
struct LearningPrograms {
  std::vector<sock_filter> base, command;
};
struct Observing {
  bool terminal = false;  // the guard refuses calls that type into terminals, by told(): its refusals are told too
};
// Without a profile `base` is empty: nothing is refused.
Result<LearningPrograms> compile_learning(const SeccompProfile* profile, const Observing& observing = {});

// Whether a command under the profile can load `command` and pass its listener on.
bool can_be_observed(const SeccompProfile& profile);

// The program with its refusals (EPERM) told to a listener, which is a later filter's; without one the kernel refuses
// them all the same, with ENOSYS.
std::vector<sock_filter> told(std::vector<sock_filter> program);

std::string system_call_name(int number);  // "unshare"; "call 9999" for one that this libseccomp does not know

// A second filter, whatever the profile is. Of terminals: all but TIOCSTI and TIOCLINUX, compared in the low 32 bits
// (CVE-2019-10063). Of limits: a change of RLIMIT_CORE does nothing and is called done. It is 1, the one value with
// which the kernel runs no piped core_pattern; whoever lowers it to 0, meaning well or not, would bring the host's
// handler back.
Result<std::vector<sock_filter>> compile_guard(bool terminal, bool core_limit);

}  // namespace bulkhead
