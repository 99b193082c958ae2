#include "sandbox/launch/uid_ranges.h"

#include <fcntl.h>

#include <functional>

#include "sandbox/launch/child.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {
constexpr std::uint32_t kSandboxRanges = kRangeCount - kStoreRanges;
}

Result<UidRanges> UidRanges::open(const std::string& lock_file, const std::string& whose) {
  BULKHEAD_TRY(make_directories(lock_file.substr(0, lock_file.rfind('/')), 0755));
  UidRanges ranges;
  BULKHEAD_ASSIGN(ranges.file_, open_file(lock_file, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  ranges.next_ = static_cast<std::uint32_t>(std::hash<std::string>{}(whose) % kSandboxRanges);
  return ranges;
}

Result<> UidRanges::lock(std::uint32_t index, short type) {
  struct flock wanted{};
  wanted.l_type = type;
  wanted.l_whence = SEEK_SET;
  wanted.l_start = index;
  wanted.l_len = 1;
  // Open file description locks (fcntl(2)): they belong to this descriptor, not to the process.
  if (::fcntl(file_.get(), F_OFD_SETLK, &wanted) != 0) return errno_error("lock uid range", std::to_string(index));
  return {};
}

Result<std::uint32_t> UidRanges::acquire(RangeUse use) {
  const bool store = use == RangeUse::store;
  const std::uint32_t count = store ? kStoreRanges : kSandboxRanges;
  for (std::uint32_t tried = 0; tried < count; ++tried) {
    const std::uint32_t index = store ? kSandboxRanges + tried : (next_ + tried) % count;
    const std::uint32_t base = kRangeFirst + index * kRangeSize;
    if (held_.contains(base)) continue;
    if (auto locked = lock(index, F_WRLCK); !locked) {
      if (locked.error().code == EAGAIN || locked.error().code == EACCES) continue;
      return std::unexpected(locked.error());
    }
    if (!store) next_ = (index + 1) % count;
    held_.emplace(base, Fd());
    return base;
  }
  return fail("acquire uid range", "", "all " + std::to_string(count) + " are taken");
}

Result<> UidRanges::adopt(std::uint32_t base) {
  if (held_.contains(base)) return {};
  if (base < kRangeFirst || (base - kRangeFirst) % kRangeSize != 0 || (base - kRangeFirst) / kRangeSize >= kRangeCount)
    return fail("adopt uid range", std::to_string(base), "is not one of ours");
  BULKHEAD_TRY(lock((base - kRangeFirst) / kRangeSize, F_WRLCK));
  held_.emplace(base, Fd());
  return {};
}

Result<> UidRanges::release(std::uint32_t base) {
  if (held_.erase(base) == 0) return fail("release uid range", std::to_string(base), "is not held");
  return lock((base - kRangeFirst) / kRangeSize, F_UNLCK);
}

Result<int> UidRanges::user_namespace(std::uint32_t base) {
  const auto held = held_.find(base);
  if (held == held_.end()) return fail("use uid range", std::to_string(base), "is not held; acquire it first");
  if (!held->second.valid()) {
    BULKHEAD_ASSIGN(const int proc, proc_.get());
    BULKHEAD_ASSIGN(Fd made, make_range_namespace(base, proc));
    held->second = keep(std::move(made));
  }
  return held->second.get();
}

}  // namespace bulkhead
