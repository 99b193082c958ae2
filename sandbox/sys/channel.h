// A SOCK_SEQPACKET unix socket that carries whole messages with descriptors (unix(7), SCM_RIGHTS).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

struct Message {
  std::string text;
  std::vector<Fd> fds;
};

inline constexpr std::size_t kMaxMessageBytes = 192 * 1024;
inline constexpr std::size_t kMaxMessageFds = 16;

class Channel {
 public:
  Channel() = default;
  explicit Channel(Fd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }
  bool valid() const { return fd_.valid(); }
  Fd take() { return std::move(fd_); }

  Result<> send(std::string_view text, const std::vector<int>& fds = {}) const;
  // Blocks. An empty optional is the peer's orderly end. Descriptors arrive with O_CLOEXEC.
  Result<std::optional<Message>> receive() const;
  // As receive(), but fails with EAGAIN where it would block.
  Result<std::optional<Message>> try_receive() const;

  static Result<std::pair<Channel, Channel>> pair();
  static Result<Channel> connect(const std::string& path);

 private:
  Result<std::optional<Message>> receive_with(int flags) const;
  Fd fd_;
  mutable std::unique_ptr<char[]> buffer_;  // of kMaxMessageBytes, from the first receive on
};

// One message through `fd`, with sendmsg(2)'s `flags`. Without MSG_DONTWAIT it blocks, whatever the descriptor is set
// to.
Result<> send_message(int fd, std::string_view text, const std::vector<int>& fds, int flags = 0);

// Listens at `path` (mode 0600), replacing a stale socket file that nobody listens on; EADDRINUSE if somebody does.
Result<Fd> listen_seqpacket(const std::string& path);

}  // namespace bulkhead
