// The disk of an attempt or of a verification: what the launcher bounds by the task's limits.disk and limits.inodes,
// or, where the policy says so by a word, a plain directory.
#pragma once

#include "supervisor/core/daemon/run_context.h"

namespace bulkhead {

// Whether this host can bound the disks of all tasks of the run, before anything of it begins. A task whose policy has
// `unbounded-disk` goes on without, which is logged; any other is refused.
Result<> prepare_disks(RunContext& run);

// None: this task's disk is not bounded.
DiskLimits disk_limits(const RunContext& run, const std::string& agent);

// An empty one, made if need be; or the one that is there, also after the launcher was started anew. A descriptor of
// its root, whose names are looked up below disk_path().
Result<Fd> make_disk(RunContext& run, const std::string& agent, const AttemptPaths& paths, std::uint32_t range);
Result<Fd> open_disk(RunContext& run, const AttemptPaths& paths);
std::string disk_path(const Fd& disk);

// Whether what stands in `directory` goes with its disk: an image needs nobody to empty it.
bool goes_with_its_disk(const std::string& directory);
using DiskFiles = LauncherClient::DiskFiles;
Result<> drop_disk(RunContext& run, const std::string& directory, DiskFiles files);

}  // namespace bulkhead
