// What seccomp_data.arch says of this machine's own system calls (seccomp(2)).
#pragma once

#include <linux/audit.h>

#include <cstdint>

namespace bulkhead {

#if defined(__x86_64__)
inline constexpr std::uint32_t kNativeArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
inline constexpr std::uint32_t kNativeArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "add this architecture's audit number"
#endif

}  // namespace bulkhead
