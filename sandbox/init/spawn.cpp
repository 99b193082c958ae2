#include "sandbox/init/spawn.h"

#include <sched.h>
#include <signal.h>

namespace bulkhead {
namespace {

alignas(16) char stack[64 * 1024];  // execvp(3) puts paths on it

}  // namespace

pid_t spawn(int (*function)(void*), void* argument) {
  return clone(function, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, argument);
}

}  // namespace bulkhead
