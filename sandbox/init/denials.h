// Refused system calls, as pid 1 hears of them: each is answered with EPERM and noted. seccomp_unotify(2).
// No allocation; part of the static init.
#pragma once

#include <linux/seccomp.h>

#include "sandbox/init/init_protocol.h"
#include "sandbox/init/observations.h"

namespace bulkhead {

class Denials {
 public:
  Denials(int listener, int record) : listener_(listener), record_(record) {}
  // Observing: `listener` tells of more calls, which are noted and let go on.
  void observe(int listener, Observations* observations) {
    listener_ = listener;
    observations_ = observations;
  }
  int listener() const { return listener_; }  // -1: none, or its last caller is gone
  // Answers what waits, a bounded number.
  void answer();
  void finish();  // brings the counts up to date

 private:
  bool observe(const seccomp_notif& call);  // whether it goes on
  void note(int number, const unsigned long long* arguments, unsigned pid);
  void write_slot(std::size_t slot) const;

  int listener_;
  int record_;
  Observations* observations_ = nullptr;
  std::size_t count_ = 0;
  InitDenial denials_[kMostInitDenials];
};

}  // namespace bulkhead
