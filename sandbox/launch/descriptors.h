// The launcher's room for open files. Whatever it takes on (a sandbox, a client, a workspace) must leave some of it
// free: it could not end a sandbox, hear of an end or take a message without.
#pragma once

#include <sys/resource.h>

#include <string>

#include "sandbox/base/result.h"

namespace bulkhead {

inline constexpr rlim_t kReservedFds = 64;

// Raises our limit to all we may have but the reserve, for good. Where that is too little to share, all of it.
void set_descriptors_aside();

// The reserve may be used while this lives: by what ends something, or lets go of it again at once.
class UseReserve {
 public:
  UseReserve();
  ~UseReserve();
  UseReserve(const UseReserve&) = delete;
  UseReserve& operator=(const UseReserve&) = delete;

 private:
  rlimit before_{};
};

// An error that came of too many open files says how many there are. Others stay as they are.
Error with_descriptors(Error error);

}  // namespace bulkhead
