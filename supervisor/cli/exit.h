// How `bulkhead` ends. Documented in README and --help: scripts depend on these numbers.
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "sandbox/base/result.h"

namespace bulkhead {

enum class ExitCode : int {
  done = 0,
  task_failed = 1,
  bad_input = 2,
  host_lacks = 3,
  budget = 4,
  fault = 5,
  person_needed = 6,
  conflict = 7,
};

struct Failure {
  Error error;
  int code = static_cast<int>(ExitCode::fault);
};

// A value, or what to tell the person and with which status to end.
template <class T = void>
using Outcome = std::expected<T, Failure>;

inline std::unexpected<Failure> failure(ExitCode code, Error error) {
  return std::unexpected(Failure{std::move(error), static_cast<int>(code)});
}

// Gives an error of a layer below the exit code that it means here.
template <class T>
Outcome<T> or_exit(ExitCode code, Result<T> result) {
  if (!result) return failure(code, std::move(result).error());
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return *std::move(result);
}

// "bulkhead: <what failed>" and, where there is one, "  next: <what to do>"; on stderr. Returns failure.code.
int complain(const Failure& failure);

}  // namespace bulkhead
