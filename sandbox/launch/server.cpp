#include "sandbox/launch/server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sandbox/base/cbor.h"
#include "sandbox/host/host_facts.h"
#include "sandbox/launch/descriptors.h"
#include "sandbox/launch/disk_ending.h"
#include "sandbox/launch/own_mounts.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/launch/wall_tries.h"
#include "sandbox/launch/workspace_mount.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

using nlohmann::json;

constexpr std::chrono::seconds kPruneAfter{1};
constexpr std::size_t kListBytes = 128 * 1024;  // of rows in one answer: the last may be large (kMaxMessageBytes)
constexpr std::chrono::milliseconds kAcceptAgain{200};
constexpr std::chrono::milliseconds kQuiet{3};  // without a request: time for what can be made ahead

json to_reply(const Error& what, const std::string& step = {}) {
  const Error error = with_descriptors(what);
  return {{"error",
           {{"operation", error.operation},
            {"object", error.object},
            {"code", error.code},
            {"detail", error.detail},
            {"hint", error.hint},
            {"step", step}}}};
}

template <class T>
json reply(const Result<T>& result) {
  if (!result) return to_reply(result.error());
  if constexpr (std::is_void_v<T>) {
    return {{"ok", true}};
  } else {
    return {{"ok", *result}};
  }
}

// A copy of bulkhead-init that nobody can write to: /proc/self/exe of pid 1 leads here (CVE-2019-5736). Nor can a
// sandbox read it, for which the kernel makes whoever executes it undumpable from the first instruction on.
Result<Fd> seal_init(const std::string& path) {
  BULKHEAD_ASSIGN(const Fd file, open_file(path, O_RDONLY));
  BULKHEAD_ASSIGN(const std::string content, read_fd(file.get()));
  BULKHEAD_ASSIGN(Fd sealed, make_memfd("bulkhead-init", content));
  if (::fchmod(sealed.get(), 0111) != 0) return errno_error("change mode", "bulkhead-init");
  return sealed;
}

json try_walls_named(const json& request) {
  const auto facts = probe_host();
  if (!facts) return to_reply(facts.error());
  json missing = json::object();
  for (const json& word : request.at("walls")) {
    const WallInfo* info = find_wall(word.get<std::string>());
    if (info == nullptr) continue;
    const auto tried = try_wall(info->wall, *facts);
    if (!tried) return to_reply(tried.error());
    if (*tried) missing[std::string(info->name)] = **tried;
  }
  return {{"ok", std::move(missing)}};
}

std::string cgroup_node_of(const LaunchPlan& plan) {
  for (const Operation& op : plan.operations)
    if (op.step == Step::create_cgroup) return op.target;
  return "";
}

bool safe_name(const std::string& name) {
  if (name.empty() || name.size() > 200 || name.front() == '/' || name.back() == '/') return false;
  return name.find("..") == std::string::npos && name.find("//") == std::string::npos &&
         name.find('\0') == std::string::npos && name.find('~') == std::string::npos &&
         name.find('\n') == std::string::npos;
}

// The one thing a private launcher says unasked: its first range, or null, and then it is asked for one as any other
// is.
Result<> tell_ready(const Channel& client, const json& range) {
  const auto bytes = json::to_cbor({{"ready_range", range}});
  return client.send({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, std::vector<int>{});
}

}  // namespace

Result<std::unique_ptr<LauncherServer>> LauncherServer::create(LauncherOptions options) {
  std::unique_ptr<LauncherServer> server(new LauncherServer(std::move(options)));
  BULKHEAD_TRY(server->prepare());
  return server;
}

LauncherServer::~LauncherServer() = default;

