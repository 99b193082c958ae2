#include "sandbox/launch/launcher_client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr std::size_t kMostKills = 500;      // of one request: an id has at most 200 bytes
constexpr const char* kSpareNetworks = "4";  // about 400 KiB of kernel memory each

using nlohmann::json;

std::string init_path_beside(const std::string& launcher_path) {
  return launcher_path.substr(0, launcher_path.rfind('/') + 1) + "bulkhead-init";
}

// Between fork and exec in a process that may have threads: only what is async-signal-safe.
Result<> start_detached(const std::string& launcher_path, std::vector<std::string> arguments, int from, int to) {
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  char* environment[] = {nullptr};
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return errno_error("pipe");
  const Fd report_read(report[0]);
  Fd report_write(report[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) {
    // A session of its own: a terminal's Ctrl-C is the client's to understand.
    ::setsid();
    // The launcher is nobody's child but init's, so that it outlives us without being reparented later.
    if (::fork() != 0) ::_exit(0);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    bool ok = ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0 &&
              (from == to ? ::fcntl(from, F_SETFD, 0) == 0 : ::dup2(from, to) >= 0);
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    ok = ok && ::dup2(null, 0) >= 0 && ::dup2(null, 1) >= 0;
    if (ok) ::execve(launcher_path.c_str(), argv.data(), environment);
    const int code = errno;
    if (::write(report[1], &code, sizeof code) < 0) ::_exit(126);
    ::_exit(127);
  }
  report_write.reset();
  int code = 0;
  ssize_t n = 0;
  do n = ::read(report_read.get(), &code, sizeof code);
  while (n < 0 && errno == EINTR);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
  if (n == static_cast<ssize_t>(sizeof code)) return errno_error("execute", launcher_path, code);
  return {};
}

// The same for one that is our child and has one descriptor of ours: without a copy of what we are.
Result<pid_t> spawn(const std::string& launcher_path, std::vector<std::string> arguments, int from, int to) {
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  char* environment[] = {nullptr};
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_init(&actions);
  // A session of its own: a terminal's Ctrl-C is the client's to understand.
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  int code = ::posix_spawn_file_actions_adddup2(&actions, from, to);
  if (code == 0) code = ::posix_spawn_file_actions_addclosefrom_np(&actions, to + 1);
  pid_t pid = -1;
  if (code == 0) code = ::posix_spawn(&pid, launcher_path.c_str(), &actions, &attributes, argv.data(), environment);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (code != 0) return errno_error("execute", launcher_path, code);
  return pid;
}

Error error_from(const json& j) {
  Error error{.operation = j.at("operation").get<std::string>(),
              .object = j.at("object").get<std::string>(),
              .code = j.at("code").get<int>(),
              .detail = j.at("detail").get<std::string>(),
              .hint = j.at("hint").get<std::string>()};
  return error;
}

std::string dump(const json& request) {
  const auto bytes = json::to_cbor(request);
  return {bytes.begin(), bytes.end()};
}

std::unexpected<Error> ended_early() {
  return fail("launcher", "", "it ended before it answered", "see bulkheadd.log in the state directory");
}

json parse(const Message& message) { return json::from_cbor(message.text); }

// in, out, err as they are present, in the order the launcher takes them.
json pack_stdio(std::vector<int>& fds, int in, int out, int err) {
  json present = json::array();
  for (const int fd : {in, out, err}) {
    present.push_back(fd >= 0);
    if (fd >= 0) fds.push_back(fd);
  }
  return present;
}

}  // namespace

Result<LauncherClient> LauncherClient::connect(const std::string& socket_path) {
  LauncherClient client;
  BULKHEAD_ASSIGN(client.channel_, Channel::connect(socket_path));
  return client;
}

Result<LauncherClient> LauncherClient::start_private(const std::string& launcher_path, const std::string& state_dir,
                                                     unsigned spare_networks) {
  BULKHEAD_ASSIGN(auto channels, Channel::pair());
  const Fd theirs = channels.second.take();
  std::vector<std::string> arguments{launcher_path, "--channel-fd", "3", "--init", init_path_beside(launcher_path)};
  if (!state_dir.empty()) arguments.insert(arguments.end(), {"--state", state_dir});
  if (spare_networks != 0) arguments.insert(arguments.end(), {"--spare-networks", std::to_string(spare_networks)});
  BULKHEAD_TRY(spawn(launcher_path, std::move(arguments), theirs.get(), 3));
  LauncherClient client;
  client.channel_ = std::move(channels.first);
  client.first_range_.expected = true;
  return client;
}

