// Using everything up. Each takes a little more than the policy of its test grants, and lets go of it at its end.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/attack/attacks/attack.h"

namespace bulkhead::attack {
namespace {

size_t number(Arguments a, size_t i) { return strtoul(a[i].c_str(), nullptr, 10); }
size_t mebibytes(Arguments a) { return number(a, 0) << 20; }

Outcome held(Arguments a) { return succeeded("held " + a[0] + " MiB"); }

Outcome processes_without_end(Arguments a) {
  for (size_t i = 0; i < number(a, 0); ++i) {
    const pid_t pid = fork();
    if (pid < 0) return blocked(error_name(errno) + " from fork");
    if (pid == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(answer_descriptor());
      for (;;) pause();
    }
  }
  return succeeded("forked " + a[0] + " processes");
}

// Children that ended and that nobody waits for.
Outcome zombies(Arguments a) {
  for (size_t i = 0; i < number(a, 0); ++i) {
    const pid_t pid = fork();
    if (pid < 0) return blocked(error_name(errno) + " from fork");
    if (pid == 0) _exit(0);
  }
  return succeeded("left " + a[0] + " zombies");
}

// The true bomb, each child as bad as its parent: only its sandbox's end ends it.
Outcome bomb(Arguments) {
  for (;;)
    if (fork() < 0) usleep(1000);
}

Outcome memory(Arguments a) {
  const size_t size = mebibytes(a);
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return answered(-1, "mmap");
  memset(at, 1, size);
  return held(a);
}

Outcome fill(int fd, Arguments a, const char* what) {
  static char block[1 << 20];
  memset(block, 1, sizeof block);
  for (size_t i = 0; i < number(a, 0); ++i)
    if (write(fd, block, sizeof block) != sizeof block) return answered(-1, what);
  return held(a);
}

Outcome file_memory(Arguments a) {
  const int fd = open((a[1] + "/filled").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  return fd < 0 ? not_tried("create in " + a[1]) : fill(fd, a, "write");
}

Outcome anonymous_file(Arguments a) {
  const int fd = memfd_create("filled", MFD_CLOEXEC);
  return fd < 0 ? not_tried("memfd_create") : fill(fd, a, "write to a memfd");
}

Outcome segment(Arguments a) {
  const int id = shmget(IPC_PRIVATE, mebibytes(a), IPC_CREAT | 0600);
  if (id < 0) return answered(-1, "shmget");
  void* at = shmat(id, nullptr, 0);
  shmctl(id, IPC_RMID, nullptr);
  if (at == reinterpret_cast<void*>(-1)) return answered(-1, "shmat");
  memset(at, 1, mebibytes(a));
  return held(a);
}

// Memory of the kernel's alone: pages that are looked at and never written share one, and each 2 MiB of them costs a
// page of tables.
Outcome page_tables(Arguments a) {
  constexpr size_t kTablePage = 4096, kCovered = 2 << 20;
  const size_t size = mebibytes(a) / kTablePage * kCovered;
  auto* at =
      static_cast<volatile char*>(mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  if (at == MAP_FAILED) return answered(-1, "mmap");
  madvise(const_cast<char*>(at), size, MADV_NOHUGEPAGE);
  char seen = 0;
  for (size_t i = 0; i < size; i += kCovered) seen = static_cast<char>(seen | at[i]);
  return seen == 0 ? held(a) : not_tried("pages that are not empty");
}

// Written to a file on disk: what lies in memory of it is the cgroup's, and is given back.
Outcome disk_file(Arguments a) {
  const int fd = open((a[1] + "/cached").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const Outcome outcome = fd < 0 ? not_tried(error_name(errno) + " from create in " + a[1]) : fill(fd, a, "write");
  unlink((a[1] + "/cached").c_str());
  return outcome;
}

// What the kernel keeps for a reader who never comes, in descriptors of one kind, until there is so much of it.
Outcome buffers(Arguments a, const char* what, bool (*make)(int (&ends)[2])) {
  static char block[1 << 16];
  size_t stuffed = 0;
  while (stuffed < mebibytes(a)) {
    int ends[2];
    if (!make(ends)) return answered(-1, what);
    for (ssize_t n = 0; (n = send(ends[1], block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0 ||
                        (n < 0 && errno == ENOTSOCK && (n = write(ends[1], block, sizeof block)) > 0);)
      stuffed += static_cast<size_t>(n);
    if (errno != EAGAIN && errno != ENOBUFS) return answered(-1, what);
  }
  return held(a);
}

Outcome pipes(Arguments a) {
  return buffers(a, "pipe", [](int(&ends)[2]) { return pipe2(ends, O_NONBLOCK) == 0; });
}

Outcome local_sockets(Arguments a) {
  return buffers(a, "socketpair", [](int(&ends)[2]) { return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0; });
}

// A connection to ourselves over lo.
bool loop(int (&ends)[2], int type) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* at = reinterpret_cast<sockaddr*>(&address);
  const int listener = socket(AF_INET, type, 0);
  ends[1] = socket(AF_INET, type, 0);
  if (listener < 0 || ends[1] < 0 || bind(listener, at, length) != 0 || getsockname(listener, at, &length) != 0)
    return false;
  const int much = 4 << 20;
  setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &much, sizeof much);
  setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &much, sizeof much);
  if (type == SOCK_STREAM && listen(listener, 1) != 0) return false;
  if (connect(ends[1], at, length) != 0) return false;
  ends[0] = type == SOCK_STREAM ? accept(listener, nullptr, nullptr) : listener;
  if (type == SOCK_STREAM) close(listener);
  return ends[0] >= 0;
}

Outcome tcp_buffers(Arguments a) {
  return buffers(a, "tcp connection", [](int(&ends)[2]) { return loop(ends, SOCK_STREAM); });
}

// Datagrams that nobody takes are dropped without a word when there is no room: what counts is what a receiver holds.
Outcome udp_buffers(Arguments a) {
  static char block[1 << 15];
  for (size_t stuffed = 0; stuffed < mebibytes(a);) {
    int ends[2];
    if (!loop(ends, SOCK_DGRAM)) return answered(-1, "udp socket");
    for (int i = 0; i < 16; ++i)
      if (send(ends[1], block, sizeof block, MSG_DONTWAIT) < 0) break;
    unsigned numbers[16]{};
    socklen_t size = sizeof numbers;
    if (getsockopt(ends[0], SOL_SOCKET, SO_MEMINFO, numbers, &size) != 0) return not_tried("getsockopt(SO_MEMINFO)");
    stuffed += numbers[0];
    if (numbers[0] == 0) return blocked("datagrams are dropped");
  }
  return held(a);
}

Outcome descriptors(Arguments a) {
  for (size_t i = 0; i < number(a, 0); ++i)
    if (open("/dev/null", O_RDONLY) < 0) return answered(-1, "open");
  return succeeded("opened " + a[0] + " files");
}

Outcome names(Arguments a) {
  for (size_t i = 0; i < number(a, 0); ++i)
    if (open((a[1] + "/" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0) {
      return answered(-1, "create");
    } else {
      close_range(100, ~0U, 0);
    }
  return succeeded("made " + a[0] + " files");
}

// Takes all that this user may have, says so, and keeps it until standard input ends.
Outcome watchers(Arguments) {
  size_t count = 0;
  while (inotify_init1(IN_CLOEXEC) >= 0 && count < 4000) ++count;
  if (errno != EMFILE) return not_tried(error_name(errno) + " from inotify_init1");
  printf("ready\n");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  return blocked("its own share is used up");
}

Outcome flood(Arguments a) { return fill(1, a, "write to standard output"); }

Outcome stop_itself(Arguments) {
  printf("ready\n");
  fflush(stdout);
  kill(-1, SIGSTOP);  // everybody but pid 1 and us
  kill(getpid(), SIGSTOP);
  return succeeded("it was continued");
}

Outcome ignore_signals(Arguments) {
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_IGN);
  printf("ready\n");
  fflush(stdout);
  for (;;) pause();
}

// Away from its parent, session and terminal; it holds no stream of ours.
Outcome become_daemon(Arguments a) {
  if (fork() == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    for (int number = 1; number < NSIG; ++number) signal(number, SIG_IGN);
    prctl(PR_SET_NAME, a[0].c_str());
    for (int fd = 0; fd < 64; ++fd) close(fd);
    for (;;) pause();
  }
  wait(nullptr);
  return blocked("whether it lives on shows outside");
}

constexpr Attack kAttacks[]{
    {"fork_many", processes_without_end},
    {"zombies", zombies},
    {"fork_bomb", bomb},
    {"memory", memory},
    {"file_memory", file_memory},
    {"memfd_memory", anonymous_file},
    {"segment_memory", segment},
    {"pipe_memory", pipes},
    {"page_tables", page_tables},
    {"page_cache", disk_file},
    {"unix_memory", local_sockets},
    {"tcp_memory", tcp_buffers},
    {"udp_memory", udp_buffers},
    {"descriptors", descriptors},
    {"inodes", names},
    {"watchers", watchers},
    {"flood", flood},
    {"stop_itself", stop_itself},
    {"ignore_signals", ignore_signals},
    {"daemon", become_daemon},
};

}  // namespace

std::span<const Attack> exhaustion() { return kAttacks; }

}  // namespace bulkhead::attack
