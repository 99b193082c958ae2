// Waits for a run: shows its events as they come, passes Ctrl-C on, ends with its report and its exit code.
#pragma once

#include <string>

#include "sandbox/sys/fd.h"
#include "supervisor/cli/exit.h"
#include "supervisor/core/api/client.h"

namespace bulkhead {

enum class Show { lines, report_only };

// Ctrl-C, SIGTERM and SIGHUP as something to poll: blocked in this process (and in what it forks, until that unblocks
// them) while the object lives.
class Interrupts {
 public:
  static Result<Interrupts> open();
  const Fd& fd() const { return fd_; }
  // Takes one; "" when none waits. "interrupted from the keyboard", ...
  std::string take();
  Interrupts(Interrupts&&) noexcept = default;
  Interrupts& operator=(Interrupts&&) = delete;
  ~Interrupts();

 private:
  explicit Interrupts(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// `client` has sent the request of `run`. The first interrupt cancels the run, the second stops waiting for it.
Outcome<int> follow(ControlClient client, const std::string& run, Interrupts interrupts, Show show);

}  // namespace bulkhead
