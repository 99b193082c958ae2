// How an observed sandbox's command comes under the filter that tells init of what it asks for, and init to the
// listener. No allocation; part of the static init.
#pragma once

#include <linux/filter.h>

namespace bulkhead {

// What the command loads, and the listener's way to us.
struct Learning {
  bool on = false;
  sock_fprog program{};
  // What it says without its listener: refusals are EPERM. Guests load it, who have no listener and shall not see
  // ENOSYS.
  sock_fprog refusals{};
  int ours = -1, theirs = -1;  // a socket pair
};

bool prepare_learning(Learning& learning);

// In the command, just before its program: from the load on init must answer, so it is told of the listener first thing
// and by a call that the filter does not tell of.
bool load_learning(const Learning& learning);

// In init. -1: the command got no further.
int receive_listener(const Learning& learning);

}  // namespace bulkhead
