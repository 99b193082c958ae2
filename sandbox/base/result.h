// Expected failures are values. `Result<T>` carries an Error that names the operation, its object and the errno,
// so that every layer can print one sentence without knowing what went wrong below it.
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace bulkhead {

struct Error {
  std::string operation;  // what was attempted: "mount proc", "open policy"
  std::string object;     // on what: a path, a name; may be empty
  int code = 0;           // errno, or 0 when the kernel had no part in it
  std::string detail;     // more than errno says; may be empty
  std::string hint;       // what to do next; may be empty

  // "mount proc on /proc: Operation not permitted (detail)"; the hint is not part of it.
  std::string text() const;
};

template <class T = void>
using Result = std::expected<T, Error>;

// An Error from errno. Takes errno before anything else can change it: call it first after the failed call.
std::unexpected<Error> errno_error(std::string operation, std::string object = {}, int code = errno);

// An Error that has no errno.
std::unexpected<Error> fail(std::string operation, std::string object, std::string detail, std::string hint = {});

}  // namespace bulkhead

// Returns early with the error of `expr`, else goes on. For Result<void> and for values that are not needed.
#define BULKHEAD_TRY(expr)                                                                                           \
  do {                                                                                                               \
    if (auto bulkhead_result = (expr); !bulkhead_result) return std::unexpected(std::move(bulkhead_result).error()); \
  } while (false)

#define BULKHEAD_CONCAT_(a, b) a##b
#define BULKHEAD_CONCAT(a, b) BULKHEAD_CONCAT_(a, b)
#define BULKHEAD_ASSIGN_(tmp, declaration, expr)            \
  auto tmp = (expr);                                        \
  if (!tmp) return std::unexpected(std::move(tmp).error()); \
  declaration = *std::move(tmp)

// BULKHEAD_ASSIGN(auto fd, open_file(path)); declares or assigns the value, or returns early with the error.
#define BULKHEAD_ASSIGN(declaration, expr) BULKHEAD_ASSIGN_(BULKHEAD_CONCAT(bulkhead_tmp_, __LINE__), declaration, expr)
