// `bulkhead sandbox run` and `sandbox plan`: only the compartment, through a launcher of our own.
#include <unistd.h>

#include "sandbox/base/text.h"
#include "sandbox/launch/launcher_client.h"
#include "sandbox/sys/files.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/image_root.h"
#include "supervisor/cli/output_file.h"
#include "supervisor/cli/policies.h"
#include "supervisor/cli/sandbox_ending.h"
#include "supervisor/cli/sandbox_launch.h"
#include "supervisor/cli/signals.h"
#include "supervisor/cli/verbs.h"

namespace bulkhead {
namespace {

constexpr std::uint32_t kExampleRange = 0x70000000;  // `sandbox plan` asks no launcher for one

// Where the rule behind an ending stands: "p.yaml:3:12: /limits/memory".
std::string rule_text(const Document& policy, const std::string& origin) {
  if (!origin.starts_with('/')) return origin;  // "built-in"
  if (!policy.positions.contains(origin)) return origin + " (by default)";
  return located(policy, {.operation = {}, .object = origin}).text();
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
  auto report = OutputFile::open("report", options.report);
  if (!report) return std::unexpected(report.error());
  std::optional<PreparedImage> image;
  if (const auto& root = policy->spec.root_image()) {
    auto prepared = prepare_image(context, *launcher, *host, *root);
    if (!prepared) return std::unexpected(prepared.error());
    image = *std::move(prepared);
  }
  auto range = or_exit(ExitCode::host_lacks, launcher->acquire_range());
  if (!range) return std::unexpected(range.error());
  auto plan = plan_for(context, policy->spec, *host, options.command, *range, "sandbox", false, image);
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
  if (report->wanted()) {
    const nlohmann::json ended = ending_report(*record, options.policy, rule, walls);
    if (auto written = report->write(pretty(ended)); !written) return std::unexpected(written.error());
  }
  return command_status(*record);
}

Outcome<int> sandbox_plan_verb(const Context& context, const SandboxPlanOptions& options) {
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  auto policy = read_policy(options.policy);
  if (!policy) return std::unexpected(policy.error());
  auto host = or_exit(ExitCode::host_lacks, probe_host());
  if (!host) return std::unexpected(host.error());
  std::vector<std::string> command = options.command.empty() ? std::vector<std::string>{"/bin/true"} : options.command;
  std::optional<PreparedImage> image;
  if (const auto& root = policy->spec.root_image()) {
    auto planned = planned_image(context, *root);
    if (!planned) return std::unexpected(planned.error());
    image = *std::move(planned);
  }
  auto plan = plan_for(context, policy->spec, *host, std::move(command), kExampleRange, "sandbox", false, image);
  if (!plan) return std::unexpected(plan.error());
  out_text(options.format == Format::json ? pretty(to_json(*plan)) : render(*plan));
  return 0;
}

}  // namespace bulkhead
