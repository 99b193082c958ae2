#include "supervisor/core/daemon/workspaces.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "sandbox/launch/cgroup.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/files.h"
#include "supervisor/core/daemon/attempt_disk.h"
#include "supervisor/core/daemon/workspace_ranges.h"

namespace bulkhead {
namespace {

using namespace std::string_literals;

std::int64_t milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start).count();
}

// Owned by uid 1000 of the range. The directory above stays root's and may be passed through: the state tree's own 0700
// keeps everybody else out.
Result<> make_owned_directory(const std::string& path, std::uint32_t range) {
  BULKHEAD_TRY(make_directory(path, 0755));
  if (::chmod(path.c_str(), 0755) != 0) return errno_error("chmod", path);  // our umask is tight
  if (::lchown(path.c_str(), range + kInsideUserId, range + kInsideUserId) != 0) return errno_error("chown", path);
  return {};
}

Result<> make_passage(const std::string& path) {
  BULKHEAD_TRY(make_directories(path, 0711));
  if (::chmod(path.c_str(), 0711) != 0) return errno_error("chmod", path);
  return {};
}

Result<std::uint32_t> base_owner(const BasePaths& base) {
  BULKHEAD_ASSIGN(const std::string text, read_file(base.ready(), 4096));
  try {
    return nlohmann::json::parse(text).at("owner").get<std::uint32_t>();
  } catch (const nlohmann::json::exception& e) {
    return fail("read", base.ready(), e.what(), "remove the directory above it; it is made anew");
  }
}

// Our own seed of a fresh upper directory; nothing of the agent lives yet.
Result<> write_seed(const std::string& upper, const std::vector<SeedEntry>& seed, std::uint32_t range) {
  for (const SeedEntry& entry : seed) {
    const std::string path = upper + "/" + entry.path;
    if (entry.directory) {
      BULKHEAD_TRY(make_owned_directory(path, range));
      continue;
    }
    BULKHEAD_ASSIGN(const Fd fd, open_file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644));
    if (::write(fd.get(), entry.content.data(), entry.content.size()) != static_cast<ssize_t>(entry.content.size()))
      return errno_error("write", path);
    if (::fchown(fd.get(), range + kInsideUserId, range + kInsideUserId) != 0) return errno_error("chown", path);
  }
  return {};
}

}  // namespace

WorkerJob RunContext::owner_job(const std::string& agent, MountAccess access) const {
  WorkerJob job;
  job.kind = WorkerKind::owner;
  job.place = run + "/" + agent;
  job.owner = owner;
  job.forgo = forgo;
  job.mounts.push_back(bind_mount(facts.git_dir, facts.git_dir, access));
  for (const auto& directory : borrowed_objects)
    job.mounts.push_back(bind_mount(directory, directory, MountAccess::read_only));
  return job;
}

WorkerJob RunContext::range_job(WorkerKind kind, const std::string& agent, std::uint32_t range) const {
  WorkerJob job;
  job.kind = kind;
  job.place = run + "/" + agent;
  job.range_base = range;
  job.forgo = forgo;
  return job;
}

