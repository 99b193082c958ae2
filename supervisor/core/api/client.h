// The client's end of STATE/control.sock: blocking and without Asio. One owner, one thread.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"
#include "supervisor/core/api/messages.h"

namespace bulkhead {

class ControlClient {
 public:
  // Errors keep their errno: ENOENT and ECONNREFUSED mean that no daemon serves this state directory.
  static Result<ControlClient> connect(const std::string& path);
  static ControlClient over(Fd socket);  // a connection that someone else made

  // `descriptors` ride on the line; they stay the caller's.
  Result<> send(const Request& request, std::span<const int> descriptors = {});

  // Blocks for the next reply; an ended connection is an error with ECONNRESET.
  Result<Reply> receive();
  // Takes a reply that has arrived, without blocking; nothing when none has. For loops that poll socket() with others:
  // call it until it says nothing before polling again.
  Result<std::optional<Reply>> poll();

  const Fd& socket() const { return socket_; }
  Fd release() { return std::move(socket_); }

 private:
  explicit ControlClient(Fd socket) : socket_(std::move(socket)) {}
  Result<std::optional<Reply>> read(int flags);
  Fd socket_;
  std::string buffer_;
  std::size_t searched_ = 0;  // of buffer_, without finding a newline
};

}  // namespace bulkhead
