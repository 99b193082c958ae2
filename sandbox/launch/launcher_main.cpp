// bulkhead-launcher: wires the server and runs it. Started by bulkheadd (detached, with a named socket) or by
// `bulkhead sandbox run` (private, with one socketpair end).
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

#include "sandbox/launch/descriptors.h"
#include "sandbox/launch/server.h"
#include "sandbox/sys/files.h"

namespace {

int complain(int ready_fd, const bulkhead::Error& error) {
  const std::string text = error.text() + (error.hint.empty() ? "" : "\n  " + error.hint) + "\n";
  if (ready_fd >= 0) {
    if (::write(ready_fd, text.data(), text.size()) < 0) return 5;
  } else {
    std::fprintf(stderr, "bulkhead-launcher: %s", text.c_str());
  }
  return 3;
}

}  // namespace

int main(int argc, char** argv) {
  std::string socket_path;
  bulkhead::LauncherOptions options;
  int channel_fd = -1, ready_fd = -1;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i];
    const char* value = argv[i + 1];
    if (key == "--state")
      options.state_dir = value;
    else if (key == "--listen")
      socket_path = value;
    else if (key == "--channel-fd")
      channel_fd = std::atoi(value);
    else if (key == "--ready-fd")
      ready_fd = std::atoi(value);
    else if (key == "--spare-networks")
      options.spare_networks = static_cast<std::size_t>(std::atoi(value));
    else if (key == "--init")
      options.init_path = value;
    else {
      std::fprintf(stderr,
                   "bulkhead-launcher: unknown option %s\nIt is started by bulkhead and bulkheadd, not by hand.\n",
                   key.c_str());
      return 2;
    }
  }
  if ((socket_path.empty() == (channel_fd < 0)) || options.init_path.empty()) {
    std::fprintf(stderr,
                 "bulkhead-launcher: needs --init and one of --listen and --channel-fd\nIt is started by bulkhead and "
                 "bulkheadd, not by hand.\n");
    return 2;
  }
  if (::geteuid() != 0)
    return complain(
        ready_fd,
        {.operation = "start", .object = "launcher", .detail = "must be root", .hint = "run the command with sudo"});
  // Whoever stops the service stops bulkheadd, which ends the runs through us; we go last. SIGKILL is still there.
  for (const int number : {SIGPIPE, SIGTERM, SIGINT, SIGHUP}) ::signal(number, SIG_IGN);
  ::umask(077);
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_NAME, "bulkhead-launch");
  bulkhead::set_descriptors_aside();
  options.uid_lock_file = bulkhead::kUidRangesLock;
  if (channel_fd >= 0) {
    options.only_client = bulkhead::Channel(bulkhead::Fd(channel_fd));
    options.cgroup_root = "bulkhead-p" + std::to_string(::getpid());
  } else {
    options.cgroup_root = bulkhead::cgroup_root_name(options.state_dir);
    auto listener = bulkhead::listen_seqpacket(socket_path);
    if (!listener) return complain(ready_fd, listener.error());
    options.listener = std::move(*listener);
    options.socket_path = socket_path;
  }
  bulkhead::Channel client;  // for the case that we cannot get ready
  if (channel_fd >= 0) client = bulkhead::Channel(bulkhead::Fd(::fcntl(channel_fd, F_DUPFD_CLOEXEC, 3)));
  auto server = bulkhead::LauncherServer::create(std::move(options));
  if (!server && channel_fd >= 0) {
    bulkhead::tell_failure(client, server.error());
    return 3;
  }
  if (!server) return complain(ready_fd, server.error());
  client = bulkhead::Channel();
  if (ready_fd >= 0) ::close(ready_fd);  // the end of the stream, with nothing before it, means ready
  const auto ended = (*server)->run();
  return ended ? 0 : complain(-1, ended.error());
}
