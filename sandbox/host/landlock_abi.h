// Landlock's bits, whatever the kernel headers of the build know: landlock(7), include/uapi/linux/landlock.h.
#pragma once

#include <cstdint>

namespace bulkhead::landlock {

inline constexpr std::uint64_t kExecute = 1ULL << 0, kWriteFile = 1ULL << 1, kReadFile = 1ULL << 2,
                               kReadDir = 1ULL << 3, kRemoveDir = 1ULL << 4, kRemoveFile = 1ULL << 5,
                               kMakeChar = 1ULL << 6, kMakeDir = 1ULL << 7, kMakeReg = 1ULL << 8, kMakeSock = 1ULL << 9,
                               kMakeFifo = 1ULL << 10, kMakeBlock = 1ULL << 11, kMakeSym = 1ULL << 12,
                               kRefer = 1ULL << 13, kTruncate = 1ULL << 14, kIoctlDev = 1ULL << 15,
                               kResolveUnix = 1ULL << 16;  // connect to a socket in a file
inline constexpr std::uint64_t kBindTcp = 1ULL << 0, kConnectTcp = 1ULL << 1;
inline constexpr std::uint64_t kScopeAbstractUnix = 1ULL << 0, kScopeSignal = 1ULL << 1;

// Before this version renames between directories are refused to everybody: unusable for agents.
inline constexpr int kLeastAbi = 2;

constexpr std::uint64_t file_rights(int abi) {
  std::uint64_t rights = (kMakeSym << 1) - 1;
  if (abi >= 2) rights |= kRefer;
  if (abi >= 3) rights |= kTruncate;
  if (abi >= 5) rights |= kIoctlDev;
  if (abi >= 9) rights |= kResolveUnix;
  return rights;
}
constexpr bool knows_tcp(int abi) { return abi >= 4; }
constexpr std::uint64_t scopes(int abi) { return abi >= 6 ? kScopeAbstractUnix | kScopeSignal : 0; }

struct RulesetAttributes {  // struct landlock_ruleset_attr; older kernels take zeros for what they do not know
  std::uint64_t handled_files = 0, handled_net = 0, scoped = 0;
};
struct PathRule {
  std::uint64_t access = 0;
  std::int32_t parent = -1;
} __attribute__((packed));
struct PortRule {
  std::uint64_t access = 0, port = 0;
};
inline constexpr int kPathRule = 1, kPortRule = 2;

// The version the kernel offers; 0 where it has none or it is switched off.
int supported_abi();

}  // namespace bulkhead::landlock
