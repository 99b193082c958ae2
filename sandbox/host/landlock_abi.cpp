#include "sandbox/host/landlock_abi.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace bulkhead::landlock {

int supported_abi() {
  constexpr unsigned kAskForVersion = 1;
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskForVersion);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

}  // namespace bulkhead::landlock