Async<BaseReady> prepare_base(RunContext& run, ObjectId commit) {
  const auto start = std::chrono::steady_clock::now();
  const BasePaths base = run.base_paths(commit);
  // Workspaces come next, and each begins with a registration.
  BULKHEAD_CO_TRY(run.registrar->start());
  // Another run may be making the same one just now.
  while (run.site.bases_in_the_making.contains(base.directory())) co_await pause_for(std::chrono::milliseconds(10));
  if (exists(base.ready()))
    co_return BaseReady{
        .commit = commit, .path = base.directory(), .milliseconds = milliseconds_since(start), .reused = true};

  BULKHEAD_CO_ASSIGN(const std::uint32_t range,
                     run.site.launcher.call([](LauncherClient& c) { return c.acquire_range(); }));
  const auto make = [](RunContext& ctx, ObjectId tip, BasePaths paths, std::uint32_t store) -> Async<> {
    // What a killed forerunner left half made.
    if (exists(paths.directory())) BULKHEAD_CO_TRY(remove_tree(paths.directory()));
    BULKHEAD_CO_TRY(make_passage(paths.directory()));
    BULKHEAD_CO_TRY(make_owned_directory(paths.tree(), store));
    BULKHEAD_CO_ASSIGN(const Fd pack, open_file(paths.pack(), O_RDWR | O_CREAT | O_EXCL, 0600));
    BULKHEAD_CO_ASSIGN(const Fd shallow, open_file(paths.shallow(), O_RDWR | O_CREAT | O_EXCL, 0600));
    WorkerJob packing = ctx.owner_job("_base", MountAccess::read_only);
    packing.fds = {{pack.get(), 10}, {shallow.get(), 11}};
    PackRequest request{.git_dir = ctx.facts.git_dir, .tip = tip, .exclude = {}, .pack = "fd:10", .shallow = {}};
    if (ctx.shallow) request.shallow = "fd:11";
    BULKHEAD_CO_TRY(co_await ctx.site.workers.run(std::move(packing), std::move(request)));
    ::lseek(pack.get(), 0, SEEK_SET);
    ::lseek(shallow.get(), 0, SEEK_SET);
    WorkerJob making = ctx.range_job(WorkerKind::reader, "_base", store);
    making.mounts.push_back(bind_mount(paths.tree(), std::string(worker_place::tree), MountAccess::read_write));
    making.fds = {{pack.get(), 10}, {shallow.get(), 11}};
    MakeBaseRequest made{.pack = "fd:10",
                         .shallow = ctx.shallow ? "fd:11"s : ""s,
                         .base = tip,
                         .object_format = ctx.object_format,
                         .tree = std::string(worker_place::tree)};
    BULKHEAD_CO_TRY(co_await ctx.site.workers.run(std::move(making), std::move(made)));
    ::unlink(paths.pack().c_str());
    ::unlink(paths.shallow().c_str());
    co_return write_file_atomic(paths.ready(), nlohmann::json{{"owner", store + kInsideUserId}}.dump());
  };
  run.site.bases_in_the_making.insert(base.directory());
  const auto made = co_await make(run, commit, base, range);
  run.site.bases_in_the_making.erase(base.directory());
  (void)run.site.launcher.call([&](LauncherClient& c) { return c.release_range(range); });
  if (!made) co_return std::unexpected(made.error());
  co_return BaseReady{
      .commit = commit, .path = base.directory(), .milliseconds = milliseconds_since(start), .reused = false};
}

namespace {

// Our side of a workspace: the agent's range, and what its first attempt will find.
Result<std::uint32_t> make_first_workspace(RunContext& run, const std::string& agent) {
  const AttemptPaths paths = run.paths(agent).attempt(1);
  const std::string mount = attempt_mount(run, agent, 1);
  if (exists(paths.directory())) {
    // Of a supervisor that was killed while it made this: nothing of the agent has lived in it. Nor need it be mounted.
    (void)run.site.launcher.call([&](LauncherClient& c) { return c.unmount_workspace(mount); });
    BULKHEAD_TRY(drop_disk(run, paths.directory(), DiskFiles::remove));
    BULKHEAD_TRY(remove_tree(paths.directory()));
  }
  BULKHEAD_ASSIGN(const std::uint32_t range,
                  run.site.launcher.call([](LauncherClient& c) { return c.acquire_range(); }));
  Result<> made =
      make_workspace_directories(run, agent, paths, range, agent_branch(run.run, agent), run.base_of(agent));
  if (made) {
    if (const auto at = mount_workspace(run, agent, mount, paths.upper(), paths.work(), range); !at)
      made = std::unexpected(at.error());
  }
  if (made) return range;
  (void)run.site.launcher.call([&](LauncherClient& c) { return c.release_range(range); });
  return std::unexpected(made.error());
}

}  // namespace

Async<WorkspaceReady> create_workspace(RunContext& run, std::string agent,
                                       std::chrono::steady_clock::time_point intended) {
  const AgentPaths paths = run.paths(agent);
  BULKHEAD_CO_TRY(make_passage(run.site.paths.run(run.run)));
  BULKHEAD_CO_TRY(make_passage(paths.directory()));
  BULKHEAD_CO_TRY(make_passage(paths.checkpoints()));
  BULKHEAD_CO_TRY(make_directory(paths.stub(), 0755));
  // Asked first: the worker holds the branch while we make our side.
  BULKHEAD_CO_ASSIGN(const auto asked, run.registrar->send(RegisterRequest{.git_dir = run.facts.git_dir,
                                                                           .run = run.run,
                                                                           .agent = agent,
                                                                           .base = run.base_of(agent),
                                                                           .stub = paths.stub()}));
  const auto range = make_first_workspace(run, agent);
  const auto registered = co_await run.registrar->receive(asked);
  if (!range) co_return std::unexpected(range.error());
  if (!registered) {
    const auto unmounted = unmount_workspace(run, agent, attempt_mount(run, agent, 1));
    (void)run.site.launcher.call([&](LauncherClient& c) { return c.release_range(*range); });
    co_return std::unexpected(unmounted ? registered.error() : unmounted.error());
  }
  run.agents[agent].imported_tip = registered->branch;
  co_return WorkspaceReady{
      .range_base = *range,
      .branch = agent_branch(run.run, agent),
      .microseconds =
          std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - intended).count()};
}

