#include "sandbox/explain/path_verdict.h"

#include <algorithm>

namespace bulkhead {
namespace {

// Why what is there is not for a program to propose; empty where it is.
std::string objection(const HostPath& there, const View& view) {
  const std::string& path = there.end;
  if (is_within(path, "/sys")) return "no sandbox is given it";
  for (const char* kernel : {"/proc", "/dev"})
    if (is_within(path, kernel)) return "every sandbox has its own";
  if (there.kind == HostKind::hidden) return "not everybody may enter " + path;
  if (there.kind != HostKind::file && there.kind != HostKind::directory)
    return "neither a file nor a directory: it leads to something of the host";
  if (there.kind == HostKind::directory && path.find('/', 1) == std::string::npos)
    return "all of a top-level directory; name what is needed of it";
  if (!view.root_directory.empty()) return "the root is a directory that the policy names: put it there";
  if (std::ranges::any_of(view.mounts, [&](const ViewMount& m) { return is_within(m.target, path); }))
    return "the policy mounts something below it";
  return there.for_everybody ? "" : "not everybody may read it";
}

}  // namespace

PathVerdict judge_path(const HostPath& there, const View& view) {
  PathVerdict verdict;
  const auto lacks = [&](const std::string& path) {
    const ViewMount* cover = view.cover(path);
    return cover == nullptr || cover->target == "/dev";
  };
  // A sandbox without the link finds the path by no other name.
  for (const std::string& link : there.links)
    if (lacks(link) && !is_within(link, "/dev")) verdict.mounts.push_back(link);
  // A path in a tmpfs of the sandbox's own is its own business, whatever the host has of that name.
  if (!lacks(there.end)) return verdict;
  if (std::string why = objection(there, view); !why.empty())
    return {.mounts = {}, .path = there.kind == HostKind::hidden ? there.wanted : there.end, .reason = std::move(why)};
  verdict.mounts.push_back(there.end);
  return verdict;
}

}  // namespace bulkhead