Result<LauncherClient> LauncherClient::start_detached(const std::string& launcher_path, const std::string& state_dir,
                                                      const std::string& socket_path) {
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) return errno_error("pipe");
  const Fd ready_read(ready[0]);
  Fd ready_write(ready[1]);
  BULKHEAD_TRY(
      bulkhead::start_detached(launcher_path,
                               {launcher_path, "--listen", socket_path, "--state", state_dir, "--ready-fd", "3",
                                "--spare-networks", kSpareNetworks, "--init", init_path_beside(launcher_path)},
                               ready_write.get(), 3));
  ready_write.reset();
  BULKHEAD_ASSIGN(std::string words, read_fd(ready_read.get(), 4096));
  if (!words.empty()) {
    while (!words.empty() && words.back() == '\n') words.pop_back();
    return fail("start launcher", "", words);
  }
  return connect(socket_path);
}

Result<Message> LauncherClient::call(std::string request, const std::vector<int>& fds) {
  const std::uint64_t expected = serial_;
  BULKHEAD_TRY(channel_.send(request, fds));
  for (;;) {
    BULKHEAD_ASSIGN(auto message, channel_.receive());
    if (!message) return ended_early();
    try {
      const json answer = parse(*message);
      if (take_unasked(answer)) continue;
      // The answer to a call that failed before. One without a serial is to a request that could not be read: ours.
      if (const auto serial = answer.find("serial"); serial != answer.end() && serial->get<std::uint64_t>() != expected)
        continue;
      if (const auto error = answer.find("error"); error != answer.end()) return std::unexpected(error_from(*error));
    } catch (const json::exception& e) {
      return fail("launcher", "", e.what());
    }
    return std::move(*message);
  }
}

bool LauncherClient::take_unasked(const json& message) {
  if (const auto exit = message.find("exit"); exit != message.end()) {
    exits_.push_back(exit->get<ExitRecord>());
    return true;
  }
  if (const auto range = message.find("ready_range"); range != message.end()) {
    first_range_.expected = false;
    if (!range->is_null()) first_range_.base = range->get<std::uint32_t>();
    return true;
  }
  return false;
}

Result<LiveSandbox> LauncherClient::launch(const LaunchRequest& request) {
  std::vector<int> fds;
  json j = {{"op", "launch"}, {"serial", ++serial_}, {"id", request.id}, {"capture", request.capture_output}};
  j["stdio"] = pack_stdio(fds, request.stdin_fd, request.stdout_fd, request.stderr_fd);
  j["learn"] = request.learn_fd >= 0;
  if (request.learn_fd >= 0) fds.push_back(request.learn_fd);
  j["extra"] = json::array();
  for (const auto& [ours, inside] : request.extra_fds) {
    fds.push_back(ours);
    j["extra"].push_back(inside);
  }
  // The plan follows, in its own form: inside the request it would be copied byte by byte.
  BULKHEAD_ASSIGN(const Message message, call(dump(j) + encode(request.plan), fds));
  const json answer = parse(message).at("ok");
  return LiveSandbox{.id = request.id,
                     .pid = answer.at("pid").get<int>(),
                     .start_time = answer.at("start_time").get<std::uint64_t>(),
                     .cgroup = answer.at("cgroup").get<std::string>(),
                     .unseen_errno = answer.at("unseen").get<int>(),
                     .ended = {}};
}

Result<> LauncherClient::kill(const std::vector<std::string>& ids, EndReason cause) {
  Result<> all;
  for (std::span<const std::string> left(ids); !left.empty();) {
    const auto some = left.first(std::min(left.size(), kMostKills));
    const auto killed = call(dump({{"op", "kill"}, {"serial", ++serial_}, {"ids", some}, {"cause", name(cause)}}));
    if (!killed && all) all = std::unexpected(killed.error());
    left = left.subspan(some.size());
  }
  return all;
}

Result<> LauncherClient::signal(const std::string& id, int signal) {
  BULKHEAD_TRY(call(dump({{"op", "signal"}, {"serial", ++serial_}, {"id", id}, {"signal", signal}})));
  return {};
}

Result<> LauncherClient::freeze(const std::string& id) {
  BULKHEAD_TRY(call(dump({{"op", "freeze"}, {"serial", ++serial_}, {"id", id}})));
  return {};
}

Result<> LauncherClient::thaw(const std::string& id) {
  BULKHEAD_TRY(call(dump({{"op", "thaw"}, {"serial", ++serial_}, {"id", id}})));
  return {};
}

