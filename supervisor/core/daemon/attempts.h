// Attempts: starting an agent's command, watching it, ending it, and what came of it.
#pragma once

#include "supervisor/core/daemon/run_context.h"

namespace bulkhead {

// Journals attempt_started and, when it has ended, attempt_ended; boundaries and idleness in between.
boost::asio::awaitable<void> carry_out_attempt(RunContext& run, StartAttempt action);

AttemptEnded ended_by(const ExitRecord& record);
void inject_fault(RunContext& run, const InjectFault& action);
void kill_agent(RunContext& run, const Kill& action);

// One command in a sandbox of its own, its output in files: how setup, verification and the agent itself run.
struct CommandRun {
  std::string agent;
  std::string id;  // of the sandbox, and its cgroup below the root node
  std::vector<std::string> argv;
  std::uint32_t range = 0;
  std::string workspace;  // path of its overlay, for the plan
  std::string home;       // directory
  std::string disk;       // that both stand on
  std::string stdout_file, stderr_file;
  std::string observations;  // where init notes what is asked for; empty: it is not observed
  std::map<std::string, std::string> extra_environment;
  std::vector<MountSpec> mounts;
};
Result<LiveSandbox> launch_command(RunContext& run, const Task& task, const CommandRun& command);

}  // namespace bulkhead
