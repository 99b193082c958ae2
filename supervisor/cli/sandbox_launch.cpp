#include "supervisor/cli/sandbox_launch.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "sandbox/base/text.h"
#include "sandbox/plan/required_walls.h"
#include "supervisor/cli/console.h"

namespace bulkhead {
namespace {

// Where the caller stands, if the policy mounts it; else the home directory that the policy sets, else /.
SandboxPath inside_directory(const SandboxSpec& spec, const Context& context) {
  const auto here = SandboxPath::parse(context.directory);
  if (here)
    for (const MountSpec& mount : spec.mounts()) {
      const bool same_inside = mount.type == MountType::bind && mount.source == mount.target.str();
      if (same_inside && (*here == mount.target || here->is_below(mount.target))) return *here;
    }
  if (const auto home = spec.environment_set().find("HOME"); home != spec.environment_set().end())
    if (const auto path = SandboxPath::parse(home->second))
      for (const MountSpec& mount : spec.mounts())
        if (mount.target == *path) return *path;
  return {};
}

Placement placement_for(const SandboxSpec& spec, const CallerIdentity& caller) {
  Placement placement;
  if (!spec.allows(Loosening::host_identity)) return placement;
  placement.use_host_identity = true;
  placement.host_uid = caller.uid;
  placement.host_gid = caller.gid;
  placement.host_groups.assign(caller.groups.begin(), caller.groups.end());
  return placement;
}

}  // namespace

Outcome<> try_dispensable(LauncherClient& launcher, const SandboxSpec& spec, HostFacts& host) {
  WallSet open;
  for (const Wall wall : walls_of(spec, placement_for(spec, {})))
    if (about(wall).need == WallNeed::default_ && !spec.required().contains(wall)) open.insert(wall);
  // Where there is no user namespace, none are forbidden below it: that wall then stands by itself or not at all.
  if (open.contains(Wall::user_namespace)) open.insert(Wall::no_namespaces_below);
  if (open.empty()) return {};
  auto missing = or_exit(ExitCode::host_lacks, launcher.try_walls(open));
  if (!missing) return std::unexpected(missing.error());
  host.missing.merge(*missing);
  return {};
}

Failure explain_failure(LauncherClient& launcher, const SandboxSpec& spec, Failure failed) {
  const WallSet required = required_here(spec, placement_for(spec, {}));
  const auto missing = launcher.try_walls(required);
  if (!missing) return failed;
  if (auto stand = check_required(required, *missing); !stand)
    return {.error = stand.error(), .code = static_cast<int>(ExitCode::host_lacks)};
  return failed;
}

Outcome<LaunchPlan> plan_for(const Context& context, const SandboxSpec& spec, const HostFacts& host,
                             std::vector<std::string> command, std::uint32_t range, const std::string& cgroup,
                             bool learn, const std::optional<PreparedImage>& image) {
  CommandSpec what{.argv = std::move(command),
                   .environment = compose_environment(spec, context.caller.environment, {}),
                   .directory = inside_directory(spec, context)};
  if (image) what.environment = with_image(std::move(what.environment), *image);
  Placement placement = placement_for(spec, context.caller);
  placement.cgroup = cgroup;
  placement.range_base = range;
  placement.learn = learn;
  if (image) placement.image_tree = image->tree;
  return or_exit(ExitCode::host_lacks, compile_plan(spec, what, placement, host));
}

Outcome<ExitRecord> wait_for_end(LauncherClient& launcher, const std::string& id, Signals& signals) {
  bool asked = false;
  while (true) {
    auto ended = or_exit(ExitCode::fault, launcher.poll_exits());
    if (!ended) return std::unexpected(ended.error());
    for (ExitRecord& record : *ended)
      if (record.id == id) return std::move(record);
    std::array<pollfd, 2> waits{{{launcher.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR)
      return failure(ExitCode::fault, errno_error("wait for the sandbox").error());
    const int signal = waits[1].revents == 0 ? 0 : signals.take();
    if (signal == 0) continue;
    const bool ending = signal == SIGINT || signal == SIGTERM || signal == SIGHUP;
    const auto sent = asked && ending ? launcher.kill(id, EndReason::killed_by_request) : launcher.signal(id, signal);
    // Most likely the command has ended meanwhile: its record is on the way. A launcher that is gone shows above.
    if (!sent) {
      err_line("bulkhead: pass " + signal_text(signal) + " on: " + printable(sent.error().text()));
      continue;
    }
    if (ending && !asked) {
      asked = true;
      err_line("bulkhead: passed " + signal_text(signal) + " on to the command; once more ends the sandbox");
    }
  }
}

Outcome<ExitRecord> run_to_end(LauncherClient& launcher, const SandboxSpec& spec, const std::string& id,
                               LaunchPlan plan, int stdout_fd, Signals& signals,
                               const std::function<void(const LiveSandbox&)>& started, Observed& observed) {
  Fd notes;
  if (!plan.learning.empty()) {
    notes = Fd(::memfd_create("bulkhead-observed", MFD_CLOEXEC));
    if (!notes.valid()) return failure(ExitCode::fault, errno_error("memfd_create").error());
  }
  const LaunchRequest request{.id = id,
                              .plan = std::move(plan),
                              .stdin_fd = STDIN_FILENO,
                              .stdout_fd = stdout_fd,
                              .stderr_fd = STDERR_FILENO,
                              .learn_fd = notes.get()};
  auto live = or_exit(ExitCode::host_lacks, launcher.launch(request));
  if (!live) return std::unexpected(explain_failure(launcher, spec, live.error()));
  started(*live);
  auto record = wait_for_end(launcher, id, signals);
  if (!record) return std::unexpected(record.error());
  if (auto known = or_exit(ExitCode::fault, launcher.acknowledge(id)); !known) return std::unexpected(known.error());
  if (!notes.valid()) return record;
  auto read = or_exit(ExitCode::fault, read_observed(notes.get()));
  if (!read) return std::unexpected(read.error());
  observed = *std::move(read);
  return record;
}

}  // namespace bulkhead
