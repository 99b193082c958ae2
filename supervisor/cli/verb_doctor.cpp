// `bulkhead doctor`: which walls this host can build, and what stands in for those it cannot.
#include <algorithm>

#include "sandbox/base/text.h"
#include "sandbox/host/host_facts.h"
#include "sandbox/launch/disk_leftovers.h"
#include "supervisor/cli/console.h"
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
      return "hybrid";
  }
  return "none";
}

nlohmann::json as_json(const HostFacts& facts, const std::vector<Wall>& walls, bool root) {
  nlohmann::json list = nlohmann::json::array();
  for (const Wall& wall : walls)
    list.push_back(
        {{"name", wall.name}, {"present", wall.present}, {"required", wall.required}, {"detail", wall.detail}});
  return {{"kernel", facts.kernel},
          {"cgroups", {{"mode", mode_text(facts.cgroups.mode)}, {"reason", facts.cgroups.reason}}},
          {"asked_as_root", root},
          {"walls", list}};
}

}  // namespace

Outcome<int> doctor_verb(const Context& context, const DoctorOptions& options) {
  auto facts = or_exit(ExitCode::host_lacks, probe_host());
  if (!facts) return std::unexpected(facts.error());
  // Each is tried in a child of its own; what needs root is tried as root, nothing of the user's is read.
  std::vector<Wall> walls = examine_walls(*facts);
  walls.push_back(disk_wall(context.state.root()));
  const bool able = facts->cgroups.mode != CgroupMode::none &&
                    std::ranges::none_of(walls, [](const Wall& wall) { return wall.required && !wall.present; });
  if (options.format == Format::json) {
    out_text(pretty(as_json(*facts, walls, context.root)));
    return able ? 0 : static_cast<int>(ExitCode::host_lacks);
  }
  std::vector<std::vector<std::string>> rows{
      {"kernel", printable(facts->kernel, 80), ""},
      {"control groups", std::string(mode_text(facts->cgroups.mode)), printable(facts->cgroups.reason, 400)}};
  for (const Wall& wall : walls)
    rows.push_back({printable(wall.name, 80),
                    wall.present    ? "yes"
                    : wall.required ? "NO"
                                    : "no",
                    printable(wall.detail, 400)});
  out_text(table(rows));
  if (!context.root) out_line("Most walls can only be tried as root: sudo bulkhead doctor");
  return able ? 0 : static_cast<int>(ExitCode::host_lacks);
}

}  // namespace bulkhead
