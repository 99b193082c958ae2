// `bulkhead sandbox run` and `sandbox plan`: only the compartment, through a launcher of our own.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>

#include "sandbox/base/text.h"
#include "sandbox/launch/launcher_client.h"
#include "sandbox/sys/files.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/policies.h"
#include "supervisor/cli/sandbox_ending.h"
#include "supervisor/cli/signals.h"
#include "supervisor/cli/verbs.h"

namespace bulkhead {
namespace {

constexpr std::uint32_t kExampleRange = 0x70000000;  // `sandbox plan` asks no launcher for one

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

Outcome<LaunchPlan> plan_for(const Context& context, const SandboxSpec& spec, const HostFacts& host,
                             std::vector<std::string> command, std::uint32_t range, const std::string& cgroup) {
  const CommandSpec what{.argv = std::move(command),
                         .environment = compose_environment(spec, context.caller.environment, {}),
                         .directory = inside_directory(spec, context)};
  Placement placement{.cgroup = cgroup, .range_base = range};
  if (spec.allows(Loosening::host_identity)) {
    placement.use_host_identity = true;
    placement.host_uid = context.caller.uid;
    placement.host_gid = context.caller.gid;
    placement.host_groups.assign(context.caller.groups.begin(), context.caller.groups.end());
  }
  return or_exit(ExitCode::host_lacks, compile_plan(spec, what, placement, host));
}

// Where the rule behind an ending stands: "p.yaml:3:12: /limits/memory".
std::string rule_text(const Document& policy, const std::string& origin) {
  if (!origin.starts_with('/')) return origin;  // "built-in"
  if (!policy.positions.contains(origin)) return origin + " (by default)";
  return located(policy, {.operation = {}, .object = origin}).text();
}

// Opened before the command starts, so that a report that cannot be written is known while nothing has happened.
Outcome<Fd> open_report(const std::string& path) {
  if (path.empty()) return Fd();
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  if (!file.valid()) return failure(ExitCode::bad_input, errno_error("write report", path).error());
  return file;
}

Outcome<> write_report(const Fd& file, const std::string& path, const nlohmann::json& report) {
  const std::string text = report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (::ftruncate(file.get(), 0) != 0 && errno != EINVAL)  // EINVAL: a pipe or a device
    return failure(ExitCode::fault, errno_error("write report", path).error());
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t n = ::write(file.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure(ExitCode::fault, errno_error("write report", path).error());
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

// Until the sandbox ends. Signals go on to the command; a second Ctrl-C or SIGTERM ends the whole sandbox.
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

}  // namespace

Outcome<int> sandbox_run_verb(const Context& context, const SandboxRunOptions& options) {
  if (auto root = need_root(context, "make compartments"); !root) return std::unexpected(root.error());
  auto host = or_exit(ExitCode::host_lacks, probe_host());
  if (!host) return std::unexpected(host.error());
  // Tried while we are root, and only for who reads of it.
  const std::vector<Wall> walls = options.report.empty() ? std::vector<Wall>{} : examine_walls(*host);
  // It waits for us and does nothing by itself; it ends when we do.
  auto launcher = or_exit(ExitCode::fault, LauncherClient::start_private(context.beside("bulkhead-launcher"), {}));
  if (!launcher) return std::unexpected(launcher.error());
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());

  auto policy = read_policy(options.policy);
  if (!policy) return std::unexpected(policy.error());
  auto report = open_report(options.report);
  if (!report) return std::unexpected(report.error());
  auto range = or_exit(ExitCode::host_lacks, launcher->acquire_range());
  if (!range) return std::unexpected(range.error());
  auto plan = plan_for(context, policy->spec, *host, options.command, *range, "sandbox");
  if (!plan) return std::unexpected(plan.error());
  auto signals = or_exit(ExitCode::fault, Signals::open({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}));
  if (!signals) return std::unexpected(signals.error());

  const LaunchRequest request{.id = "sandbox",
                              .plan = *std::move(plan),
                              .stdin_fd = STDIN_FILENO,
                              .stdout_fd = STDOUT_FILENO,
                              .stderr_fd = STDERR_FILENO};
  auto live = or_exit(ExitCode::host_lacks, launcher->launch(request));
  if (!live) return std::unexpected(live.error());
  auto record = wait_for_end(*launcher, request.id, *signals);
  if (!record) return std::unexpected(record.error());
  // Cgroups and the range go with the launcher; waiting for that is what leaves nothing behind.
  if (auto gone = launcher->shutdown(); !gone) err_line("bulkhead: " + printable(gone.error().text()));

  const std::string rule = rule_text(policy->files.document, record->origin);
  if (const std::string line = ending_line(*record, options.policy, rule); !line.empty()) err_line(line);
  if (options.explain)
    for (const std::string& line : denial_lines(*record, options.policy)) err_line(line);
  if (report->valid())
    if (auto written = write_report(*report, options.report, ending_report(*record, options.policy, rule, walls));
        !written)
      return std::unexpected(written.error());
  return command_status(*record);
}

Outcome<int> sandbox_plan_verb(const Context& context, const SandboxPlanOptions& options) {
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  auto policy = read_policy(options.policy);
  if (!policy) return std::unexpected(policy.error());
  auto host = or_exit(ExitCode::host_lacks, probe_host());
  if (!host) return std::unexpected(host.error());
  std::vector<std::string> command = options.command.empty() ? std::vector<std::string>{"/bin/true"} : options.command;
  auto plan = plan_for(context, policy->spec, *host, std::move(command), kExampleRange, "sandbox");
  if (!plan) return std::unexpected(plan.error());
  out_text(options.format == Format::json
               ? to_json(*plan).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"
               : render(*plan));
  return 0;
}

}  // namespace bulkhead
