#include "sandbox/init/guests.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/init/spawn.h"

namespace bulkhead {
namespace {

// The one request that is looked at.
char message[kMostGuestBytes + 1];
char* words[kMostGuestWords + 3];  // its directory, arguments, null, variables, null

// The strings behind the request, as an argument list and an environment. False: the request is no such thing.
bool find_words(const GuestRequest& request, std::size_t bytes) {
  if (request.arguments == 0 || request.arguments > kMostGuestWords || request.variables > kMostGuestWords ||
      request.arguments + request.variables > kMostGuestWords)
    return false;
  message[bytes] = '\0';
  char* at = message + sizeof request;
  char* const end = message + bytes;
  std::size_t word = 0;
  const auto take = [&](unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      if (at >= end) return false;
      words[word++] = at;
      at += strlen(at) + 1;
    }
    return true;
  };
  if (!take(1 + request.arguments)) return false;
  words[word++] = nullptr;
  if (!take(request.variables)) return false;
  words[word] = nullptr;
  return at == end;
}

struct Start {
  unsigned arguments;
  const int* streams;
  const sock_fprog* filter;  // nullptr: none besides init's
  int code;                  // why it came no further
};

int execute(void* argument) {
  Start& start = *static_cast<Start*>(argument);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // A session of its own; a terminal given as stdin becomes its controlling one. Without one this fails, and is fine.
  setsid();
  // Init's own 0, 1 and 2 may be free, and these come under the lowest free numbers: off the places that they are to
  // take first, where dup2 to itself would leave them to close at the exec.
  int streams[3];
  bool placed = true;
  for (int i = 0; i < 3; ++i) {
    streams[i] = start.streams[i] > 2 ? start.streams[i] : fcntl(start.streams[i], F_DUPFD_CLOEXEC, 3);
    placed = placed && streams[i] >= 0;
  }
  for (int i = 0; i < 3; ++i) placed = placed && dup2(streams[i], i) >= 0;
  if (placed) ioctl(0, TIOCSCTTY, 0);
  const bool filtered = start.filter == nullptr || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, start.filter) == 0;
  if (placed && filtered && chdir(words[0]) == 0) {
    environ = words + 1 + start.arguments + 1;
    // It becomes dumpable at its exec, and whatever of ours is open closes there.
    execvp(words[1], words + 1);
  }
  start.code = errno;
  _exit(127);
}

}  // namespace

void Guests::serve() {
  for (int round = 0; round < 16 && socket_ >= 0; ++round) {
    iovec part{message, kMostGuestBytes};
    alignas(cmsghdr) char control[CMSG_SPACE(3 * sizeof(int))];
    msghdr header;
    memset(&header, 0, sizeof header);
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(socket_, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return hang_up();  // the launcher is gone, or the profile does not let us listen
    int streams[3] = {-1, -1, -1};
    unsigned count = 0;
    if (const cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr && c->cmsg_type == SCM_RIGHTS) {
      count = static_cast<unsigned>((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(streams, CMSG_DATA(c), sizeof(int) * (count < 3 ? count : 3));
    }
    GuestRequest request;
    if (static_cast<std::size_t>(got) >= sizeof request) {
      memcpy(&request, message, sizeof request);
      if (request.order == GuestOrder::start) {
        // Fewer than three: our limit of open files, which the command may have lowered.
        if (count == 3)
          start(request, static_cast<std::size_t>(got), streams);
        else
          tell(request.serial, InitOutcome::setup_failed, EMFILE);
      }
      if (request.order == GuestOrder::signal)
        for (const Guest& guest : guests_)
          if (guest.pid > 0 && guest.serial == request.serial) kill(guest.pid, request.signal);
    }
    for (const int fd : streams)
      if (fd >= 0) close(fd);
  }
}

void Guests::start(const GuestRequest& request, std::size_t bytes, const int (&streams)[3]) {
  if (!find_words(request, bytes)) return tell(request.serial, InitOutcome::setup_failed, EINVAL);
  std::size_t slot = 0;
  while (slot < kMostGuests && guests_[slot].pid != 0) ++slot;
  if (slot == kMostGuests) return tell(request.serial, InitOutcome::setup_failed, EAGAIN);
  Start how{.arguments = request.arguments, .streams = streams, .filter = filter_, .code = 0};
  const pid_t pid = spawn(execute, &how);
  if (pid < 0) return tell(request.serial, InitOutcome::setup_failed, errno);
  guests_[slot] = {.pid = pid, .serial = request.serial, .exec_errno = how.code};
}

void Guests::reaped(pid_t pid, int status) {
  for (Guest& guest : guests_) {
    if (guest.pid != pid) continue;
    if (guest.exec_errno != 0)
      tell(guest.serial, InitOutcome::exec_failed, guest.exec_errno);
    else if (WIFSIGNALED(status))
      tell(guest.serial, InitOutcome::signalled, WTERMSIG(status));
    else
      tell(guest.serial, InitOutcome::exited, WEXITSTATUS(status));
    guest = {};
    return;
  }
}

void Guests::tell(unsigned serial, InitOutcome outcome, int value) {
  if (socket_ < 0) return;
  const GuestEnd end{.serial = serial, .outcome = outcome, .value = value};
  ssize_t sent = 0;
  do sent = write(socket_, &end, sizeof end);
  while (sent < 0 && errno == EINTR);
  if (sent != static_cast<ssize_t>(sizeof end)) hang_up();
}

// Nobody hears any more how they end, or could end them.
void Guests::hang_up() {
  for (const Guest& guest : guests_)
    if (guest.pid > 0) kill(guest.pid, SIGKILL);
  close(socket_);
  socket_ = -1;
}

}  // namespace bulkhead
