// Further commands in a living sandbox, as pid 1 starts and reaps them for the launcher: they are born inside, under
// the same filter, limits and identity, so nothing has to be entered from outside. No allocation; part of the static
// init.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstddef>

#include "sandbox/init/init_protocol.h"

namespace bulkhead {

class Guests {
 public:
  void listen(int socket) { socket_ = socket; }
  // To be loaded by each; borrowed.
  void refuse_by(const sock_fprog& filter) { filter_ = &filter; }
  int socket() const { return socket_; }  // -1: nobody asks, or nobody can any more
  // Does what is asked, a bounded number.
  void serve();
  // Tells the launcher, if it was a guest.
  void reaped(pid_t pid, int status);

 private:
  struct Guest {
    pid_t pid = 0;  // 0: free
    unsigned serial = 0;
    int exec_errno = 0;
  };
  void start(const GuestRequest& request, std::size_t bytes, const int (&streams)[3]);
  void tell(unsigned serial, InitOutcome outcome, int value);
  void hang_up();

  int socket_ = -1;
  const sock_fprog* filter_ = nullptr;
  Guest guests_[kMostGuests];
};

}  // namespace bulkhead
