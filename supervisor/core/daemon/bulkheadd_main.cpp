// bulkheadd: wires everything in view and runs it.
#include <fcntl.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "sandbox/base/text.h"
#include "sandbox/launch/cgroup.h"
#include "sandbox/launch/wall_tries.h"
#include "sandbox/sys/files.h"
#include "supervisor/core/daemon/daemon.h"

namespace {

using namespace bulkhead;

struct Options {
  std::string state = std::string(StatePaths::default_root);
  Lifetime lifetime = Lifetime::until_stopped;
  int ready_fd = -1;
};

constexpr const char* kUsage =
    "usage: bulkheadd [--state DIR] [--once] [--ready-fd N]\n"
    "The supervisor of a state directory. `bulkhead run` starts one with --once where none serves.\n";

Result<Options> read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> Result<std::string> {
      if (i + 1 >= argc) return fail("bulkheadd", word, "needs a value");
      return std::string(argv[++i]);
    };
    if (word == "--once") {
      options.lifetime = Lifetime::once;
    } else if (word == "--state") {
      BULKHEAD_ASSIGN(options.state, value());
    } else if (word == "--ready-fd") {
      BULKHEAD_ASSIGN(const std::string text, value());
      options.ready_fd = ::atoi(text.c_str());
    } else {
      return fail("bulkheadd", word, "unknown option");
    }
  }
  if (options.state.empty() || options.state.front() != '/')
    return fail("bulkheadd", "--state " + options.state, "must be an absolute path");
  return options;
}

std::string own_directory() {
  char path[4096];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path - 1);
  const std::string full(path, n > 0 ? static_cast<std::size_t>(n) : 0);
  return full.substr(0, full.rfind('/'));
}

std::vector<std::string> policy_directories(const std::string& beside) {
  std::vector<std::string> directories;
  if (const char* named = ::getenv("BULKHEAD_POLICIES"))
    for (auto& directory : split(named, ':'))
      if (!directory.empty()) directories.push_back(directory);
  directories.push_back(beside + "/../../policies");
  directories.push_back("/usr/share/bulkhead/policies");
  return directories;
}

// Held as long as we live: one supervisor per state directory.
Result<Fd> take_lock(const StatePaths& paths) {
  struct stat st{};
  if (::lstat(paths.root().c_str(), &st) != 0) {
    if (errno != ENOENT) return errno_error("state directory", paths.root());
    BULKHEAD_TRY(make_directories(paths.root(), 0700));
    if (::lstat(paths.root().c_str(), &st) != 0) return errno_error("state directory", paths.root());
  }
  if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 077) != 0)
    return fail("state directory", paths.root(), "must be a directory of root's that nobody else can enter",
                "chown root and chmod 700 it, or choose another with --state");
  BULKHEAD_ASSIGN(Fd lock, open_file(paths.lock(), O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return fail("state directory", paths.root(), "another bulkheadd serves it");
    return errno_error("lock", paths.lock());
  }
  return lock;
}

// One that answers: a launcher may be on its way out when we connect.
Result<LauncherClient> find_launcher(const StatePaths& paths, const std::string& beside) {
  if (auto live = LauncherClient::connect(paths.launcher_socket()); live && live->list()) return live;
  return LauncherClient::start_detached(beside + "/bulkhead-launcher", paths.root(), paths.launcher_socket());
}

Result<> run(const Options& options) {
  const StatePaths paths(options.state);
  BULKHEAD_ASSIGN(const Fd lock, take_lock(paths));
  BULKHEAD_ASSIGN(HostFacts host, probe_host());
  // Those that a policy may go on without, once, while we have one thread; a launch finds out about the others.
  BULKHEAD_ASSIGN(MissingWalls missing, try_walls(dispensable_walls(), host));
  host.missing.merge(missing);
  for (const auto& directory : {paths.bases(), paths.runs()}) BULKHEAD_TRY(make_directories(directory, 0711));
  BULKHEAD_ASSIGN(Journal journal, Journal::open(paths.journal(), JournalMode::write));
  BULKHEAD_ASSIGN(BlobStore blobs, BlobStore::open(paths.blobs(), JournalMode::write));
  const std::string beside = own_directory();
  BULKHEAD_ASSIGN(LauncherClient client, find_launcher(paths, beside));

  boost::asio::io_context io(1);
  LauncherLink launcher(io, std::move(client), [&] { return find_launcher(paths, beside); });
  BULKHEAD_ASSIGN(WorkerRunner workers,
                  WorkerRunner::create(launcher, host, beside + "/bulkhead-worker", policy_directories(beside)));
  DaemonSite site{.io = io,
                  .launcher = launcher,
                  .workers = workers,
                  .journal = journal,
                  .blobs = blobs,
                  .host = host,
                  .paths = paths,
                  .cgroup_root = cgroup_root_name(paths.root()),
                  .bases_in_the_making = {}};
  Daemon daemon(site, options.lifetime);
  launcher.on_restart([&] { daemon.launcher_restarted(); });
  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) daemon.stop();
  });
  BULKHEAD_TRY(daemon.start());
  if (options.ready_fd >= 0) {
    const std::string line = encode(Reply(ReadyReply{.pid = ::getpid()})).value();
    if (::write(options.ready_fd, line.data(), line.size()) < 0) return errno_error("tell that we are ready");
    ::close(options.ready_fd);
  }
  while (!daemon.leaving()) io.run_one();
  signals.cancel();
  launcher.stop();
  io.run_for(std::chrono::seconds(5));  // clients read their last lines
  // Nothing of ours lives any more: the launcher goes with us. One that still has sandboxes (we were told to leave
  // them) stays.
  if (const auto present = launcher.call([](LauncherClient& c) { return c.list(); }); present && present->empty())
    (void)launcher.call([](LauncherClient& c) { return c.shutdown(); });
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  auto options = read_options(argc, argv);
  if (!options) {
    std::fprintf(stderr, "%s\n%s", options.error().text().c_str(), kUsage);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(077);
  spdlog::set_default_logger(spdlog::stderr_logger_st("bulkheadd"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  Result<> ended;
  int code = 3;
  if (::geteuid() != 0) {
    ended = fail("bulkheadd", "", "must be root", "run the command with sudo");
  } else {
    try {
      ended = run(*options);
    } catch (const std::exception& e) {
      ended = fail("bulkheadd", "", e.what());
      code = 5;
    }
  }
  if (ended) return 0;
  spdlog::error("{}", ended.error().text());
  if (options->ready_fd >= 0) {
    const auto line = encode(Reply(error_reply(ended.error(), code)));
    if (line && ::write(options->ready_fd, line->data(), line->size()) < 0) return 5;
  }
  return code;
}
