// The overlay of one workspace: made once, by the root of the agent's own range, and shared by every sandbox of the
// agent (two overlays on one upper directory are undefined). It is attached in the launcher's private mount namespace
// only: the host never sees it, and it ends with the launcher and the last sandbox that has it.
#pragma once

#include <string>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

struct WorkspaceMount {
  std::string name;   // a file name, unique
  std::string lower;  // directory, its files owned by lower_uid on disk
  std::uint32_t lower_uid = 0;
  std::uint32_t range_base = 0;
  std::string upper, work;  // directories owned by range_base + 1000
};

// A detached overlay mount: lower read-only and id-mapped so that lower_uid appears as range_base + 1000, upper and
// work as they are. `range_namespace` is the range's user namespace. Kernel: Documentation/filesystems/overlayfs.rst.
Result<Fd> make_workspace_overlay(const WorkspaceMount& workspace, int range_namespace, const std::string& staging);

}  // namespace bulkhead
