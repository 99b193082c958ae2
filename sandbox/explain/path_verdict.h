// Whether a policy should bring what the host has into a sandbox that missed it: `policy learn` proposes by it, and
// denials are explained by it. Pure.
#pragma once

#include <string>
#include <vector>

#include "sandbox/explain/host_look.h"
#include "sandbox/explain/view.h"

namespace bulkhead {

struct PathVerdict {
  std::vector<std::string> mounts;  // to be mounted, read-only: the path, and the links on the way to it
  std::string path;                 // where it does not go: which path, and
  std::string reason;               // why not. All empty where the sandbox has it
};

// Files and directories that everybody may read become mounts; not top-level directories, nothing that leads to
// something of the host's (sockets, devices), nothing over what the policy mounts.
PathVerdict judge_path(const HostPath& there, const View& view);

}  // namespace bulkhead