Result<> make_workspace_directories(RunContext& run, const std::string& agent, const AttemptPaths& paths,
                                    std::uint32_t range, const std::string& branch, const ObjectId& base) {
  BULKHEAD_TRY(make_passage(paths.directory()));
  BULKHEAD_ASSIGN(const Fd disk, make_disk(run, agent, paths, range));
  const std::string root = disk_path(disk);
  for (const char* part : {"/upper", "/work", "/home"}) BULKHEAD_TRY(make_owned_directory(root + part, range));
  if (branch.empty()) return {};
  return write_seed(root + "/upper", workspace_seed(branch, base), range);
}

Result<std::string> mount_workspace(RunContext& run, const std::string& agent, const std::string& name,
                                    const std::string& upper, const std::string& work, std::uint32_t range) {
  auto& mounted = run.agents[agent].mounted;
  if (const auto found = mounted.find(name); found != mounted.end()) return found->second;
  const BasePaths base = run.base_paths(run.base_of(agent));
  BULKHEAD_ASSIGN(const std::uint32_t lower_uid, base_owner(base));
  const WorkspaceMount mount{
      .name = name, .lower = base.tree(), .lower_uid = lower_uid, .range_base = range, .upper = upper, .work = work};
  auto path = run.site.launcher.call([&](LauncherClient& c) { return c.mount_workspace(mount); });
  if (!path && path.error().code == EEXIST) path = path.error().object;  // of a supervisor before us
  if (!path) return path;
  mounted[name] = *path;
  return path;
}

Result<> unmount_workspace(RunContext& run, const std::string& agent, const std::string& name) {
  if (run.agents[agent].mounted.erase(name) == 0) return {};
  return run.site.launcher.call([&](LauncherClient& c) { return c.unmount_workspace(name); });
}

Async<> remove_workspace_directory(RunContext& run, std::string agent, std::string directory, std::uint32_t range) {
  if (goes_with_its_disk(directory)) {
    BULKHEAD_CO_TRY(drop_disk(run, directory, DiskFiles::remove));
    co_return remove_tree(directory);
  }
  // Of a checkpoint, and of a disk that is a directory.
  for (const char* part : {"/upper", "/work", "/home", "/disk/upper", "/disk/work", "/disk/home"}) {
    const std::string path = directory + part;
    if (!exists(path) || ::rmdir(path.c_str()) == 0) continue;  // an empty one needs nobody of the range
    WorkerJob job = run.range_job(WorkerKind::copier, agent, range);
    job.mounts.push_back(bind_mount(path, std::string(worker_place::to), MountAccess::read_write));
    BULKHEAD_CO_TRY(
        co_await run.site.workers.run(std::move(job), RemoveTreeRequest{.directory = std::string(worker_place::to)}));
  }
  BULKHEAD_CO_TRY(drop_disk(run, directory, DiskFiles::remove));
  co_return remove_tree(directory);
}

namespace {

// Into a directory that is there and empty. `left`: what it may hold at most; none: no bound of ours.
Async<CopyTreeFacts> copy_tree(RunContext& run, std::string agent, std::string from, std::string to, DiskLimits left) {
  const std::uint32_t range = run.range_of(agent);
  WorkerJob job = run.range_job(WorkerKind::copier, agent, range);
  job.mounts.push_back(bind_mount(from, std::string(worker_place::from), MountAccess::read_only));
  job.mounts.push_back(bind_mount(to, std::string(worker_place::to), MountAccess::read_write));
  CopyTreeRequest request{.from = std::string(worker_place::from), .to = std::string(worker_place::to), .exclude = {}};
  if (left.bytes != 0) {
    request.max_bytes = left.bytes;
    request.max_files = left.inodes;
  }
  co_return co_await run.site.workers.run(std::move(job), std::move(request));
}

std::uint64_t entries(const CopyTreeFacts& facts) {
  return facts.files + facts.directories + facts.links + facts.whiteouts + facts.hard_links + facts.fifos;
}

// The kernel answers a freeze a little later; only when it says so does nothing of the agent write any more.
boost::asio::awaitable<bool> wait_frozen(RunContext& run, std::string node) {
  const std::string path = run.site.host.cgroups.v2_parent + "/" + run.site.cgroup_root + "/" + node + "/cgroup.events";
  for (int i = 0; i < 500; ++i) {
    const auto text = read_file(path, 4096);
    if (!text) co_return false;
    if (text->find("frozen 1") != std::string::npos) co_return true;
    co_await pause_for(std::chrono::milliseconds(1));
  }
  co_return false;
}

}  // namespace

