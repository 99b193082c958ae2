#include "sandbox/sys/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>

namespace bulkhead {
namespace {

// Paths beyond sun_path's 108 bytes are reached through a descriptor of their directory.
struct Address {
  sockaddr_un un{};
  Fd directory;
};

Result<Address> address_of(const std::string& path) {
  Address address;
  address.un.sun_family = AF_UNIX;
  std::string name = path;
  if (path.size() >= sizeof address.un.sun_path) {
    const auto slash = path.rfind('/');
    const int fd = ::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno_error("open", path.substr(0, slash));
    address.directory = Fd(fd);
    name = "/proc/self/fd/" + std::to_string(fd) + path.substr(slash);
    if (name.size() >= sizeof address.un.sun_path) return errno_error("socket", path, ENAMETOOLONG);
  }
  std::memcpy(address.un.sun_path, name.c_str(), name.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& un) { return reinterpret_cast<const sockaddr*>(&un); }

// The default send buffer holds one message of the largest size only where the host's default is generous.
void widen(int fd) {
  const int bytes = static_cast<int>(2 * kMaxMessageBytes);
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

// An event loop that watches the same socket may have made it non-blocking: then blocking is ours to do. Leaves errno.
void wait_for(int fd, short events) {
  const int saved = errno;
  pollfd ready{.fd = fd, .events = events, .revents = 0};
  ::poll(&ready, 1, -1);
  errno = saved;
}

}  // namespace

Result<> Channel::send(std::string_view text, const std::vector<int>& fds) const {
  return send_message(fd_.get(), text, fds);
}

Result<> send_message(int fd, std::string_view text, const std::vector<int>& fds, int flags) {
  if (text.size() > kMaxMessageBytes)
    return errno_error("send message of " + std::to_string(text.size()) + " bytes", "", EMSGSIZE);
  if (fds.size() > kMaxMessageFds) return errno_error("send descriptors", "", E2BIG);
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxMessageFds * sizeof(int))]{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size() * sizeof(int));
  }
  for (;;) {
    if (::sendmsg(fd, &header, MSG_NOSIGNAL | flags) >= 0) return {};
    const bool full = errno == EAGAIN && (flags & MSG_DONTWAIT) == 0;
    if (full) wait_for(fd, POLLOUT);
    if (errno != EINTR && !full) return errno_error("send");
  }
}

Result<std::optional<Message>> Channel::receive() const { return receive_with(0); }
Result<std::optional<Message>> Channel::try_receive() const { return receive_with(MSG_DONTWAIT); }

Result<std::optional<Message>> Channel::receive_with(int flags) const {
  Message message;
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(kMaxMessageBytes);
  iovec part{buffer_.get(), kMaxMessageBytes};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxMessageFds * sizeof(int))]{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t n = 0;
  for (;;) {
    n = ::recvmsg(fd_.get(), &header, MSG_CMSG_CLOEXEC | flags);
    if (n >= 0 || (errno != EINTR && errno != EAGAIN)) break;
    if (errno == EINTR) continue;
    if (flags & MSG_DONTWAIT) break;
    wait_for(fd_.get(), POLLIN);
  }
  if (n < 0 && errno == ECONNRESET) return std::nullopt;
  if (n < 0) return errno_error("receive");
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) return errno_error("receive", "", EMSGSIZE);
  if (n == 0) return std::nullopt;
  message.text.assign(buffer_.get(), static_cast<std::size_t>(n));
  return message;
}

Result<std::pair<Channel, Channel>> Channel::pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) return errno_error("socketpair");
  widen(fds[0]);
  widen(fds[1]);
  return std::pair(Channel(Fd(fds[0])), Channel(Fd(fds[1])));
}

Result<Channel> Channel::connect(const std::string& path) {
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error("socket");
  widen(fd.get());
  BULKHEAD_ASSIGN(const Address address, address_of(path));
  if (::connect(fd.get(), generic(address.un), sizeof address.un) != 0) return errno_error("connect to", path);
  return Channel(std::move(fd));
}

Result<Fd> listen_seqpacket(const std::string& path) {
  if (auto live = Channel::connect(path); live) return errno_error("listen at", path, EADDRINUSE);
  struct stat st{};
  if (::lstat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode)) ::unlink(path.c_str());
  Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno_error("socket");
  BULKHEAD_ASSIGN(const Address address, address_of(path));
  const mode_t before = ::umask(0177);
  const int bound = ::bind(fd.get(), generic(address.un), sizeof address.un);
  const int bind_errno = errno;
  ::umask(before);
  if (bound != 0) return errno_error("listen at", path, bind_errno);
  if (::listen(fd.get(), 16) != 0) return errno_error("listen at", path);
  return fd;
}

}  // namespace bulkhead
