// Signals as something to poll: blocked in this process while the object lives.
#pragma once

#include <signal.h>

#include <initializer_list>
#include <string>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

class Signals {
 public:
  static Result<Signals> open(std::initializer_list<int> signals);
  int fd() const { return fd_.get(); }
  int take();  // the next one that waits, or 0

  Signals(Signals&&) noexcept = default;
  Signals& operator=(Signals&&) = delete;
  ~Signals();

 private:
  Signals(Fd fd, const sigset_t& before) : fd_(std::move(fd)), before_(before) {}
  Fd fd_;
  sigset_t before_;
};

// "SIGTERM"; "signal 77" for one without a name.
std::string signal_text(int signal);

}  // namespace bulkhead
