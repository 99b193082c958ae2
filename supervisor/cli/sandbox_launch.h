// What `sandbox run`, `sandbox plan` and `policy learn` have in common: a sandbox beside no repository.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/explain/observed.h"
#include "sandbox/launch/launcher_client.h"
#include "supervisor/cli/context.h"
#include "supervisor/cli/signals.h"
#include "supervisor/core/images/images.h"

namespace bulkhead {

// Tries those walls that the policy does not require, and notes in `host` which are missing: the plan then goes on
// without. The others need no try: the launch finds out. Asks the launcher, which is root.
Outcome<> try_dispensable(LauncherClient& launcher, const SandboxSpec& spec, HostFacts& host);

// After a launcher could not do something for this policy: which required walls are missing, if that is why; else
// `failed` itself.
Failure explain_failure(LauncherClient& launcher, const SandboxSpec& spec, Failure failed);

// The command as the caller would run it. `learn`: see Placement. `image`: of a policy whose root is one.
Outcome<LaunchPlan> plan_for(const Context& context, const SandboxSpec& spec, const HostFacts& host,
                             std::vector<std::string> command, std::uint32_t range, const std::string& cgroup,
                             bool learn = false, const std::optional<PreparedImage>& image = std::nullopt);

// Until the sandbox ends. Signals go on to the command; a second Ctrl-C or SIGTERM ends the whole sandbox.
Outcome<ExitRecord> wait_for_end(LauncherClient& launcher, const std::string& id, Signals& signals);

// Launches it on our own stdin and stderr, waits for its end and acknowledges it. `observed`: of a plan that is.
Outcome<ExitRecord> run_to_end(LauncherClient& launcher, const SandboxSpec& spec, const std::string& id,
                               LaunchPlan plan, int stdout_fd, Signals& signals,
                               const std::function<void(const LiveSandbox&)>& started, Observed& observed);

}  // namespace bulkhead