Async<CheckpointTaken> take_checkpoint(RunContext& run, TakeCheckpoint action) {
  const AgentPaths agent = run.paths(action.agent);
  const CheckpointPaths to = agent.checkpoint(action.n);
  const AttemptPaths from = agent.attempt(action.attempt);
  if (exists(to.directory()))
    BULKHEAD_CO_TRY(co_await remove_workspace_directory(run, action.agent, to.directory(), run.range_of(action.agent)));
  BULKHEAD_CO_TRY(make_passage(to.directory()));
  BULKHEAD_CO_TRY(make_owned_directory(to.upper(), run.range_of(action.agent)));
  BULKHEAD_CO_TRY(make_owned_directory(to.home(), run.range_of(action.agent)));
  {
    BULKHEAD_CO_ASSIGN(const Fd disk, co_await open_disk(run, from));  // after a launcher that died
  }

  // Together no more than the disk they come from: so much times the few that are kept is what checkpoints can take.
  BULKHEAD_CO_ASSIGN(DiskLimits left, disk_limits(run, action.agent));
  const std::string sandbox = run.agents[action.agent].live_sandbox;
  const bool living = action.kind != CheckpointKind::result && !sandbox.empty();
  const auto start = std::chrono::steady_clock::now();
  if (living) {
    BULKHEAD_CO_TRY(run.site.launcher.call([&](LauncherClient& c) { return c.freeze(sandbox); }));
    if (!co_await wait_frozen(run, sandbox)) {
      (void)run.site.launcher.call([&](LauncherClient& c) { return c.thaw(sandbox); });
      co_return fail("freeze", sandbox, "it did not come to rest");
    }
  }
  auto upper = co_await copy_tree(run, action.agent, from.upper(), to.upper(), left);
  if (upper && left.bytes != 0) {
    left.bytes -= std::min(left.bytes - 1, upper->bytes);
    left.inodes -= std::min(left.inodes, entries(*upper));
  }
  auto home = upper ? co_await copy_tree(run, action.agent, from.home(), to.home(), left) : upper;
  // It may have been killed meanwhile: then there is nothing to thaw, and the copy is good all the same.
  if (living) (void)run.site.launcher.call([&](LauncherClient& c) { return c.thaw(sandbox); });
  const auto frozen =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  if (!home) {
    (void)co_await remove_workspace_directory(run, action.agent, to.directory(), run.range_of(action.agent));
    co_return std::unexpected(home.error());
  }
  co_return CheckpointTaken{.n = action.n,
                            .bytes = upper->bytes + home->bytes,
                            .files = upper->files + home->files,
                            .freeze_us = living ? frozen : 0};
}

Async<> restore_checkpoint(RunContext& run, std::string agent, unsigned checkpoint, AttemptPaths into) {
  const CheckpointPaths from = run.paths(agent).checkpoint(checkpoint);
  BULKHEAD_CO_TRY(make_workspace_directories(run, agent, into, run.range_of(agent), "", run.base_of(agent)));
  BULKHEAD_CO_TRY(co_await copy_tree(run, agent, from.upper(), into.upper(), {}));
  BULKHEAD_CO_TRY(co_await copy_tree(run, agent, from.home(), into.home(), {}));
  co_return Result<>{};
}