namespace {
LiveSandbox row_from(const json& row) {
  LiveSandbox live{
      .id = row.at("id").get<std::string>(), .pid = 0, .start_time = 0, .cgroup = {}, .unseen_errno = 0, .ended = {}};
  if (const auto ended = row.find("ended"); ended != row.end()) {
    live.ended = ended->get<ExitRecord>();
  } else {
    live.pid = row.at("pid").get<int>();
    live.start_time = row.at("start_time").get<std::uint64_t>();
    live.cgroup = row.at("cgroup").get<std::string>();
  }
  return live;
}
}  // namespace

Result<std::vector<LiveSandbox>> LauncherClient::list() {
  std::vector<LiveSandbox> rows;
  for (;;) {
    const std::string after = rows.empty() ? "" : rows.back().id;
    BULKHEAD_ASSIGN(const Message message, call(dump({{"op", "list"}, {"serial", ++serial_}, {"after", after}})));
    const json answer = parse(message);
    for (const auto& row : answer.at("ok")) rows.push_back(row_from(row));
    if (!answer.at("more").get<bool>()) return rows;
  }
}

Result<> LauncherClient::acknowledge(const std::string& id) {
  return channel_.send(dump({{"op", "acknowledge"}, {"serial", ++serial_}, {"id", id}}));
}

Result<std::uint32_t> LauncherClient::acquire_range(RangeUse use) {
  while (use == RangeUse::sandbox && first_range_.expected) {
    BULKHEAD_ASSIGN(const auto message, channel_.receive());
    if (!message) return ended_early();
    try {
      take_unasked(parse(*message));
    } catch (const json::exception& e) {
      return fail("launcher", "", e.what());
    }
  }
  if (use == RangeUse::sandbox && first_range_.base) return *std::exchange(first_range_.base, std::nullopt);
  BULKHEAD_ASSIGN(const Message message,
                  call(dump({{"op", "acquire_range"}, {"serial", ++serial_}, {"store", use == RangeUse::store}})));
  return parse(message).at("ok").get<std::uint32_t>();
}

Result<> LauncherClient::adopt_range(std::uint32_t base) {
  BULKHEAD_TRY(call(dump({{"op", "adopt_range"}, {"serial", ++serial_}, {"base", base}})));
  return {};
}

Result<> LauncherClient::release_range(std::uint32_t base) {
  BULKHEAD_TRY(call(dump({{"op", "release_range"}, {"serial", ++serial_}, {"base", base}})));
  return {};
}

Result<std::string> LauncherClient::mount_workspace(const WorkspaceMount& mount) {
  BULKHEAD_ASSIGN(const Message message, call(dump({{"op", "mount_workspace"},
                                                    {"serial", ++serial_},
                                                    {"name", mount.name},
                                                    {"lower", mount.lower},
                                                    {"lower_uid", mount.lower_uid},
                                                    {"range", mount.range_base},
                                                    {"upper", mount.upper},
                                                    {"work", mount.work}})));
  return parse(message).at("ok").get<std::string>();
}

Result<> LauncherClient::unmount_workspace(const std::string& name) {
  BULKHEAD_TRY(call(dump({{"op", "unmount_workspace"}, {"serial", ++serial_}, {"name", name}})));
  return {};
}

Result<DiskMechanism> LauncherClient::prepare_disk(const DiskLimits& limits) {
  BULKHEAD_ASSIGN(
      const Message message,
      call(dump({{"op", "prepare_disk"}, {"serial", ++serial_}, {"bytes", limits.bytes}, {"inodes", limits.inodes}})));
  return parse(message).at("ok") == "quota" ? DiskMechanism::quota : DiskMechanism::image;
}

Result<Fd> LauncherClient::attach_disk(const std::string& directory, std::uint32_t range, const DiskLimits& limits) {
  BULKHEAD_ASSIGN(Message message, call(dump({{"op", "attach_disk"},
                                              {"serial", ++serial_},
                                              {"directory", directory},
                                              {"range", range},
                                              {"bytes", limits.bytes},
                                              {"inodes", limits.inodes}})));
  if (message.fds.size() != 1) return fail("attach disk", directory, "no descriptor came with the answer");
  return std::move(message.fds.front());
}

Result<> LauncherClient::drop_disk(const std::string& directory, DiskFiles files) {
  BULKHEAD_TRY(call(dump(
      {{"op", "drop_disk"}, {"serial", ++serial_}, {"directory", directory}, {"keep", files == DiskFiles::keep}})));
  return {};
}

namespace {
UnpackedImage image_from(const json& row) {
  return {.tree = row.at("tree").get<std::string>(), .facts = row.at("facts").get<std::string>()};
}
}  // namespace

