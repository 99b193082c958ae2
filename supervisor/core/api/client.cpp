#include "supervisor/core/api/client.h"

#include <sys/socket.h>

#include "supervisor/core/api/descriptors.h"
#include "supervisor/core/api/socket_address.h"

namespace bulkhead {

Result<ControlClient> ControlClient::connect(const std::string& path) {
  BULKHEAD_ASSIGN(const auto address, SocketAddress::of(path));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return errno_error("make socket for", path);
  if (::connect(socket.get(), address.address(), address.size()) != 0) return errno_error("connect to", path);
  return ControlClient(std::move(socket));
}

ControlClient ControlClient::over(Fd socket) { return ControlClient(std::move(socket)); }

Result<> ControlClient::send(const Request& request, std::span<const int> descriptors) {
  BULKHEAD_ASSIGN(const std::string line, encode(request));
  std::string_view rest = line;
  while (!rest.empty()) {
    auto sent = send_some(socket_.get(), rest, descriptors, 0);
    if (!sent && sent.error().code == EINTR) continue;
    // The daemon may have answered and closed before it read everything: its answer says more than EPIPE does.
    if (!sent && (sent.error().code == EPIPE || sent.error().code == ECONNRESET)) return {};
    BULKHEAD_TRY(sent);
    rest.remove_prefix(*sent);
    descriptors = {};
  }
  return {};
}

Result<Reply> ControlClient::receive() {
  while (true) {
    BULKHEAD_ASSIGN(auto reply, read(0));
    if (reply) return *std::move(reply);
  }
}

Result<std::optional<Reply>> ControlClient::poll() { return read(MSG_DONTWAIT); }

// One whole line, or nothing when reading it would block.
Result<std::optional<Reply>> ControlClient::read(int flags) {
  while (true) {
    if (const auto newline = buffer_.find('\n', searched_); newline != std::string::npos) {
      auto reply = decode_reply(std::string_view(buffer_).substr(0, newline));
      buffer_.erase(0, newline + 1);
      searched_ = 0;
      BULKHEAD_TRY(reply);
      return *std::move(reply);
    }
    searched_ = buffer_.size();
    if (buffer_.size() >= kMaxLine) return fail("read from bulkheadd", "", "a line longer than 1 MiB");
    std::vector<Fd> none;  // the daemon sends no descriptors; any would be closed here
    auto got = receive_some(socket_.get(), buffer_, none, flags);
    if (!got && got.error().code == EINTR) continue;
    if (!got && got.error().code == EAGAIN) return std::nullopt;
    BULKHEAD_TRY(got);
    if (*got == 0) return errno_error("read from bulkheadd", "", ECONNRESET);
  }
}

}  // namespace bulkhead