namespace {

// Files first, directories of attempts, verifications and checkpoints before what holds them. Where one part cannot be
// emptied by its own range the rest stays too: `bulkhead clean` finds it.
Async<> remove_agent_files(RunContext& run, std::string agent, std::uint32_t range) {
  const std::string directory = run.paths(agent).directory();
  if (!exists(directory)) co_return Result<>{};
  for (const std::string& parent : {run.paths(agent).checkpoints(), directory}) {
    BULKHEAD_CO_ASSIGN(const auto names, list_directory(parent));
    const bool checkpoints = parent != directory;
    for (const auto& name : names) {
      const std::string part = parent + "/" + name;
      if (!exists(part + "/disk") && !exists(part + "/upper")) continue;
      // A supervisor before us may have mounted it, and made a range for it.
      const std::string mount = run.run + "/" + agent + (checkpoints ? "/checkpoint-" : "/") + name;
      (void)run.site.launcher.call([&](LauncherClient& c) { return c.unmount_workspace(mount); });
      const std::uint32_t own = range_of_directory(part).value_or(range);
      BULKHEAD_CO_TRY(co_await remove_workspace_directory(run, agent, part, own));
      if (own != range) (void)run.site.launcher.call([&](LauncherClient& c) { return c.release_range(own); });
    }
  }
  BULKHEAD_CO_TRY(remove_tree(directory));
  ::rmdir(run.site.paths.run(run.run).c_str());  // with the last agent of the run
  co_return Result<>{};
}

}  // namespace

// Also of what was only intended: a supervisor that died half way through making a workspace may have registered it.
Async<> clean_agent(RunContext& run, Cleanup action) {
  Result<> result;
  const auto keep_first = [&](Result<> step) {
    if (!step && result) result = std::move(step);
  };
  const AgentState& state = run.state.agents.at(action.agent);
  if (state.base.empty()) co_return result;
  UnregisterRequest request{.git_dir = run.facts.git_dir,
                            .run = run.run,
                            .agent = action.agent,
                            .branch = RefFate::keep,
                            .pin = RefFate::remove,
                            .only_if = {},
                            .stub = run.paths(action.agent).stub()};
  // An agent that committed nothing leaves no branch.
  if (!state.imported || state.imported->commits == 0) {
    request.branch = RefFate::remove;
    request.only_if = state.base;
  }
  const auto unregistered = co_await run.registrar->ask(request);
  if (!unregistered) keep_first(std::unexpected(unregistered.error()));
  // After that answer, which comes after those to agents that begin: the kernel takes as long to free an overlay as was
  // looked at in it, and the launcher does nothing else meanwhile.
  const auto mounted = run.agents[action.agent].mounted;
  for (const auto& [name, path] : mounted) keep_first(unmount_workspace(run, action.agent, name));
  if (action.keep_files) {
    const std::string directory = run.paths(action.agent).directory();
    for (const auto& name : list_directory(directory).value_or(std::vector<std::string>{}))
      if (exists(directory + "/" + name + "/disk")) keep_first(drop_disk(run, directory + "/" + name, DiskFiles::keep));
    co_return result;
  }
  if (!state.workspace) {
    // A supervisor that was killed may have come as far as mounting it.
    (void)run.site.launcher.call(
        [&](LauncherClient& c) { return c.unmount_workspace(attempt_mount(run, action.agent, 1)); });
    const std::string directory = run.paths(action.agent).directory();
    if (exists(directory)) {
      keep_first(drop_disk(run, run.paths(action.agent).attempt(1).directory(), DiskFiles::remove));
      keep_first(remove_tree(directory));
    }
    ::rmdir(run.site.paths.run(run.run).c_str());
    co_return result;
  }
  const std::uint32_t range = state.workspace->range_base;
  keep_first(co_await remove_agent_files(run, action.agent, range));
  keep_first(run.site.launcher.call([&](LauncherClient& c) { return c.release_range(range); }));
  co_return result;
}

// What no decision will ask for again: of the checkpoints taken, all but the newest and the newest that is no result.
Async<> prune_checkpoints(RunContext& run, std::string agent) {
  std::vector<unsigned> numbers;
  bool kept_newest = false, kept_work = false;
  const auto& checkpoints = run.state.agents.at(agent).checkpoints;
  for (auto checkpoint = checkpoints.rbegin(); checkpoint != checkpoints.rend(); ++checkpoint) {
    if (checkpoint->is != CheckpointState::Is::taken) continue;
    const bool work = checkpoint->kind != CheckpointKind::result;
    const bool keep = !kept_newest || (work && !kept_work);
    kept_newest = true;
    kept_work = kept_work || work;
    if (!keep) numbers.push_back(checkpoint->n);
  }
  for (const unsigned n : numbers) {
    const std::string directory = run.paths(agent).checkpoint(n).directory();
    if (exists(directory))
      BULKHEAD_CO_TRY(co_await remove_workspace_directory(run, agent, directory, run.range_of(agent)));
  }
  co_return Result<>{};
}

}  // namespace bulkhead
