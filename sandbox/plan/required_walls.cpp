#include "sandbox/plan/required_walls.h"

#include "sandbox/host/landlock_abi.h"

namespace bulkhead {

MissingWalls missing_walls(const HostFacts& host) {
  MissingWalls missing = host.missing;
  if (host.cgroups.mode == CgroupMode::none) missing.try_emplace(Wall::limits, host.cgroups.reason);
  if (host.landlock_abi < landlock::kLeastAbi)
    missing.try_emplace(Wall::landlock,
                        host.landlock_abi == 0 ? host.landlock_reason : "ABI 1 refuses renames between directories");
  return missing;
}

WallSet walls_of(const SandboxSpec& spec, const Placement& placement) {
  WallSet walls;
  for (const WallInfo& info : all_walls())
    if (info.need != WallNeed::runs) walls.insert(info.wall);
  if (placement.use_host_identity) {
    walls.erase(Wall::user_namespace);
    walls.erase(Wall::no_namespaces_below);
  }
  if (spec.allows(Loosening::host_network)) walls.erase(Wall::network);
  if (spec.allows(Loosening::no_landlock)) walls.erase(Wall::landlock);
  if (spec.seccomp_program().empty()) walls.erase(Wall::refusals_seen);
  return walls;
}

WallSet required_here(const SandboxSpec& spec, const Placement& placement) {
  WallSet required;
  for (const Wall wall : walls_of(spec, placement)) {
    const bool forgone = placement.forgo.contains(wall) && about(wall).need != WallNeed::always;
    if (spec.required().contains(wall) && !forgone) required.insert(wall);
  }
  return required;
}

std::string require_line(const WallSet& required, const MissingWalls& missing) {
  std::string words;
  for (const Wall wall : required)
    if (about(wall).need != WallNeed::always && !missing.contains(wall))
      words += (words.empty() ? "" : ", ") + std::string(name(wall));
  return "require: [" + words + "]";
}

namespace {
constexpr const char* kMissingWalls = "missing walls";
}

bool is_missing_walls(const Error& error) { return error.operation == kMissingWalls; }

Result<> check_required(const WallSet& required, const MissingWalls& missing) {
  std::string answers, provide, without, never;
  const auto add = [](std::string& list, const char* separator, std::string text) {
    list += (list.empty() ? "" : separator) + std::move(text);
  };
  for (const auto& [wall, answer] : missing) {
    if (!required.contains(wall)) continue;
    const WallInfo& info = about(wall);
    const std::string name(info.name);
    add(answers, "; ", name + ": " + answer);
    add(provide, "; ", name + " needs " + std::string(info.provide));
    if (info.need == WallNeed::always)
      add(never, ", ", name);
    else
      add(without, ", ", name);
  }
  if (answers.empty()) return {};
  std::string hint = std::move(provide);
  if (never.empty())
    hint += "; or go on without " + without +
            ", where it is missing, by this line in the policy: " + require_line(required, missing) +
            " (docs/policy.md says what is lost)";
  else
    hint += "; no policy goes on without " + never;
  return std::unexpected(Error{.operation = kMissingWalls, .object = {}, .code = 0, .detail = answers, .hint = hint});
}

}  // namespace bulkhead
