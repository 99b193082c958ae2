// The way to bulkheadd: a live one at STATE/control.sock, else a new `bulkheadd --once`.
//
// Only root may connect or start one, and nothing may be started before the input is known to be right, which is read
// as the invoking user. So open() forks a helper that stays root and waits; the caller drops to the user, reads,
// checks, and then asks the helper for a connected socket. The helper reads two bytes from us and nothing else ("go",
// "done with it"), and ends with us.
#pragma once

#include <string>

#include "sandbox/sys/fd.h"
#include "supervisor/cli/exit.h"
#include "supervisor/core/api/client.h"
#include "supervisor/core/workspaces/state_paths.h"

namespace bulkhead {

enum class WhenNoDaemon { start_one, refuse };

class DaemonDoor {
 public:
  // Needs root. `program` is bulkheadd's path. Forks: call it while single-threaded.
  static Result<DaemonDoor> open(const StatePaths& state, const std::string& program, WhenNoDaemon when);
  // Once. Blocks until the daemon serves, or says why it does not.
  Outcome<ControlClient> connect();

  DaemonDoor(DaemonDoor&&) noexcept = default;
  DaemonDoor& operator=(DaemonDoor&&) = delete;
  // Waits for the helper, and that for a daemon it started which has no run left. Close the connection before.
  ~DaemonDoor();

 private:
  DaemonDoor(Fd socket, pid_t helper) : socket_(std::move(socket)), helper_(helper) {}
  Fd socket_;
  pid_t helper_;
  bool connected_ = false;
};

// Makes the state directory (0700, root's) where it is missing; refuses one that is not root's alone.
Result<> prepare_state_directory(const std::string& path);

}  // namespace bulkhead
