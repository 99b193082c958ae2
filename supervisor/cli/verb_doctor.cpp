// `bulkhead doctor`: which walls this host can build, each tried, and what stands in for those it cannot; then all of
// them at once, in a sandbox of the default policy that does nothing.
#include <algorithm>

#include "sandbox/base/text.h"
#include "sandbox/host/landlock_abi.h"
#include "sandbox/launch/disk_leftovers.h"
#include "sandbox/launch/wall_tries.h"
#include "sandbox/plan/required_walls.h"
#include "sandbox/sys/files.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/policies.h"
#include "supervisor/cli/sandbox_ending.h"
#include "supervisor/cli/sandbox_launch.h"
#include "supervisor/cli/verbs.h"

namespace bulkhead {
namespace {

std::string_view mode_text(CgroupMode mode) {
  switch (mode) {
    case CgroupMode::none:
      return "none";
    case CgroupMode::v2:
      return "v2";
    case CgroupMode::hybrid:
      return "hybrid: limits on v1 hierarchies, kill and freeze on the v2 tree";
  }
  return "none";
}

bool required(const WallInfo& wall) { return wall.need != WallNeed::on_demand; }

// Where workspaces would be: the state directory, or what is there of it.
std::string existing_above(std::string path) {
  while (!exists(path) && path.size() > 1) path.resize(std::max<std::size_t>(path.rfind('/'), 1));
  return path;
}

struct Tried {
  MissingWalls missing;
  std::map<Wall, std::string> unknown;  // why it could not be found out
};

Tried try_all(const Context& context, const HostFacts& facts) {
  Tried out;
  for (const WallInfo& info : all_walls()) {
    auto tried = info.wall == Wall::workspaces ? try_workspaces(existing_above(context.state.root()))
                                               : try_wall(info.wall, facts);
    if (!tried)
      out.unknown[info.wall] = tried.error().text() + "; " + tried.error().hint;
    else if (*tried)
      out.missing[info.wall] = **std::move(tried);
  }
  return out;
}

// What the wall is like here, where that differs between hosts.
std::string standing(const WallInfo& info, const HostFacts& facts) {
  std::string text(info.what);
  if (info.wall == Wall::limits) text += "; cgroup " + std::string(mode_text(facts.cgroups.mode));
  if (info.wall == Wall::keyring && !facts.keyrings) text = "this kernel has no keyrings";
  if (info.wall == Wall::landlock) {
    text += "; ABI " + std::to_string(facts.landlock_abi) + ": files";
    if (landlock::knows_tcp(facts.landlock_abi)) text += ", TCP ports";
    if (landlock::scopes(facts.landlock_abi) != 0) text += ", abstract sockets, signals";
  }
  return text;
}

// A sandbox from its start to its end; nothing where it went well.
Outcome<> run_nothing(const Context& context, const HostFacts& facts) {
  auto launcher = or_exit(ExitCode::fault, LauncherClient::start_private(context.beside("bulkhead-launcher"), {}));
  if (!launcher) return std::unexpected(launcher.error());
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  auto policy = read_policy("default");
  if (!policy) return std::unexpected(policy.error());
  auto range = or_exit(ExitCode::host_lacks, launcher->acquire_range());
  if (!range) return std::unexpected(range.error());
  auto plan = plan_for(context, policy->spec, facts, {"true"}, *range, "sandbox");
  if (!plan) return std::unexpected(plan.error());
  const LaunchRequest request{.id = "doctor", .plan = *std::move(plan), .capture_output = true};
  if (auto live = or_exit(ExitCode::host_lacks, launcher->launch(request)); !live) return std::unexpected(live.error());
  auto record = or_exit(ExitCode::fault, launcher->next_exit());
  if (!record) return std::unexpected(record.error());
  if (auto gone = or_exit(ExitCode::fault, launcher->shutdown()); !gone) return std::unexpected(gone.error());
  if (record->reason != EndReason::exited || record->exit_code != 0)
    return failure(ExitCode::host_lacks, {.operation = "run", .object = "true", .detail = record->detail});
  return {};
}

nlohmann::json as_json(const HostFacts& facts, const Tried& tried, const DiskBounds& disks, bool root,
                       const std::string& sandbox, const std::string& without) {
  nlohmann::json list = nlohmann::json::array();
  for (const WallInfo& info : all_walls()) {
    const auto answer = tried.missing.find(info.wall);
    const auto unknown = tried.unknown.find(info.wall);
    nlohmann::json row = {{"name", info.name},
                          {"present", answer == tried.missing.end()},
                          {"required", required(info)},
                          {"detail", answer == tried.missing.end() ? standing(info, facts) : answer->second}};
    if (unknown != tried.unknown.end()) row.update({{"present", nullptr}, {"detail", unknown->second}});
    if (answer != tried.missing.end())
      row.update({{"instead", info.instead}, {"lost", info.lost}, {"provide", info.provide}});
    list.push_back(std::move(row));
  }
  return {{"kernel", facts.kernel},
          {"cgroups", {{"mode", mode_text(facts.cgroups.mode)}, {"reason", facts.cgroups.reason}}},
          {"asked_as_root", root},
          {"walls", list},
          {"disk_bounds", {{"present", disks.present}, {"detail", disks.detail}}},
          {"sandbox", sandbox},
          {"policy_line", without}};
}

// "require: […]", with which sandboxes would be made here all the same; empty: none would be, or none is needed.
std::string line_without(const MissingWalls& missing) {
  WallSet needed;
  bool lacking = false;
  for (const WallInfo& info : all_walls()) {
    if (info.need == WallNeed::always && missing.contains(info.wall)) return {};
    if (info.need != WallNeed::default_) continue;
    needed.insert(info.wall);
    lacking = lacking || missing.contains(info.wall);
  }
  return lacking ? require_line(needed, missing) : "";
}

}  // namespace

Outcome<int> doctor_verb(const Context& context, const DoctorOptions& options) {
  auto facts = or_exit(ExitCode::host_lacks, probe_host());
  if (!facts) return std::unexpected(facts.error());
  // Each is tried in a child of its own; what needs root is tried as root, nothing of the user's is read.
  const Tried tried = try_all(context, *facts);
  const DiskBounds disks = try_disk_bounds(context.state.root());
  const auto in_the_way = [](const auto& wall) { return required(about(wall.first)); };
  bool able = std::ranges::none_of(tried.missing, in_the_way) && std::ranges::none_of(tried.unknown, in_the_way);
  std::string sandbox = "made, run and gone";
  if (!context.root) {
    sandbox = "not tried: needs root";
  } else if (const auto ran = run_nothing(context, *facts); !ran) {
    able = false;
    sandbox = ran.error().error.text();
  }
  const std::string without = line_without(tried.missing);
  const int status = able ? 0 : static_cast<int>(ExitCode::host_lacks);
  if (options.format == Format::json) {
    out_text(pretty(as_json(*facts, tried, disks, context.root, sandbox, without)));
    return status;
  }
  std::vector<std::vector<std::string>> rows{{"kernel", printable(facts->kernel, 80), ""}};
  for (const WallInfo& info : all_walls()) {
    const auto answer = tried.missing.find(info.wall);
    const auto unknown = tried.unknown.find(info.wall);
    std::string detail = unknown == tried.unknown.end() ? standing(info, *facts) : unknown->second;
    if (answer != tried.missing.end()) {
      detail = answer->second;
      if (!info.instead.empty()) detail += "; instead: " + std::string(info.instead);
      detail += "; needs: " + std::string(info.provide);
    }
    rows.push_back({std::string(info.name),
                    unknown != tried.unknown.end()  ? "?"
                    : answer == tried.missing.end() ? "yes"
                    : required(info)                ? "NO"
                                                    : "no",
                    printable(detail, 600)});
  }
  rows.push_back({"disk bounds", disks.present ? "yes" : "no", printable(disks.detail, 600)});
  rows.push_back({"a sandbox",
                  sandbox == "made, run and gone" ? "yes"
                  : context.root                  ? "NO"
                                                  : "?",
                  "the default policy: " + printable(sandbox, 600)});
  out_text(table(rows));
  if (!context.root) out_line("Most walls can only be tried as root: sudo bulkhead doctor");
  if (context.root && !without.empty())
    out_line("A policy with this line goes on without what is missing here, and says so: " + without);
  return status;
}

}  // namespace bulkhead
