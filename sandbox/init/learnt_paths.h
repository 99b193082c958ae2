// The paths that a learning sandbox's command looks for, as pid 1 hears of them: noted where they are not there or not
// to be changed. No allocation; part of the static init.
#pragma once

#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>

#include "sandbox/init/init_protocol.h"
#include "sandbox/init/path_calls.h"

namespace bulkhead {

inline constexpr std::size_t kProcPathBytes = 48;
// "/proc/PID" and `rest`, which is short.
void proc_path(char (&path)[kProcPathBytes], unsigned pid, const char* rest);

const PathCall* path_call(int number);  // nullptr: none

class LearntPaths {
 public:
  // Reads the path of a call from the caller's memory, looks whether it is there, and notes it. What cannot be read is
  // passed over.
  void note(const PathCall& call, const seccomp_data& data, unsigned pid);

 private:
  static constexpr std::size_t kSlots = 2 * kMostLearntPaths;
  void add(char letter, const char* path);

  std::size_t count_ = 0, bytes_ = 0;
  bool full_ = false;
  std::uint64_t seen_[kSlots] = {};  // hashes; 0: free. Two paths with one hash are noted as one
};

}  // namespace bulkhead
