// What a profile says of each system call, in a form that two profiles can be compared by.
#pragma once

#include <map>
#include <string>

#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead {

struct SeccompVerdict {
  enum Kind { refused, conditional, allowed } kind = refused;
  std::string conditions;  // of a conditional one, in an order of their own: equal for equal rules
  bool operator==(const SeccompVerdict&) const = default;
};

// Of every system call that this libseccomp knows. Logged is allowed; told to a tracer or listener, trapped, refused
// and killed are all refused.
std::map<std::string, SeccompVerdict> seccomp_verdicts(const SeccompProfile& profile);

}  // namespace bulkhead
