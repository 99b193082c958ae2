// User namespaces of sandboxes and for id-mapped mounts (user_namespaces(7), mount_setattr(2) MOUNT_ATTR_IDMAP).
#pragma once

#include <sys/types.h>

#include <string>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

inline constexpr std::uint32_t kRangeSize = 65536;
inline constexpr std::uint32_t kRangeFirst = 0x70000000;  // above what systemd and /etc/subuid hand out by default
inline constexpr std::uint32_t kRangeCount = 4096;
inline constexpr std::uint32_t kStoreRanges = 64;  // the last of them: see RangeUse::store
inline constexpr std::uint32_t kInsideUserId = 1000;

// A user namespace that maps 0…65535 to the range at `base`, created under that range's own first uid: what the kernel
// counts per user (inotify instances, further namespaces, …) is then charged to the range, not to root. No user
// namespace can be made below it (user.max_user_namespaces = 0 inside) where /proc/sys can be written, else
// `below_errno` says why not; `proc` is a proc file system to do it through.
struct RangeNamespace {
  Fd fd;
  int below_errno = 0;  // 0: none can be made below it
};
Result<RangeNamespace> make_range_namespace(std::uint32_t base, int proc);

// A proc file system for make_range_namespace(), replaced now and then: in one instance the kernel keeps an entry of
// /proc/sys/user for each user namespace that has looked, all of one name, and looks through all of them the next time.
class ProcInstance {
 public:
  Result<int> get();

 private:
  Fd fd_;
  unsigned uses_ = 0;
};

// For id-mapped mounts: files that belong to `on_disk` appear as belonging to `mapped`; nothing else is mapped.
Result<Fd> make_id_map(std::uint32_t on_disk, std::uint32_t mapped);

}  // namespace bulkhead
