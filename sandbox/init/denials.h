// Refused system calls, as pid 1 hears of them: each is answered with EPERM and noted. seccomp_unotify(2).
// No allocation; part of the static init.
#pragma once

#include "sandbox/init/init_protocol.h"
#include "sandbox/init/learnt_paths.h"

namespace bulkhead {

class Denials {
 public:
  Denials(int listener, int record) : listener_(listener), record_(record) {}
  // Learning: `listener` tells of calls with paths, too, which are noted and let go on.
  void learn(int listener, LearntPaths* paths) {
    listener_ = listener;
    paths_ = paths;
  }
  int listener() const { return listener_; }  // -1: none, or its last caller is gone
  // Answers what waits, a bounded number.
  void answer();
  void finish();  // brings the counts up to date

 private:
  void note(int number, const unsigned long long* arguments, unsigned pid);
  void write_slot(std::size_t slot) const;

  int listener_;
  int record_;
  LearntPaths* paths_ = nullptr;
  std::size_t count_ = 0;
  InitDenial denials_[kMostInitDenials];
};

}  // namespace bulkhead
