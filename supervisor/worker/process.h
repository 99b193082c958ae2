// Runs one program and waits for it. Arguments are an array, never a shell's line; the environment is exactly what is
// given; no descriptor but the three is inherited.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"

namespace bulkhead {

struct Command {
  std::vector<std::string> argv;  // argv[0] is looked for in /usr/local/bin, /usr/bin and /bin
  std::vector<std::string> environment;
  std::string directory;   // working directory; empty: ours
  int stdin_fd = -1;       // borrowed; -1: `input`
  std::string_view input;  // what the program reads when stdin_fd is -1
  // Takes standard output as it comes; an error stops the program (SIGKILL) and is the result. Without one at most
  // `output_limit` bytes are kept in Finished::output; more is an error.
  std::function<Result<>(std::string_view)> sink = nullptr;
  std::size_t output_limit = 1 << 20;
};

struct Finished {
  int status = 0;  // the exit status, or 128 + the signal that ended it
  int signal = 0;  // that signal
  std::string output;
  std::string errors;  // standard error, its last 8 KiB
};

Result<Finished> run_process(const Command& command);

}  // namespace bulkhead
