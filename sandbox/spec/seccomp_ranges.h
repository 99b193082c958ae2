// The same filter as libseccomp's, about half as long: neighbouring system calls with one verdict become a
// range, and a binary search over the ranges finds it. The kernel loads a filter anew for every sandbox, in time that
// grows with its length.
#pragma once

#include <optional>
#include <vector>

#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead {

// Nothing where the rules of one system call contradict each other, or might: which of them wins is for libseccomp to
// say.
std::optional<std::vector<sock_filter>> compile_ranges(const SeccompProfile& profile);

// libseccomp's action codes, which are the kernel's (seccomp(2), SECCOMP_RET_…).
std::uint32_t seccomp_action_code(std::string_view action, int errno_return);

}  // namespace bulkhead
