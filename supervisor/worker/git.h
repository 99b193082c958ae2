// git, called so that nothing but the arguments decides what it does: no system or user configuration, no hooks, no
// file system monitor, no replace refs or grafts, no transport, no prompt, no HOME.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/worker/process.h"

namespace bulkhead {

class Git {
 public:
  Git();

  // Copies with one thing more; a Git is a value.
  Git with(const std::string& variable, const std::string& value) const;  // an environment variable
  Git without(std::string_view variable) const;
  Git config(std::string_view key, std::string_view value) const;  // -c key=value: stronger than the repository's own
  Git in(std::string directory) const;                             // working directory
  Git git_dir(const std::string& path) const { return with("GIT_DIR", path); }

  struct Io {
    int stdin_fd = -1;
    std::string_view input = {};
    std::function<Result<>(std::string_view)> sink = nullptr;
    std::size_t output_limit = 1 << 20;
  };

  // Whatever its exit status. Only what kept it from running at all is an Error.
  Result<Finished> run(std::vector<std::string> arguments, Io io) const;
  Result<Finished> run(std::vector<std::string> arguments) const { return run(std::move(arguments), Io{}); }

  // Its output; an exit status but 0 is an Error: `operation` on `object`, with what git said as the detail.
  Result<std::string> must(std::string operation, std::string object, std::vector<std::string> arguments, Io io) const;
  Result<std::string> must(std::string operation, std::string object, std::vector<std::string> arguments) const {
    return must(std::move(operation), std::move(object), std::move(arguments), Io{});
  }

  // For commands that answer with 0 (yes) or 1 (no).
  Result<bool> ask(std::string operation, std::string object, std::vector<std::string> arguments) const;

  // One line of output, without its end; empty when git exits with 1 (rev-parse -q, symbolic-ref -q, config --get).
  Result<std::string> line(std::string operation, std::string object, std::vector<std::string> arguments) const;

 private:
  std::vector<std::string> environment_;
  std::vector<std::string> configuration_;
  std::string directory_;
};

// One for each CPU, but no more than fit below the sandbox's limit of processes. git itself knows no bound.
std::string bounded_threads();

// What git said, on one line, without its "fatal: " and "error: ".
std::string git_said(const Finished& finished);

// A failed run as an Error.
std::unexpected<Error> git_error(std::string operation, std::string object, const Finished& finished);

// Calls `take` for each NUL-ended record as chunks come in; the rest is kept for the next chunk.
class Records {
 public:
  explicit Records(std::function<Result<>(std::string_view)> take, char end = '\0', std::size_t longest = 1 << 20)
      : take_(std::move(take)), end_(end), longest_(longest) {}
  Result<> add(std::string_view chunk);
  std::function<Result<>(std::string_view)> sink() {
    return [this](std::string_view chunk) { return add(chunk); };
  }

 private:
  std::function<Result<>(std::string_view)> take_;
  char end_;
  std::size_t longest_;
  std::string rest_;
};

}  // namespace bulkhead
