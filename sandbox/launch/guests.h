// Further commands in living sandboxes (`bulkhead shell`): asked of the sandbox's own init over a socket that both have
// held since its creation, so that nobody can forge the sandbox that is entered (CVE-2022-31214), and nothing of ours
// has to enter it. What init answers is looked at with suspicion: it is a process in the sandbox.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/launch/exit_record.h"
#include "sandbox/launch/sandbox.h"
#include "sandbox/plan/plan.h"

namespace bulkhead {

class Guests {
 public:
  // Returns before it runs: that it could not be started is in its exit record. Fails where `host` is frozen or does
  // not listen, or where the request is too large (kMostGuestBytes).
  Result<> start(const Sandbox& host, const std::string& id, const CommandSpec& command, const Stdio& stdio);
  bool contains(const std::string& id) const { return guests_.contains(id); }
  // Of the process alone, through init. ESRCH: no such guest.
  Result<> signal(const Sandbox& host, const std::string& id, int number) const;
  Result<> kill(const Sandbox& host, const std::string& id, EndReason cause);  // the first cause stays
  const std::string& host_of(const std::string& id) const { return guests_.at(id).host; }

  // What `host`'s init has told; `hung_up` where it will tell no more.
  std::vector<ExitRecord> collect(const Sandbox& host, bool& hung_up);
  // The guests of a sandbox that has ended, or whose init no longer tells.
  std::vector<ExitRecord> end_all(const std::string& host);

 private:
  struct Guest {
    std::string host, program;
    std::uint32_t serial = 0;
    Clock::time_point started;
    std::optional<EndReason> cause;
  };
  static ExitRecord record(const std::string& id, const Guest& guest);
  std::map<std::string, Guest> guests_;
  std::uint32_t serial_ = 0;
};

}  // namespace bulkhead
