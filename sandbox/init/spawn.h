// Starting a process from pid 1. No allocation; part of the static init.
#pragma once

#include <sys/types.h>

namespace bulkhead {

// As vfork(2), on a stack of its own and by the call that every profile has: `function` shares our memory, and we wait
// until it has executed a program or ended. What it calls before must not be told to our own listener: see the calls
// that observed() leaves out. Whoever stops it on the way stops us: its own sandbox, and killing that works all the
// same.
pid_t spawn(int (*function)(void*), void* argument);

}  // namespace bulkhead
