// Which uid ranges are taken, on the whole host: byte locks on one file in /run, held by the launcher as long as it
// lives, so that launchers of different state directories never share a range and none is lost when one dies.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "sandbox/base/result.h"
#include "sandbox/launch/uid_space.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

inline constexpr const char* kUidRangesLock = "/run/bulkhead/uid-ranges.lock";  // one on a host

// Which sandboxes a range is for. What a `store` range made stays on disk and is shown to others, which must never be
// of that range: so no other sandbox gets one.
enum class RangeUse { sandbox, store };

class UidRanges {
 public:
  // `whose` (a state directory) decides where the search for a free range begins: two of them seldom want the same one,
  // also while one is not running and its journal names ranges that nobody holds.
  static Result<UidRanges> open(const std::string& lock_file, const std::string& whose = {});
  Result<std::uint32_t> acquire(RangeUse use = RangeUse::sandbox);  // the first uid of a free range
  Result<> adopt(std::uint32_t base);  // a range named before; EAGAIN when another launcher has it
  Result<> release(std::uint32_t base);
  // The range's user namespace, made at first use; valid until the range is released.
  Result<const RangeNamespace*> user_namespace(std::uint32_t base);

 private:
  Result<> lock(std::uint32_t index, short type);
  std::uint32_t for_sandboxes() const;  // how many, from the first on
  Fd file_;
  ProcInstance proc_;
  UidSpace space_;
  std::map<std::uint32_t, RangeNamespace> held_;  // base -> user namespace, unset until used
  std::uint32_t next_ = 0;
};

}  // namespace bulkhead