Result<std::optional<UnpackedImage>> LauncherClient::find_image(const std::string& store, const std::string& key) {
  BULKHEAD_ASSIGN(const Message message,
                  call(dump({{"op", "image_find"}, {"serial", ++serial_}, {"store", store}, {"key", key}})));
  const json answer = parse(message).at("ok");
  if (answer.is_null()) return std::nullopt;
  return image_from(answer);
}

Result<BegunImage> LauncherClient::begin_image(const std::string& store, const std::string& key, std::uint32_t owner) {
  BULKHEAD_ASSIGN(
      const Message message,
      call(dump({{"op", "image_begin"}, {"serial", ++serial_}, {"store", store}, {"key", key}, {"owner", owner}})));
  const json answer = parse(message).at("ok");
  return BegunImage{.tree = answer.at("tree").get<std::string>(), .left = answer.at("left").get<std::string>()};
}

Result<UnpackedImage> LauncherClient::finish_image(const std::string& store, const std::string& key,
                                                   const std::string& facts) {
  BULKHEAD_ASSIGN(
      const Message message,
      call(dump({{"op", "image_finish"}, {"serial", ++serial_}, {"store", store}, {"key", key}, {"facts", facts}})));
  return image_from(parse(message).at("ok"));
}

Result<std::string> LauncherClient::abandon_image(const std::string& store, const std::string& key) {
  BULKHEAD_ASSIGN(const Message message,
                  call(dump({{"op", "image_abandon"}, {"serial", ++serial_}, {"store", store}, {"key", key}})));
  return parse(message).at("ok").get<std::string>();
}

Result<> LauncherClient::discard_image(const std::string& tree) {
  BULKHEAD_TRY(call(dump({{"op", "image_discard"}, {"serial", ++serial_}, {"tree", tree}})));
  return {};
}

Result<> LauncherClient::exec(const std::string& id, const std::string& exec_id, const std::vector<std::string>& argv,
                              const std::map<std::string, std::string>& environment, const std::string& cwd,
                              int stdin_fd, int stdout_fd, int stderr_fd) {
  std::vector<int> fds;
  json j = {{"op", "exec"}, {"serial", ++serial_}, {"id", id},  {"exec_id", exec_id},
            {"argv", argv}, {"env", environment},  {"dir", cwd}};
  j["stdio"] = pack_stdio(fds, stdin_fd, stdout_fd, stderr_fd);
  BULKHEAD_TRY(call(dump(j), fds));
  return {};
}

Result<MissingWalls> LauncherClient::try_walls(const WallSet& walls) {
  json names = json::array();
  for (const Wall wall : walls) names.push_back(name(wall));
  BULKHEAD_ASSIGN(const Message message,
                  call(dump({{"op", "try_walls"}, {"serial", ++serial_}, {"walls", std::move(names)}})));
  MissingWalls missing;
  const json answer = parse(message);
  for (const auto& [word, text] : answer.at("ok").items())
    if (const WallInfo* info = find_wall(word)) missing[info->wall] = text.get<std::string>();
  return missing;
}

Result<> LauncherClient::shutdown() {
  BULKHEAD_TRY(call(dump({{"op", "shutdown"}, {"serial", ++serial_}})));
  return {};
}

// The channel's end is the launcher's.
Result<> LauncherClient::wait_for_end(std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (poll_exits()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd gone{.fd = channel_.fd(), .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&gone, 1, static_cast<int>(left.count())) == 0)
      return fail("wait for launcher", "", "it has not ended yet",
                  "what it unmounts may have much to write: try again");
  }
  return {};
}

Result<ExitRecord> LauncherClient::next_exit() {
  while (exits_.empty()) {
    BULKHEAD_ASSIGN(auto message, channel_.receive());
    if (!message) return fail("launcher", "", "it ended while sandboxes were alive");
    try {
      take_unasked(parse(*message));
    } catch (const json::exception& e) {
      return fail("launcher", "", e.what());
    }
  }
  ExitRecord record = std::move(exits_.front());
  exits_.pop_front();
  return record;
}

Result<std::vector<ExitRecord>> LauncherClient::poll_exits() {
  for (;;) {
    auto message = channel_.try_receive();
    if (!message && message.error().code == EAGAIN) break;
    if (!message) return std::unexpected(message.error());
    if (!*message) return fail("launcher", "", "it has ended");
    try {
      take_unasked(parse(**message));
    } catch (const json::exception& e) {
      return fail("launcher", "", e.what());
    }
  }
  std::vector<ExitRecord> records(std::make_move_iterator(exits_.begin()), std::make_move_iterator(exits_.end()));
  exits_.clear();
  return records;
}

}  // namespace bulkhead
