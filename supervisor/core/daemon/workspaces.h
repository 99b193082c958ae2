// Bases, workspaces and what stands on disk for them. Everything is named by run, agent and attempt, so that doing it a
// second time finds what the first time left.
#pragma once

#include "supervisor/core/daemon/run_context.h"

namespace bulkhead {

// The read-only tree all workspaces at that commit share; made at most once per repository and commit.
Async<BaseReady> prepare_base(RunContext& run, ObjectId commit);

// The agent's branch held in the repository, its uid range, and the workspace of its first attempt, mounted: all that
// an agent waits for once its base is ready.
Async<WorkspaceReady> create_workspace(RunContext& run, std::string agent,
                                       std::chrono::steady_clock::time_point intended);

// The disk of a workspace and its directories, fresh: upper seeded so that HEAD stands on `branch` (empty: detached) at
// the base.
Result<> make_workspace_directories(RunContext& run, const std::string& agent, const AttemptPaths& paths,
                                    std::uint32_t range, const std::string& branch, const ObjectId& base);

// The overlay over `upper`/`work`, mounted under `name` for the range: its path for plans. Mounted already: its path.
Result<std::string> mount_workspace(RunContext& run, const std::string& agent, const std::string& name,
                                    const std::string& upper, const std::string& work, std::uint32_t range);
Result<> unmount_workspace(RunContext& run, const std::string& agent, const std::string& name);

// Removes a directory whose contents belong to `range`: a worker of that range empties it, we remove the shell.
Async<> remove_workspace_directory(RunContext& run, std::string agent, std::string directory, std::uint32_t range);

Async<CheckpointTaken> take_checkpoint(RunContext& run, TakeCheckpoint action);
Async<> restore_checkpoint(RunContext& run, std::string agent, unsigned checkpoint, AttemptPaths into);

Async<> prune_checkpoints(RunContext& run, std::string agent);

// Everything of the agent: mounts, registration, files, range.
Async<> clean_agent(RunContext& run, Cleanup action);

inline std::string attempt_mount(const RunContext& run, const std::string& agent, unsigned attempt) {
  return run.run + "/" + agent + "/" + std::to_string(attempt);
}

}  // namespace bulkhead
