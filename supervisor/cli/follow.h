// Waits for a run: shows its events as they come, passes Ctrl-C on, ends with its report and its exit code.
#pragma once

#include <string>

#include "supervisor/cli/exit.h"
#include "supervisor/cli/signals.h"
#include "supervisor/core/api/client.h"

namespace bulkhead {

enum class Show { lines, report_only };

// `client` has sent the request of `run`. `interrupts` are Ctrl-C and its like: the first cancels the run, the second
// stops waiting for it.
Outcome<int> follow(ControlClient client, const std::string& run, Signals interrupts, Show show);

}  // namespace bulkhead
