#include "supervisor/core/api/server.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <deque>
#include <set>

#include "supervisor/core/api/socket_address.h"

namespace bulkhead {
namespace {

using Protocol = boost::asio::local::stream_protocol;
using ErrorCode = boost::system::error_code;

class Connection final : public ControlConnection, public std::enable_shared_from_this<Connection> {
 public:
  Connection(Protocol::socket socket, PeerCredentials peer, std::uint64_t id, ControlHandler& handler)
      : socket_(std::move(socket)), peer_(peer), id_(id), handler_(&handler) {}

  bool is_open() const override { return socket_.is_open() && !closing_; }
  std::uint64_t id() const override { return id_; }
  const PeerCredentials& peer() const override { return peer_; }

  void send(const Reply& reply) override {
    if (!is_open()) return;
    auto line = encode(reply);
    if (!line) line = encode(Reply(error_reply(line.error(), 5)));  // cannot fail again: it is short, and escaped
    if (!line) return drop();
    unsent_ += line->size();
    queue_.push_back(*std::move(line));
    if (unsent_ > kMaxUnsent) return drop();
    if (queue_.size() == 1) write();
  }

  void close() override {
    closing_ = true;
    if (queue_.empty()) shut();
  }

  // The server is going: no handler is called any more, what is queued is still written.
  void detach() {
    handler_ = nullptr;
    close();
  }

  void read() {
    socket_.async_wait(Protocol::socket::wait_read, [self = shared_from_this()](ErrorCode error) {
      if (!error) self->on_readable();
    });
  }

 private:
  void on_readable() {
    if (!is_open()) return;
    auto got = receive_some(socket_.native_handle(), input_, descriptors_, MSG_DONTWAIT);
    if (!got && (got.error().code == EAGAIN || got.error().code == EINTR)) return read();
    if (!got || *got == 0) return drop();
    std::size_t start = 0;
    while (is_open()) {
      const auto newline = input_.find('\n', start);
      if (newline == std::string::npos) break;
      on_line(std::string_view(input_).substr(start, newline - start));
      start = newline + 1;
    }
    input_.erase(0, start);
    if (input_.size() >= kMaxLine) refuse({.operation = "read message", .detail = "it is longer than 1 MiB"});
    if (is_open()) read();
  }

  void on_line(std::string_view line) {
    auto request = decode_request(line);
    std::vector<Fd> descriptors = std::exchange(descriptors_, {});
    if (!request) return refuse(request.error());
    const std::size_t wanted = std::holds_alternative<ShellRequest>(*request) ? 3 : 0;
    if (descriptors.size() != wanted)
      return refuse({.operation = "read message",
                     .detail = "it came with " + std::to_string(descriptors.size()) + " descriptors instead of " +
                               std::to_string(wanted)});
    if (handler_ != nullptr) handler_->on_request(shared_from_this(), *std::move(request), std::move(descriptors));
  }

  // The client broke the protocol: it is told, and not listened to again.
  void refuse(const Error& error) {
    send(error_reply(error, 2));
    const bool told = is_open();
    close();
    if (told && handler_ != nullptr) handler_->on_closed(shared_from_this());
  }

  void write() {
    socket_.async_write_some(
        boost::asio::buffer(queue_.front()) + written_,
        [self = shared_from_this()](ErrorCode error, std::size_t n) { self->on_written(error, n); });
  }

  void on_written(ErrorCode error, std::size_t n) {
    if (!socket_.is_open()) return;
    if (error) return closing_ ? shut() : drop();
    written_ += n;
    unsent_ -= n;
    if (written_ == queue_.front().size()) {
      queue_.pop_front();
      written_ = 0;
    }
    if (!queue_.empty()) return write();
    if (closing_) shut();
  }

  void drop() {
    const bool was_open = is_open();
    shut();
    if (was_open && handler_ != nullptr) handler_->on_closed(shared_from_this());
  }

  void shut() {
    ErrorCode error;  // the descriptor is gone either way
    error = socket_.close(error);
    descriptors_.clear();
  }

  Protocol::socket socket_;
  PeerCredentials peer_;
  std::uint64_t id_;
  ControlHandler* handler_;
  std::string input_;
  std::vector<Fd> descriptors_;  // arrived, for the line that is being read
  std::deque<std::string> queue_;
  std::size_t written_ = 0;  // of the first in the queue
  std::size_t unsent_ = 0;
  bool closing_ = false;
};

class Server final : public ControlServer {
 public:
  Server(boost::asio::io_context& io, Fd listening, std::string path, ControlHandler& handler, uid_t served_uid)
      : acceptor_(io, Protocol(), listening.release()),
        path_(std::move(path)),
        handler_(handler),
        served_uid_(served_uid) {
    accept();
  }
  ~Server() override { stop(); }

  void stop() override {
    if (!acceptor_.is_open()) return;
    ErrorCode error;  // likewise
    error = acceptor_.close(error);
    ::unlink(path_.c_str());
    for (const auto& weak : connections_)
      if (auto connection = weak.lock()) connection->detach();
    connections_.clear();
    *alive_ = false;
  }

 private:
  void accept() {
    acceptor_.async_accept([this, alive = alive_](ErrorCode error, Protocol::socket socket) {
      if (!*alive) return;
      if (!error) on_accepted(std::move(socket));
      accept();
    });
  }

  void on_accepted(Protocol::socket socket) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return;
    const PeerCredentials peer{.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid};
    auto connection = std::make_shared<Connection>(std::move(socket), peer, ++last_id_, handler_);
    std::erase_if(connections_, [](const auto& weak) { return weak.expired(); });
    connections_.insert(connection);
    if (peer.uid == served_uid_) return connection->read();
    connection->send(ErrorReply{
        .text = "bulkheadd serves uid " + std::to_string(served_uid_) + " only, not uid " + std::to_string(peer.uid),
        .hint = "run it with sudo",
        .exit_code = 3});
    connection->close();
  }

  Protocol::acceptor acceptor_;
  std::string path_;
  ControlHandler& handler_;
  uid_t served_uid_;
  std::uint64_t last_id_ = 0;
  std::set<std::weak_ptr<Connection>, std::owner_less<>> connections_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // what a completed accept may still ask
};

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::listen(boost::asio::io_context& io, const std::string& path,
                                                             ControlHandler& handler, uid_t served_uid) {
  struct stat there{};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) return fail("listen at", path, "something that is not a socket is there");
    if (::unlink(path.c_str()) != 0) return errno_error("remove stale socket", path);
  }
  Fd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listening.valid()) return errno_error("make socket for", path);
  BULKHEAD_ASSIGN(const auto address, SocketAddress::of(path));
  // The mode is set before anybody can connect: connecting needs listen(). A umask would be the whole process's.
  if (::bind(listening.get(), address.address(), address.size()) != 0) return errno_error("bind", path);
  if (::chmod(path.c_str(), 0600) != 0) return errno_error("set mode of", path);
  if (::listen(listening.get(), 64) != 0) return errno_error("listen at", path);
  return std::make_unique<Server>(io, std::move(listening), path, handler, served_uid);
}

}  // namespace bulkhead
