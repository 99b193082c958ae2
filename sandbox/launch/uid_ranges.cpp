#include "sandbox/launch/uid_ranges.h"

#include <fcntl.h>

#include <functional>

#include "sandbox/launch/child.h"
#include "sandbox/sys/files.h"

namespace bulkhead {

Result<UidRanges> UidRanges::open(const std::string& lock_file, const std::string& whose) {
  BULKHEAD_TRY(make_directories(lock_file.substr(0, lock_file.rfind('/')), 0755));
  UidRanges ranges;
  BULKHEAD_ASSIGN(ranges.file_, open_file(lock_file, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  BULKHEAD_ASSIGN(ranges.space_, own_uid_space());
  if (ranges.space_.count != 0)
    ranges.next_ = static_cast<std::uint32_t>(std::hash<std::string>{}(whose) % ranges.for_sandboxes());
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

// Where the host's own space is not whole, in a container, none are kept for images.
std::uint32_t UidRanges::for_sandboxes() const {
  const bool whole = space_.first == kRangeFirst && space_.count == kRangeCount && space_.step == kRangeSize;
  return whole ? kRangeCount - kStoreRanges : space_.count;
}

Result<std::uint32_t> UidRanges::acquire(RangeUse use) {
  if (space_.count == 0)
    return fail("acquire uid range", "", "no ids of a sandbox's own are mapped here (/proc/self/uid_map)",
                "give the container 65536 ids more than its own");
  const bool store = use == RangeUse::store;
  const std::uint32_t count = store ? space_.count - for_sandboxes() : for_sandboxes();
  if (count == 0)
    return fail("acquire uid range", "", "images need all of the host's uid space, which a container has not");
  for (std::uint32_t tried = 0; tried < count; ++tried) {
    const std::uint32_t index = store ? for_sandboxes() + tried : (next_ + tried) % count;
    const std::uint32_t base = space_.first + index * space_.step;
    if (held_.contains(base)) continue;
    if (auto locked = lock(index, F_WRLCK); !locked) {
      if (locked.error().code == EAGAIN || locked.error().code == EACCES) continue;
      return std::unexpected(locked.error());
    }
    if (!store) next_ = (index + 1) % count;
    held_.emplace(base, RangeNamespace());
    return base;
  }
  return fail("acquire uid range", "", "all " + std::to_string(count) + " are taken");
}

Result<> UidRanges::adopt(std::uint32_t base) {
  if (held_.contains(base)) return {};
  if (space_.count == 0 || base < space_.first || (base - space_.first) % space_.step != 0 ||
      (base - space_.first) / space_.step >= space_.count)
    return fail("adopt uid range", std::to_string(base), "is not one of ours");
  BULKHEAD_TRY(lock((base - space_.first) / space_.step, F_WRLCK));
  held_.emplace(base, RangeNamespace());
  return {};
}

Result<> UidRanges::release(std::uint32_t base) {
  if (held_.erase(base) == 0) return fail("release uid range", std::to_string(base), "is not held");
  return lock((base - space_.first) / space_.step, F_UNLCK);
}

Result<const RangeNamespace*> UidRanges::user_namespace(std::uint32_t base) {
  const auto held = held_.find(base);
  if (held == held_.end()) return fail("use uid range", std::to_string(base), "is not held; acquire it first");
  if (!held->second.fd.valid()) {
    if (!space_.has_ranges())
      return fail("create user namespace", "", "too few ids are mapped here for a range of 65536 (/proc/self/uid_map)");
    BULKHEAD_ASSIGN(const int proc, proc_.get());
    BULKHEAD_ASSIGN(RangeNamespace made, make_range_namespace(base, proc));
    held->second = {.fd = keep(std::move(made.fd)), .below_errno = made.below_errno};
  }
  return &held->second;
}

}  // namespace bulkhead
