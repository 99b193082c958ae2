#include "sandbox/init/learning.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/init/init_protocol.h"

namespace bulkhead {
namespace {

sock_filter learning_filter[BPF_MAXINSNS];
sock_filter refusals_filter[BPF_MAXINSNS];

// The filter begins with what it tells of, ending in the first that tells; behind that stands the profile
// (compile_learning()).
sock_fprog refusals_of(const sock_fprog& filter) {
  const auto tells = [](const sock_filter& one) {
    return one.code == (BPF_RET | BPF_K) && one.k == SECCOMP_RET_USER_NOTIF;
  };
  unsigned short at = 0, count = 0;
  while (at < filter.len && !tells(filter.filter[at])) ++at;
  for (++at; at < filter.len; ++at) {
    refusals_filter[count] = filter.filter[at];
    if (tells(filter.filter[at])) refusals_filter[count].k = SECCOMP_RET_ERRNO | EPERM;
    ++count;
  }
  return {.len = count, .filter = refusals_filter};
}

// A message of one byte and room for one descriptor: unix(7), SCM_RIGHTS.
struct Envelope {
  Envelope() {
    message.msg_iov = &one;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
  }
  Envelope(const Envelope&) = delete;
  Envelope& operator=(const Envelope&) = delete;

  char byte = 0;
  iovec one{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
};

}  // namespace

bool prepare_learning(Learning& learning) {
  const ssize_t bytes = pread(kInitLearnFilterFd, learning_filter, sizeof learning_filter, 0);
  if (bytes <= 0) return false;
  learning.program = {.len = static_cast<unsigned short>(static_cast<std::size_t>(bytes) / sizeof(sock_filter)),
                      .filter = learning_filter};
  learning.refusals = refusals_of(learning.program);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
  learning.ours = ends[0];
  learning.theirs = ends[1];
  learning.on = true;
  return true;
}

bool load_learning(const Learning& learning) {
  constexpr unsigned long kWaitKillable = 1UL << 5;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, from Linux 5.19
  constexpr unsigned long kListener = SECCOMP_FILTER_FLAG_NEW_LISTENER;
  long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kListener | kWaitKillable, &learning.program);
  if (listener < 0 && errno == EINVAL)
    listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kListener, &learning.program);
  if (listener < 0) return false;
  Envelope envelope;
  cmsghdr* header = CMSG_FIRSTHDR(&envelope.message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = static_cast<int>(listener);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(learning.theirs, &envelope.message, 0) == 1;
}

int receive_listener(const Learning& learning) {
  Envelope envelope;
  ssize_t n = 0;
  do n = recvmsg(learning.ours, &envelope.message, MSG_CMSG_CLOEXEC);
  while (n < 0 && errno == EINTR);
  const cmsghdr* header = n == 1 ? CMSG_FIRSTHDR(&envelope.message) : nullptr;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return -1;
  int fd = -1;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

}  // namespace bulkhead
