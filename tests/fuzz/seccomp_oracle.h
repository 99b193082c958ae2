// Two compilers of one profile, and the verdicts of both.
#pragma once

#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead::fuzz {

// Throws where compile_ranges() and libseccomp disagree on a call near what the profile names.
void compare_compilers(const SeccompProfile& profile);

}  // namespace bulkhead::fuzz
