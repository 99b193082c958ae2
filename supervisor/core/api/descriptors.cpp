#include "supervisor/core/api/descriptors.h"

#include <sys/socket.h>

#include <array>
#include <cstring>

namespace bulkhead {
namespace {

constexpr std::size_t kChunk = std::size_t{64} << 10;
using Control = std::array<char, CMSG_SPACE(kMaxDescriptors * sizeof(int))>;

}  // namespace

Result<std::size_t> receive_some(int socket, std::string& bytes, std::vector<Fd>& descriptors, int flags) {
  const std::size_t before = bytes.size();
  bytes.resize(before + kChunk);
  iovec part{bytes.data() + before, kChunk};
  alignas(cmsghdr) Control control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t n = ::recvmsg(socket, &header, flags | MSG_CMSG_CLOEXEC);
  if (n < 0) {
    const int error = errno;
    bytes.resize(before);
    return errno_error("receive message", "", error);
  }
  bytes.resize(before + static_cast<std::size_t>(n));
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      descriptors.emplace_back(fd);
    }
  }
  // What did not fit the kernel has not installed; what did is owned by `descriptors` by now.
  if ((header.msg_flags & MSG_CTRUNC) != 0 || descriptors.size() > kMaxDescriptors)
    return errno_error("receive descriptors", "", EMSGSIZE);
  return static_cast<std::size_t>(n);
}

Result<std::size_t> send_some(int socket, std::string_view bytes, std::span<const int> descriptors, int flags) {
  if (descriptors.size() > kMaxDescriptors) return errno_error("send descriptors", "", E2BIG);
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) Control control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
  }
  const ssize_t n = ::sendmsg(socket, &header, flags | MSG_NOSIGNAL);
  if (n < 0) return errno_error("send message");
  return static_cast<std::size_t>(n);
}

}  // namespace bulkhead