Result<> LauncherServer::prepare() {
  // Our mounts end with us and our sandboxes.
  BULKHEAD_TRY(enter_own_mounts());
  BULKHEAD_ASSIGN(const HostFacts facts, probe_host());
  BULKHEAD_ASSIGN(init_, seal_init(options_.init_path));
  BULKHEAD_ASSIGN(UidRanges ranges, UidRanges::open(options_.uid_lock_file, options_.cgroup_root));
  ranges_ = std::make_unique<UidRanges>(std::move(ranges));
  site_ = {.cgroups = facts.cgroups,
           .cgroup_root = options_.cgroup_root,
           .init_fd = init_.get(),
           .last_capability = facts.last_capability,
           .end_with_launcher = options_.only_client.valid(),
           .roots = nullptr,
           .networks = nullptr};
  // Named after our pid: what is there is a dead one's. What could not be removed is an error when it is in the way.
  if (options_.only_client.valid()) (void)remove_cgroup_root(site_.cgroups, site_.cgroup_root);
  if (!options_.state_dir.empty()) {
    BULKHEAD_TRY(make_directory(options_.state_dir + "/exits", 0700));
    BULKHEAD_TRY(make_directory(options_.state_dir + "/mnt", 0700));
    BULKHEAD_TRY(end_forerunners_sandboxes());
    ended_ = ExitRecords(options_.state_dir);
    BULKHEAD_TRY(ended_.read());
    // Mount points live on a tmpfs of the private namespace: nothing on disk but one empty directory.
    if (::mount("bulkhead-mnt", (options_.state_dir + "/mnt").c_str(), "tmpfs", MS_NOSUID | MS_NODEV,
                "mode=0700,size=1m") != 0)
      return errno_error("mount", options_.state_dir + "/mnt");
  }
  BULKHEAD_ASSIGN(roots_, PreparedRoots::open());
  site_.roots = &*roots_;
  BULKHEAD_ASSIGN(networks_, SpareNetworks::open(options_.spare_networks));
  site_.networks = &*networks_;
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.valid()) return errno_error("epoll_create1");
  if (!options_.state_dir.empty()) {
    BULKHEAD_ASSIGN(Disks disks, Disks::open(options_.state_dir));
    disks_.emplace(std::move(disks));
    BULKHEAD_TRY(watch(disks_->fd()));
  }
  if (options_.listener.valid()) BULKHEAD_TRY(watch(options_.listener.get()));
  private_ = options_.only_client.valid();
  if (private_) {
    BULKHEAD_TRY(watch(options_.only_client.fd()));
    clients_.push_back(std::make_unique<Client>());
    clients_.back()->channel = std::move(options_.only_client);
    tell_all_again();
    BULKHEAD_TRY(make_ready());
  }
  idle_since_ = Clock::now();
  return {};
}

// Our one sandbox's range and network, while the client still reads its policy. What fails here fails again when it is
// asked for.
Result<> LauncherServer::make_ready() {
  json range;
  if (const auto base = ranges_->acquire(); base && ranges_->user_namespace(*base)) range = *base;
  BULKHEAD_TRY(tell_ready(clients_.front()->channel, range));
  (void)networks_->add_one();
  return {};
}

// A launcher that died left its sandboxes without limits on their time and without a parent: whoever comes next ends
// them. Their agents are gone on with from their checkpoints.
Result<> LauncherServer::end_forerunners_sandboxes() {
  constexpr int kTries = 500;
  for (int i = 0; i < kTries; ++i) {
    BULKHEAD_TRY(kill_cgroup_root(site_.cgroups, site_.cgroup_root));
    if (cgroup_root_processes(site_.cgroups, site_.cgroup_root).empty()) break;
    ::poll(nullptr, 0, 10);
  }
  return remove_cgroup_root(site_.cgroups, site_.cgroup_root);
}

void LauncherServer::stop_listening() {
  if (!options_.listener.valid()) return;
  ::unlink(options_.socket_path.c_str());
  options_.listener.reset();
  accept_at_.reset();
}

Result<> LauncherServer::watch(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return errno_error("watch descriptor");
  return {};
}

