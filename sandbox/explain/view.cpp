#include "sandbox/explain/view.h"

#include <algorithm>

#include "sandbox/base/text.h"
#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead {

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

bool is_within(const std::string& path, const std::string& top) {
  return path == top || top == "/" || (path.starts_with(top) && path[top.size()] == '/');
}

std::string normal_path(const std::string& path) {
  std::vector<std::string> kept;
  for (std::string& part : split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..")
      kept.push_back(std::move(part));
    else if (!kept.empty())
      kept.pop_back();
  }
  std::string normal;
  for (const std::string& part : kept) normal += "/" + part;
  return normal.empty() ? "/" : normal;
}

const ViewMount* View::cover(const std::string& path) const {
  const ViewMount* innermost = nullptr;
  for (const ViewMount& mount : mounts)
    if (is_within(path, mount.target) && (innermost == nullptr || mount.target.size() > innermost->target.size()))
      innermost = &mount;
  return innermost;
}

std::string unobserved_because(const SandboxSpec& spec, const LaunchPlan& plan) {
  if (!can_be_observed(spec.seccomp())) return "the policy's profile does not let them be seen";
  return plan.learning.empty() ? "nothing can be seen without the wall fresh-proc" : "";
}

View view_of(const SandboxSpec& spec, const LaunchPlan& plan) {
  View view{.root_directory = spec.root_directory(),
            .root_origin = spec.origin("root"),
            .own_network = !spec.allows(Loosening::host_network),
            .tcp_bind = spec.tcp_bind(),
            .tcp_connect = spec.tcp_connect(),
            .tcp_origin = spec.origin("tcp"),
            .seccomp_origin = spec.origin("seccomp"),
            .devices_origin = spec.origin("devices"),
            .limits = spec.limits()};
  for (const Operation& op : plan.operations) {
    if (op.step == Step::landlock_enforce) view.landlock = true;
    if (op.step != Step::bind && op.step != Step::tmpfs) continue;
    view.mounts.push_back(
        {.target = op.target,
         .origin = op.origin,
         .writable = op.step == Step::tmpfs ? (op.flags & kSandboxOwned) != 0 : (op.flags & (kReadOnly | kDevice)) == 0,
         .tmpfs = op.step == Step::tmpfs,
         .of_policy = op.origin.starts_with("/mounts/")});
  }
  return view;
}

}  // namespace bulkhead
