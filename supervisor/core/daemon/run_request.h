// From a client's request to a run that can begin: everything checked, nothing made.
#pragma once

#include "supervisor/core/daemon/run_context.h"

namespace bulkhead {

// Fills the context's workflow, policies, identity and repository facts. Errors are bad input (exit 2), each with what
// to do about it.
Async<> prepare_run(RunContext& run, RunRequest request);

}  // namespace bulkhead
