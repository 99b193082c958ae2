// A disk as a directory under a project quota (ext4 or XFS mounted with prjquota): what is made below it counts for its
// project, and a process that is not the host's own root gets EDQUOT beyond the bound. An agent cannot leave its
// project: only the host's user namespace may set one.
//
// A project's number is one of the uids of the agent's own range, which nobody else on this host has.
//
// quotactl(2), quotactl_fd (Linux 5.14), ioctl_xfs_fsgetxattr(2).
#pragma once

#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/launch/disk.h"

namespace bulkhead {

// Whether the file system of the open directory enforces project quotas.
bool enforces_project_quota(int directory);

// Bounds the open, empty directory and all that will be below it; its project is the first of `range` that nothing
// counts for.
Result<> bound_by_project(int directory, std::uint32_t range, const DiskLimits& limits);
// The project of an open directory; 0: none.
Result<std::uint32_t> project_of(int directory);
bool is_project_of_ours(std::uint32_t project);
Result<DiskUsage> project_usage(int directory, std::uint32_t project);
Result<DiskLimits> project_limits(int directory, std::uint32_t project);
// The bound goes; the number is free once nothing counts for it.
Result<> lift_project(int directory, std::uint32_t project);

// Projects of Bulkhead's numbers that have a bound and no file: what a launcher that was killed may leave.
std::vector<std::uint32_t> abandoned_projects(int directory);
Result<bool> is_abandoned(int directory, std::uint32_t project);

}  // namespace bulkhead
