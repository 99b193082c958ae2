// What an observed sandbox's command asks for, as pid 1 hears of it: noted where it must come to nothing. No
// allocation; part of the static init.
#pragma once

#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>

#include "sandbox/init/init_protocol.h"
#include "sandbox/init/path_calls.h"

namespace bulkhead {

const PathCall* path_call(int number);  // nullptr: none

class Observations {
 public:
  // Looks at a call of the listener that waits for its answer. What cannot be read is passed over.
  void note(int listener, const seccomp_notif& notif, const PathCall& call);
  // A call that has no path.
  void note(int listener, const seccomp_notif& notif, InitSeen seen);
  void finish();  // brings the counts up to date

 private:
  struct Row {  // what is to be noted
    InitSeen seen{};
    int error = 0;
    std::uint32_t flags = 0;
    const char* text = nullptr;
    std::size_t length = 0;
  };
  struct Slot {
    std::uint64_t hash = 0;  // 0: free. Two rows with one hash are noted as one
    std::uint32_t at = 0, times = 0;
  };
  static constexpr std::size_t kSlots = 2 * kMostObservations;

  void note_path(int listener, const seccomp_notif& notif, int directory, int path, PathUse use);
  void note_name(int listener, const seccomp_notif& notif, const PathCall& call);
  void judge(int listener, const seccomp_notif& notif, PathUse use, std::uint64_t flags, char* path);
  void add(int listener, const seccomp_notif& notif, const Row& row);
  void write_times(const Slot& slot) const;
  bool append(const InitObservation& head, const char* text);

  std::size_t count_ = 0, missing_ = 0, bytes_ = 0;
  bool full_ = false, missing_full_ = false;
  Slot slots_[kSlots];
};

// Whether somebody in our network namespace listens at `port`: of TCP, else of UDP.
bool listens_inside(bool tcp, std::uint16_t port);
// Whether an abstract socket of this name is there.
bool has_abstract_socket(const char* name, std::size_t length);

}  // namespace bulkhead
