// bulkhead-init: pid 1 inside every sandbox. Starts the command in a session of its own, reaps what is left to it,
// copies captured output up to a bound, and leaves an exit record on a host-only descriptor. It runs under the same
// filter, limits and identity as the command, is not dumpable, and its end ends the pid namespace and all in it.
//
// Static, without the C++ runtime's help: no allocation, no exceptions, no iostreams.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <initializer_list>

#include "sandbox/init/denials.h"
#include "sandbox/init/guests.h"
#include "sandbox/init/init_protocol.h"
#include "sandbox/init/learning.h"
#include "sandbox/init/observations.h"
#include "sandbox/init/spawn.h"

using bulkhead::Denials;
using bulkhead::Guests;
using bulkhead::InitOutcome;
using bulkhead::InitRecord;
using bulkhead::Learning;
using bulkhead::Observations;

namespace {

struct Capture {
  int from = -1;  // read end of the command's pipe
  int to = -1;    // bounded file
  unsigned long long left = 0;
  unsigned long long dropped = 0;
};

char buffer[65536];
Observations observations;
Guests guests;

[[noreturn]] void finish(InitRecord& record, Denials* denials, int status) {
  if (denials != nullptr) denials->finish();
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  record.magic = bulkhead::kInitRecordMagic;
  record.ended_unix_ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
  // The command may have taken our room for files (prlimit), so a record that cannot be written changes nothing about
  // the status, which the launcher sees as well.
  [[maybe_unused]] const ssize_t written = pwrite(bulkhead::kInitRecordFd, &record, sizeof record, 0);
  _exit(status);
}

// Copies what has arrived. Beyond the bound the output is read and dropped, so that the command never blocks on it.
// Returns false at the end of the stream. Bounded, so that writers who never pause cannot keep init from its other
// work.
bool pump(Capture& capture) {
  for (int round = 0; round < 16; ++round) {
    const ssize_t n = read(capture.from, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    unsigned long long keep = static_cast<unsigned long long>(n);
    if (keep > capture.left) keep = capture.left;
    unsigned long long done = 0;
    while (done < keep) {
      const ssize_t m = write(capture.to, buffer + done, keep - done);
      if (m < 0 && errno == EINTR) continue;
      if (m <= 0) break;  // disk full: counted as dropped
      done += static_cast<unsigned long long>(m);
    }
    capture.left -= done;
    capture.dropped += static_cast<unsigned long long>(n) - done;
  }
  return true;
}

bool open_capture(Capture& capture, int to, unsigned long long limit, int& write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return false;
  capture = {.from = ends[0], .to = to, .left = limit, .dropped = 0};
  write_end = ends[1];
  return true;
}

struct Command {
  char** argv;
  int out, err;  // pipes to us; -1: its streams are given
  const Learning& learning;
  int told;  // where a process that does not share our memory writes why it came no further
  int code;
};

int run_command(void* argument) {
  Command& command = *static_cast<Command*>(argument);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  setsid();  // no controlling terminal: nothing to push input into
  const bool placed = command.out < 0 || (dup2(command.out, 1) >= 0 && dup2(command.err, 2) >= 0);
  if (placed && (!command.learning.on || load_learning(command.learning))) execvp(command.argv[0], command.argv);
  command.code = errno;
  if (command.told >= 0 && write(command.told, &command.code, sizeof command.code) != sizeof command.code) _exit(126);
  _exit(placed ? 127 : 126);
}

int be_pid_one(char** argv, bool capture_output, bool learn, unsigned long long limit, int listener) {
  InitRecord record{};
  const auto fail_setup = [&] {
    record.outcome = InitOutcome::setup_failed;
    record.value = errno;
    finish(record, nullptr, 125);
  };
  // init's own descriptors end at the command's exec.
  for (const int fd : {bulkhead::kInitRecordFd, bulkhead::kInitStdoutFd, bulkhead::kInitStderrFd})
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 && (fd == bulkhead::kInitRecordFd || capture_output)) fail_setup();
  if (listener >= 0 && fcntl(listener, F_SETFD, FD_CLOEXEC) != 0) fail_setup();
  Denials denials(listener, bulkhead::kInitRecordFd);
  if (fcntl(bulkhead::kInitGuestsFd, F_SETFD, FD_CLOEXEC) == 0) guests.listen(bulkhead::kInitGuestsFd);

  Learning learning;
  if (learn) {
    for (const int fd : {bulkhead::kInitLearnFd, bulkhead::kInitLearnFilterFd})
      if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) fail_setup();
    if (!prepare_learning(learning)) fail_setup();
    guests.refuse_by(learning.refusals);
  }

