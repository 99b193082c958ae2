// What bounds the files that a sandbox writes: shared words of the two mechanisms (disk_image.h, disk_quota.h) and of
// Disks, which chooses between them.
#pragma once

#include <cerrno>
#include <compare>
#include <cstdint>
#include <string>

namespace bulkhead {

struct DiskLimits {
  std::uint64_t bytes = 0;
  std::uint64_t inodes = 0;
  auto operator<=>(const DiskLimits&) const = default;
};

// Of one disk, as the kernel counts.
struct DiskUsage {
  std::uint64_t bytes = 0;
  std::uint64_t inodes = 0;
  bool bytes_full = false;  // less is left than an ordinary write needs
  bool inodes_full = false;
  bool operator==(const DiskUsage&) const = default;
};

enum class DiskMechanism {
  quota,  // a directory of the state directory's file system, under a project quota
  image   // a file system of its own in a file, mounted in the launcher's mount namespace only
};

// The code of an error that says that this host bounds no disk, whoever asks and whenever. Any other is of the moment.
inline constexpr int kNoDiskBounds = EOPNOTSUPP;

// Less than this left is full: a file system keeps a few blocks back, and a write that failed left some of its own.
inline std::uint64_t disk_slack(std::uint64_t bytes) {
  constexpr std::uint64_t kMost = 1ULL << 20;
  return bytes / 64 < kMost ? bytes / 64 : kMost;
}

}  // namespace bulkhead
