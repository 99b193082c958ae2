// The disk of an attempt or of a verification: what the launcher bounds by the task's limits.disk and limits.inodes,
// or, where the policy says so by a word, a plain directory.
#pragma once

#include "supervisor/core/daemon/run_context.h"

namespace bulkhead {

// Whether this host can bound the disks of all tasks of the run, before anything of it begins. Where it cannot, whoever
// asks and whenever, a task whose policy has `unbounded-disk` goes on without; any other is refused, and so is one
// whose disk could be bounded and was not this time.
Async<> prepare_disks(RunContext& run);
// For the journal: the tasks that go on without for want of what this host lacks.
void note_unbounded_disks(RunContext& run);

// No bytes: this task's disk is not bounded. An agent whose policy is not known has no limits to ask for.
Result<DiskLimits> disk_limits(const RunContext& run, const std::string& agent);

// An empty one, made if need be; or the one that is there, also after the launcher was started anew. A descriptor of
// its root, whose names are looked up below disk_path().
Result<Fd> make_disk(RunContext& run, const std::string& agent, const AttemptPaths& paths, std::uint32_t range);
Async<Fd> open_disk(RunContext& run, AttemptPaths paths);  // waits for what a dead launcher's sandboxes still have
std::string disk_path(const Fd& disk);

// Whether what stands in `directory` goes with its disk: an image needs nobody to empty it.
bool goes_with_its_disk(const std::string& directory);
using DiskFiles = LauncherClient::DiskFiles;
Result<> drop_disk(RunContext& run, const std::string& directory, DiskFiles files);

}  // namespace bulkhead