  Capture out, err;
  int out_end = -1, err_end = -1;
  if (capture_output && (!open_capture(out, bulkhead::kInitStdoutFd, limit, out_end) ||
                         !open_capture(err, bulkhead::kInitStderrFd, limit, err_end)))
    fail_setup();

  sigset_t watched;
  sigemptyset(&watched);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH})
    sigaddset(&watched, signal);
  if (sigprocmask(SIG_SETMASK, &watched, nullptr) != 0) fail_setup();
  const int signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) fail_setup();
  Command command{.argv = argv, .out = out_end, .err = err_end, .learning = learning, .told = -1, .code = 0};
  int report[2] = {-1, -1};
  pid_t pid = -1;
  if (learning.on) {  // it needs our answers before it executes anything, and we do not wait for it
    if (pipe2(report, O_CLOEXEC) != 0) fail_setup();
    command.told = report[1];
    pid = fork();
    if (pid == 0) run_command(&command);
    close(report[1]);
  } else {
    pid = bulkhead::spawn(run_command, &command);
  }
  if (pid < 0) fail_setup();
  if (out_end >= 0) close(out_end);
  if (err_end >= 0) close(err_end);
  // The command holds our stdin; that we keep none of the pipes lets its peers see their end.
  close(0);
  if (capture_output) {
    close(1);
    close(2);
  }

  if (learning.on) {
    close(learning.theirs);
    const int told = receive_listener(learning);
    close(learning.ours);
    if (told < 0) {  // it has said why, and ends
      if (read(report[0], &errno, sizeof errno) != sizeof errno) errno = EPROTO;
      fail_setup();
    }
    denials.observe(told, &observations);
  }

  int status = 0;
  bool ended = false;
  while (!ended) {
    pollfd fds[5] = {{signals, POLLIN, 0},
                     {out.from, POLLIN, 0},
                     {err.from, POLLIN, 0},
                     {denials.listener(), POLLIN, 0},
                     {guests.socket(), POLLIN, 0}};
    if (ppoll(fds, 5, nullptr, nullptr) < 0 && errno != EINTR) fail_setup();
    if (fds[3].revents != 0) denials.answer();
    if (fds[4].revents != 0) guests.serve();
    for (Capture* capture : {&out, &err})
      if (capture->from >= 0 && !pump(*capture)) {
        close(capture->from);
        capture->from = -1;
      }
    signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info))
      if (info.ssi_signo != SIGCHLD) kill(pid, static_cast<int>(info.ssi_signo));
    for (;;) {
      int one = 0;
      const pid_t dead = waitpid(-1, &one, WNOHANG);
      if (dead <= 0) break;
      if (dead == pid) {
        status = one;
        ended = true;
      } else {
        guests.reaped(dead, one);
      }
    }
  }
  for (Capture* capture : {&out, &err})
    if (capture->from >= 0) pump(*capture);
  // Its end, or the command's errno: written before the command ended.
  if (learning.on)
    while (read(report[0], &command.code, sizeof command.code) < 0 && errno == EINTR) continue;
  record.stdout_dropped = out.dropped;
  record.stderr_dropped = err.dropped;
  if (command.code != 0) {
    record.outcome = InitOutcome::exec_failed;
    record.value = command.code;
    finish(record, &denials, command.code == ENOENT ? 127 : 126);
  }
  if (WIFSIGNALED(status)) {
    record.outcome = InitOutcome::signalled;
    record.value = WTERMSIG(status);
    finish(record, &denials, 128 + WTERMSIG(status));
  }
  record.outcome = InitOutcome::exited;
  record.value = WEXITSTATUS(status);
  finish(record, &denials, WEXITSTATUS(status));
}

// To be called once the kernel would tell us of the launcher's end: whether that was before. Its end of this socket has
// no copy with anybody else.
bool launcher_has_gone() {
  pollfd socket{bulkhead::kInitGuestsFd, 0, 0};
  return poll(&socket, 1, 0) == 1 && (socket.revents & POLLHUP) != 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 125;
  if (prctl(PR_SET_DUMPABLE, 0) != 0) return 125;
  const char* mode = argv[1];
  if (strchr(mode, 'd') != nullptr && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || launcher_has_gone())) return 125;
  const int listener = argv[3][0] == '-' ? -1 : static_cast<int>(strtol(argv[3], nullptr, 10));
  return be_pid_one(argv + 4, strchr(mode, 'c') != nullptr, strchr(mode, 'l') != nullptr,
                    strtoull(argv[2], nullptr, 10), listener);
}
