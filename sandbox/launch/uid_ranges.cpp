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
    ranges.next_ = static_cast<std::uint32_t>(std::hash<std::string>{}(whose) % ranges.space_.count);
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

Result<std::uint32_t> UidRanges::acquire() {
  if (space_.count == 0)
    return fail("acquire uid range", "", "no ids of a sandbox's own are mapped here (/proc/self/uid_map)",
                "give the container 65536 ids more than its own");
  for (std::uint32_t tried = 0; tried < space_.count; ++tried) {
    const std::uint32_t index = (next_ + tried) % space_.count;
    const std::uint32_t base = space_.first + index * space_.step;
    if (held_.contains(base)) continue;
    if (auto locked = lock(index, F_WRLCK); !locked) {
      if (locked.error().code == EAGAIN || locked.error().code == EACCES) continue;
      return std::unexpected(locked.error());
    }
    next_ = (index + 1) % space_.count;
    held_.emplace(base, RangeNamespace());
    return base;
  }
  return fail("acquire uid range", "", "all " + std::to_string(space_.count) + " are taken");
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
