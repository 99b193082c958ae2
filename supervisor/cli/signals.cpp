#include "supervisor/cli/signals.h"

#include <sys/signalfd.h>

#include <cstring>

namespace bulkhead {

Result<Signals> Signals::open(std::initializer_list<int> signals) {
  sigset_t set, before;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  if (::sigprocmask(SIG_BLOCK, &set, &before) != 0) return errno_error("block signals");
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return errno_error("make signalfd");
  return Signals(std::move(fd), before);
}

int Signals::take() {
  signalfd_siginfo info{};
  return ::read(fd_.get(), &info, sizeof info) == sizeof info ? static_cast<int>(info.ssi_signo) : 0;
}

Signals::~Signals() {
  if (fd_.valid()) ::sigprocmask(SIG_SETMASK, &before_, nullptr);  // else moved from
}

std::string signal_text(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

}  // namespace bulkhead