// Before it is closed: a child that has not executed yet may hold a copy, and would keep it in the set.
void LauncherServer::unwatch(int fd) { (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

Result<> LauncherServer::run() {
  while (!stop_) {
    epoll_event events[64];
    const int count = ::epoll_wait(epoll_.get(), events, 64, wait_milliseconds());
    if (count < 0 && errno != EINTR) return errno_error("epoll_wait");
    // Exits first: what a request is told is then up to date.
    for (const bool exits : {true, false})
      for (int i = 0; i < count; ++i)
        if (by_pidfd_.contains(events[i].data.fd) == exits) handle_event(events[i].data.fd);
    std::erase_if(clients_, [&](const auto& client) {
      if (client->gone) unwatch(client->channel.fd());
      return client->gone;
    });
    if (clients_.empty()) images_.abandon_all();
    if (private_ && clients_.empty()) stop_ = true;
    if (count == 0 && !networks_->complete())
      if (auto added = networks_->add_one(); !added)
        networks_ = SpareNetworks();  // starts make their own, and say why not
    if (count == 0 && disks_ && disks_->wants_spare()) disks_->make_spare();
    tick();
  }
  const UseReserve reserve;
  kill_everything();
  const auto removed = remove_cgroup_root(site_.cgroups, site_.cgroup_root);
  unmount_everything();
  return removed;
}

void LauncherServer::handle_event(int fd) {
  if (disks_ && fd == disks_->fd()) return disks_->on_event();
  if (const auto sandbox = by_pidfd_.find(fd); sandbox != by_pidfd_.end())
    return conclude(std::string(sandbox->second));
  if (const auto host = by_guests_fd_.find(fd); host != by_guests_fd_.end())
    return conclude_guests(living_.at(host->second));
  if (fd == options_.listener.get()) return accept_clients();
  for (auto& client : clients_)
    if (client->channel.fd() == fd && !client->gone) return serve(*client);
}

int LauncherServer::wait_milliseconds() const {
  auto next = Clock::time_point::max();
  if (!looks_.empty()) next = looks_.begin()->first;
  const auto now = Clock::now();
  if (!cgroups_to_remove_.empty()) next = std::min(next, now + std::chrono::milliseconds(5));
  if (!networks_->complete() || (disks_ && disks_->wants_spare())) next = std::min(next, now + kQuiet);
  if (prune_at_) next = std::min(next, *prune_at_);
  if (drop_roots_at_) next = std::min(next, *drop_roots_at_);
  if (accept_at_) next = std::min(next, *accept_at_);
  if (!private_ && clients_.empty() && living_.empty()) next = std::min(next, idle_since_ + options_.linger);
  if (!untold_.empty() && !clients_.empty()) next = std::min(next, now + std::chrono::milliseconds(100));
  if (next == Clock::time_point::max()) return -1;
  const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(next - now).count();
  return static_cast<int>(std::clamp<long>(wait + 1, 0, 60000));
}

void LauncherServer::tick() {
  const auto now = Clock::now();
  if (accept_at_ && *accept_at_ <= now)
    accept_at_ = watch(options_.listener.get()) ? std::nullopt : std::optional(now + kAcceptAgain);
  const UseReserve reserve;
  while (!looks_.empty() && looks_.begin()->first <= now) {
    const std::string id = looks_.begin()->second;
    looks_.erase(looks_.begin());
    if (Sandbox* sandbox = find(id))
      if (const auto again = sandbox->enforce(now)) looks_.emplace(*again, id);
  }
  for (const std::string& id : std::vector(untold_.begin(), untold_.end())) tell(ended_.all().at(id));
  remove_cgroups();
  if (prune_at_ && *prune_at_ <= now) prune_cgroups();
  if (!drop_roots_at_ || *drop_roots_at_ <= now) drop_roots_at_ = roots_->drop_unused(now);
  if (!clients_.empty() || !living_.empty()) {
    idle_since_ = now;
  } else if (!private_ && now - idle_since_ >= options_.linger) {
    stop_listening();
    stop_ = true;
  }
}

void LauncherServer::remove_cgroups() {
  std::erase_if(cgroups_to_remove_, [&](Sandbox& sandbox) {
    const auto removed = sandbox.remove_cgroup();
    if (removed) prune_above(sandbox.cgroup_node());
    return removed || removed.error().code != EBUSY;
  });
}

// Nodes that only hold others stay for the next sandbox of their run, and go in a quiet moment.
void LauncherServer::prune_above(std::string node) {
  if (node.empty()) return;
  nodes_gone_.insert(std::move(node));
  prune_at_ = Clock::now() + kPruneAfter;
}

void LauncherServer::prune_cgroups() {
  prune_at_.reset();
  std::set<std::string> kept;
  for (const auto& [id, sandbox] : living_) kept.insert(sandbox.cgroup_node());
  for (const std::string& node : nodes_gone_) remove_empty_parents(site_.cgroups, site_.cgroup_root, node, kept);
  nodes_gone_.clear();
}

void LauncherServer::accept_clients() {
  for (;;) {
    Fd fd(::accept4(options_.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    // Out of descriptors or memory it would stay readable: looked at again in a while, when some may be free.
    if (!fd.valid() && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
      unwatch(options_.listener.get());
      accept_at_ = Clock::now() + kAcceptAgain;
    }
    if (!fd.valid()) return;
    ucred peer{};
    socklen_t length = sizeof peer;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.uid != 0)
      continue;  // closed: root only
    if (!watch(fd.get())) continue;
    clients_.push_back(std::make_unique<Client>());
    clients_.back()->channel = Channel(std::move(fd));
    tell_all_again();
  }
}

void LauncherServer::serve(Client& client) {
  auto message = [&] {
    const UseReserve reserve;  // for what comes with it, which what is asked for may be refused for
    return client.channel.try_receive();
  }();
  if (!message && message.error().code == EAGAIN) return;
  if (!message || !*message) {
    client.gone = true;
    return;
  }
  json answer;
  try {
    std::string_view rest;
    if (const auto request = read_cbor((*message)->text, &rest)) {
      answer = handle(*request, rest, std::move((*message)->fds));
      if (answer.is_null()) return;
      answer["serial"] = request->at("serial");
    } else {
      answer = to_reply(request.error());
    }
  } catch (const json::exception& e) {
    answer = to_reply(Error{.operation = "read request", .detail = e.what()});
  }
  auto bytes = json::to_cbor(answer);
  Fd with = std::move(answered_);
  if (bytes.size() > kMaxMessageBytes) {
    json instead = to_reply(Error{.operation = "answer", .code = EMSGSIZE});
    if (const auto serial = answer.find("serial"); serial != answer.end()) instead["serial"] = *serial;
    bytes = json::to_cbor(instead);
    with.reset();
  }
  if (!client.channel.send({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                           with.valid() ? std::vector{with.get()} : std::vector<int>{}))
    client.gone = true;
}

Sandbox* LauncherServer::find(const std::string& id) {
  const auto found = living_.find(id);
  return found == living_.end() ? nullptr : &found->second;
}

namespace {
// Requests that take nothing on.
const std::set<std::string, std::less<>> kEndings{
    "kill",      "signal",        "freeze",       "thaw", "list", "release_range", "unmount_workspace",
    "drop_disk", "image_abandon", "image_discard"};
}  // namespace

json LauncherServer::handle(const json& request, std::string_view rest, std::vector<Fd> fds) {
  const auto op = request.at("op").get<std::string>();
  std::optional<UseReserve> reserve;
  if (kEndings.contains(op)) reserve.emplace();
  const auto with_sandbox = [&](auto&& action) -> json {
    const auto id = request.at("id").get<std::string>();
    Sandbox* sandbox = find(id);
    if (sandbox == nullptr) return to_reply(Error{.operation = op, .object = id, .code = ESRCH});
    return reply(action(*sandbox));
  };
  if (op == "launch") return launch(request, rest, std::move(fds));
  if (op == "exec") return exec(request, std::move(fds));
  if (op == "kill") return reply(kill(request));
  if (op == "signal") {
    const auto id = request.at("id").get<std::string>();
    const int number = request.at("signal").get<int>();
    return reply(on_sandbox_or_guest(
        id, [&](Sandbox& s) { return s.signal(number); },
        [&](const Sandbox& host) { return guests_.signal(host, id, number); }));
  }
  if (op == "freeze") return with_sandbox([&](Sandbox& s) { return s.set_frozen(true); });
  if (op == "thaw") return with_sandbox([&](Sandbox& s) { return s.set_frozen(false); });
  if (op == "list") return list(request.value("after", ""));
  if (op == "acknowledge") {
    const auto id = request.at("id").get<std::string>();
    ended_.forget(id);
    untold_.erase(id);
    return {};  // nobody waits: who does not know a record has nothing to forget
  }
  if (op == "acquire_range") {
    if (request.value("store", false)) return reply(ranges_->acquire(RangeUse::store));
    return reply(ranges_->acquire());
  }
  if (op == "adopt_range") return reply(ranges_->adopt(request.at("base").get<std::uint32_t>()));
  if (op == "release_range") return reply(ranges_->release(request.at("base").get<std::uint32_t>()));
  if (op == "mount_workspace")
    return reply(mount_workspace({.name = request.at("name").get<std::string>(),
                                  .lower = request.at("lower").get<std::string>(),
                                  .lower_uid = request.at("lower_uid").get<std::uint32_t>(),
                                  .range_base = request.at("range").get<std::uint32_t>(),
                                  .upper = request.at("upper").get<std::string>(),
                                  .work = request.at("work").get<std::string>()}));
  if (op == "unmount_workspace") return reply(unmount_workspace(request.at("name").get<std::string>()));
  if (op == "try_walls") return try_walls_named(request);
  if (op.ends_with("_disk")) return handle_disk(op, request);
  if (op.starts_with("image_")) return image(op, request);
  if (op == "shutdown") {
    stop_listening();
    stop_ = true;
    return {{"ok", true}};
  }
  return to_reply(Error{.operation = "request", .object = op, .detail = "unknown operation"});
}

json LauncherServer::image(const std::string& op, const json& request) {
  if (op == "image_discard") return reply(images_.discard(request.at("tree").get<std::string>()));
  const auto store = request.at("store").get<std::string>(), key = request.at("key").get<std::string>();
  const auto row = [](const UnpackedImage& image) { return json{{"tree", image.tree}, {"facts", image.facts}}; };
  if (op == "image_find") {
    const auto found = images_.find(store, key);
    if (!found) return to_reply(found.error());
    return {{"ok", *found ? row(**found) : json()}};
  }
  if (op == "image_begin") {
    const auto begun = images_.begin(store, key, request.at("owner").get<std::uint32_t>());
    if (!begun) return to_reply(begun.error());
    return {{"ok", {{"tree", begun->tree}, {"left", begun->left}}}};
  }
  if (op == "image_finish") {
    const auto finished = images_.finish(store, key, request.at("facts").get<std::string>());
    if (!finished) return to_reply(finished.error());
    return {{"ok", row(*finished)}};
  }
  if (op == "image_abandon") return reply(images_.abandon(store, key));
  return to_reply(Error{.operation = "request", .object = op, .detail = "unknown operation"});
}

namespace {

struct RequestStdio {
  Stdio stdio;
  bool complete = true;
};

// Descriptors come in the order in, out, err (absent ones left out), learn where it is there, then extras; "stdio" says
// which are there.
RequestStdio take_stdio(const json& request, const std::vector<Fd>& fds) {
  RequestStdio taken;
  std::size_t next = 0;
  const auto take = [&](bool present) {
    if (!present) return -1;
    if (next >= fds.size()) {
      taken.complete = false;
      return -1;
    }
    return fds[next++].get();
  };
  const auto& present = request.at("stdio");
  taken.stdio.in = take(present.at(0).get<bool>());
  taken.stdio.out = take(present.at(1).get<bool>());
  taken.stdio.err = take(present.at(2).get<bool>());
  taken.stdio.capture = request.value("capture", false);
  taken.stdio.learn = take(request.value("learn", false));
  if (const auto extra = request.find("extra"); extra != request.end())
    for (const auto& number : *extra) taken.stdio.extra.emplace_back(take(true), number.get<int>());
  return taken;
}

}  // namespace

json LauncherServer::launch(const json& request, std::string_view encoded, std::vector<Fd> fds) {
  const auto id = request.at("id").get<std::string>();
  if (!safe_name(id)) return to_reply(Error{.operation = "launch", .object = id, .detail = "not a usable sandbox id"});
  if (living_.contains(id) || guests_.contains(id) || ended_.contains(id))
    return to_reply(Error{.operation = "launch", .object = id, .code = EEXIST});
  auto plan = decode(encoded);
  if (!plan) return to_reply(plan.error());
  const RequestStdio taken = take_stdio(request, fds);
  if (!taken.complete) return to_reply(Error{.operation = "launch", .object = id, .detail = "descriptors are missing"});
  const auto user_namespace = namespace_for(*plan);
  if (!user_namespace) return to_reply(user_namespace.error(), std::string(name(Step::user_namespace)));
  // Nobody starts in what somebody forgot to bound.
  if (const std::string disk = disk_of(*plan); !disk.empty() && !(disks_ && disks_->is_attached(disk)))
    return to_reply(Error{.operation = "bound disk", .object = disk, .detail = "it is not attached"},
                    std::string(name(Step::limit_disk)));
  auto record = ended_.open_init_record(id);
  if (!record) return to_reply(record.error());
  std::string node = cgroup_node_of(*plan);
  auto sandbox = Sandbox::launch(site_, id, std::move(*plan), *user_namespace, taken.stdio, std::move(*record));
  if (!sandbox) {
    prune_above(std::move(node));
    ended_.drop_init_record(id);
    return to_reply(sandbox.error().error, sandbox.error().step);
  }
  const json answer = {{"ok",
                        {{"pid", sandbox->pid()},
                         {"start_time", sandbox->start_time()},
                         {"cgroup", sandbox->cgroup_node()},
                         {"unseen", sandbox->unseen_errno()}}}};
  if (auto watched = register_sandbox(std::move(*sandbox)); !watched) return to_reply(watched.error());
  return answer;
}

// The user namespace a plan names; -1 where it names none.
Result<int> LauncherServer::namespace_for(const LaunchPlan& plan) {
  for (const Operation& op : plan.operations) {
    if (op.step != Step::user_namespace) continue;
    BULKHEAD_ASSIGN(const RangeNamespace* made, ranges_->user_namespace(static_cast<std::uint32_t>(op.number)));
    if ((op.flags & kNoneBelow) && made->below_errno != 0)
      return errno_error("forbid namespaces below", "/proc/sys/user/max_user_namespaces", made->below_errno);
    return made->fd.get();
  }
  return -1;
}

template <class OnSandbox, class OnGuest>
Result<> LauncherServer::on_sandbox_or_guest(const std::string& id, OnSandbox on_sandbox, OnGuest on_guest) {
  const bool guest = guests_.contains(id);
  Sandbox* const host = find(guest ? guests_.host_of(id) : id);
  if (host == nullptr) return errno_error("find sandbox", id, ESRCH);
  return guest ? on_guest(*host) : on_sandbox(*host);
}

// All that are named, whatever becomes of some; the first failure is told.
Result<> LauncherServer::kill(const json& request) {
  const EndReason cause =
      parse_end_reason(request.at("cause").get<std::string>()).value_or(EndReason::killed_by_request);
  Result<> all;
  for (const auto& id : request.at("ids").get<std::vector<std::string>>()) {
    const auto killed = on_sandbox_or_guest(
        id, [&](Sandbox& s) { return s.kill(cause); },
        [&](const Sandbox& host) { return guests_.kill(host, id, cause); });
    if (!killed && all) all = killed;
  }
  return all;
}

json LauncherServer::exec(const json& request, std::vector<Fd> fds) {
  const auto id = request.at("id").get<std::string>();
  const auto exec_id = request.at("exec_id").get<std::string>();
  Sandbox* host = find(id);
  if (host == nullptr) return to_reply(Error{.operation = "exec", .object = id, .code = ESRCH});
  if (!safe_name(exec_id) || living_.contains(exec_id) || guests_.contains(exec_id) || ended_.contains(exec_id))
    return to_reply(Error{.operation = "exec", .object = exec_id, .code = EEXIST});
  const RequestStdio taken = take_stdio(request, fds);
  CommandSpec command;
  request.at("argv").get_to(command.argv);
  request.at("env").get_to(command.environment);
  auto directory = SandboxPath::parse(request.at("dir").get<std::string>());
  if (!directory) return to_reply(directory.error());
  if (command.argv.empty() || !taken.complete)
    return to_reply(Error{.operation = "exec", .object = exec_id, .code = EINVAL});
  command.directory = *directory;
  if (auto started = guests_.start(*host, exec_id, command, taken.stdio); !started) return to_reply(started.error());
  if (by_guests_fd_.emplace(host->guests_fd(), id).second)
    if (auto watched = watch(host->guests_fd()); !watched) {  // nobody would hear of its end
      keep_and_tell(guests_.end_all(id));
      stop_guests(*host);  // and of no other's
      return to_reply(watched.error());
    }
  return {{"ok", true}};
}

Result<> LauncherServer::register_sandbox(Sandbox sandbox) {
  const std::string id = sandbox.id();
  const int pidfd = sandbox.pidfd();
  const auto [at, inserted] = living_.emplace(id, std::move(sandbox));
  by_pidfd_[pidfd] = id;
  if (auto watched = watch(pidfd); !watched) {  // out of descriptors or memory: nobody would hear of its end
    (void)at->second.kill(EndReason::killed_by_request);
    conclude(id);
    return watched;
  }
  if (const auto look = at->second.first_look()) looks_.emplace(*look, id);
  return {};
}

// Record, then reap, then tell: whoever is killed between two of these finds the rest done or to be done again.
void LauncherServer::conclude(const std::string& id) {
  const UseReserve reserve;
  const auto found = living_.find(id);
  Sandbox& sandbox = found->second;
  if (by_guests_fd_.contains(sandbox.guests_fd())) {
    conclude_guests(sandbox);  // what init still said of them
    keep_and_tell(guests_.end_all(id));
    stop_guests(sandbox);
  }
  const std::string disk = disk_of(sandbox.plan());
  const ExitRecord& record =
      ended_.keep(sandbox.conclude(disk.empty() || !disks_ ? std::nullopt : disks_->usage(disk)));
  by_pidfd_.erase(sandbox.pidfd());
  unwatch(sandbox.pidfd());
  sandbox.reap();
  cgroups_to_remove_.push_back(std::move(sandbox));
  living_.erase(found);
  remove_cgroups();
  tell(record);
}

// What a sandbox's init says of the further commands in it.
void LauncherServer::conclude_guests(Sandbox& host) {
  bool hung_up = false;
  keep_and_tell(guests_.collect(host, hung_up));
  if (!hung_up) return;
  keep_and_tell(guests_.end_all(host.id()));
  stop_guests(host);
}

void LauncherServer::stop_guests(Sandbox& host) {
  if (by_guests_fd_.erase(host.guests_fd()) == 0) return;
  unwatch(host.guests_fd());
  host.hang_up();
}

void LauncherServer::keep_and_tell(std::vector<ExitRecord> records) {
  for (ExitRecord& record : records) tell(ended_.keep(std::move(record)));
}

// A new supervisor hears of every exit nobody acknowledged.
void LauncherServer::tell_all_again() {
  for (const auto& [id, record] : ended_.all()) untold_.insert(id);
}

void LauncherServer::tell(const ExitRecord& record) {
  const auto bytes = json::to_cbor({{"exit", json(record)}});
  bool told = false;
  for (const auto& client : clients_) {
    if (client->gone) continue;
    // A client that does not read is told later: nothing of ours waits for it.
    const ssize_t sent = ::send(client->channel.fd(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(bytes.size())) told = true;
  }
  if (told)
    untold_.erase(record.id);
  else
    untold_.insert(record.id);
}

// By id, those after `after`, as many as one message holds; "more" where there are others.
json LauncherServer::list(const std::string& after) const {
  json rows = json::array();
  std::size_t bytes = 0;
  auto alive = living_.upper_bound(after);
  auto ended = ended_.all().upper_bound(after);
  while (bytes < kListBytes && (alive != living_.end() || ended != ended_.all().end())) {
    json row;
    if (ended == ended_.all().end() || (alive != living_.end() && alive->first < ended->first)) {
      const Sandbox& sandbox = alive->second;
      row = {{"id", alive->first},
             {"pid", sandbox.pid()},
             {"start_time", sandbox.start_time()},
             {"cgroup", sandbox.cgroup_node()}};
      ++alive;
    } else {
      row = {{"id", ended->first}, {"ended", json(ended->second)}};
      ++ended;
    }
    bytes += json::to_cbor(row).size();
    rows.push_back(std::move(row));
  }
  const bool more = alive != living_.end() || ended != ended_.all().end();
  return {{"ok", std::move(rows)}, {"more", more}};
}

Result<std::string> LauncherServer::mount_workspace(const WorkspaceMount& mount) {
  if (options_.state_dir.empty()) return fail("mount workspace", mount.name, "this launcher has no state directory");
  if (!safe_name(mount.name)) return fail("mount workspace", mount.name, "not a usable name");
  const std::string at = options_.state_dir + "/mnt/" + file_name(mount.name);
  if (exists(at)) return errno_error("mount workspace", at, EEXIST);
  BULKHEAD_ASSIGN(const RangeNamespace* range, ranges_->user_namespace(mount.range_base));
  const std::string staging = options_.state_dir + "/mnt/.staging";
  BULKHEAD_TRY(make_directory(staging, 0700));
  BULKHEAD_ASSIGN(const Fd overlay, make_workspace_overlay(mount, range->fd.get(), staging));
  BULKHEAD_TRY(make_directory(at, 0700));
  if (::move_mount(overlay.get(), "", AT_FDCWD, at.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    auto error = errno_error("attach workspace at", at);
    ::rmdir(at.c_str());
    return error;
  }
  workspaces_.push_back(mount.name);
  return at;
}

Result<> LauncherServer::unmount_workspace(const std::string& name) {
  const auto found = std::ranges::find(workspaces_, name);
  if (found == workspaces_.end()) return errno_error("unmount workspace", name, ENOENT);
  const std::string at = options_.state_dir + "/mnt/" + file_name(name);
  BULKHEAD_TRY(disks_->unmount(at));
  workspaces_.erase(found);  // not before: what is still mounted can be asked for again, and goes when we end
  if (::rmdir(at.c_str()) != 0) return errno_error("remove", at);
  return {};
}

json LauncherServer::handle_disk(const std::string& op, const json& request) {
  if (!disks_) return to_reply(Error{.operation = op, .detail = "this launcher has no state directory"});
  const auto limits = [&] {
    return DiskLimits{.bytes = request.at("bytes").get<std::uint64_t>(),
                      .inodes = request.at("inodes").get<std::uint64_t>()};
  };
  if (op == "prepare_disk") {
    const auto mechanism = disks_->prepare(limits());
    if (!mechanism) return to_reply(mechanism.error());
    return {{"ok", *mechanism == DiskMechanism::quota ? "quota" : "image"}};
  }
  const auto directory = request.at("directory").get<std::string>();
  if (op == "attach_disk") {
    auto root = disks_->attach(directory, request.at("range").get<std::uint32_t>(), limits());
    if (!root) return to_reply(root.error());
    answered_ = std::move(*root);
    return {{"ok", true}};
  }
  if (op == "drop_disk")
    return reply(disks_->drop(directory, request.at("keep").get<bool>() ? Disks::Files::keep : Disks::Files::remove));
  return to_reply(Error{.operation = "request", .object = op, .detail = "unknown operation"});
}

// Whoever sees us gone finds no device of ours in use.
void LauncherServer::unmount_everything() {
  if (!disks_) return;
  for (const std::string& name : workspaces_) (void)disks_->unmount(options_.state_dir + "/mnt/" + file_name(name));
  workspaces_.clear();
  disks_->end();
}

// After this no process of ours lives and no cgroup of ours is left, unless the kernel takes longer than two seconds.
void LauncherServer::kill_everything() {
  for (auto& [id, sandbox] : living_) (void)sandbox.kill(EndReason::killed_by_request);
  while (!living_.empty()) conclude(std::string(living_.begin()->first));
  const auto deadline = Clock::now() + std::chrono::seconds(2);
  while (!cgroups_to_remove_.empty() && Clock::now() < deadline) {
    remove_cgroups();
    if (!cgroups_to_remove_.empty()) ::poll(nullptr, 0, 2);
  }
}

void tell_failure(Channel& client, const Error& why) {
  if (!tell_ready(client, nullptr)) return;
  for (;;) {
    const auto message = client.receive();
    if (!message || !*message) return;
    json answer = to_reply(why);
    std::string_view plan;
    if (const auto request = read_cbor((*message)->text, &plan); request && request->is_object()) {
      if (request->value("op", "") == "try_walls") answer = try_walls_named(*request);
      answer["serial"] = request->value("serial", 0);
    }
    const auto bytes = json::to_cbor(answer);
    if (!client.send({reinterpret_cast<const char*>(bytes.data()), bytes.size()})) return;
  }
}

}  // namespace bulkhead
