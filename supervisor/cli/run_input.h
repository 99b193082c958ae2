// Everything a run needs that only the client can read: the workflow file, the policies it names with their seccomp
// profiles, the repository. Read and checked whole, as the user, before anything is started.
#pragma once

#include <string>

#include "supervisor/cli/context.h"
#include "supervisor/cli/options.h"
#include "supervisor/core/api/messages.h"

namespace bulkhead {

// `run`: the name for a run that --name does not name.
Outcome<RunRequest> read_run_input(const Context& context, const RunOptions& options, const std::string& run);

}  // namespace bulkhead
