// The worker that stays, of supervisor/core/workspaces/worker_serving.h.
#pragma once

#include <span>
#include <string>

#include "sandbox/base/result.h"

namespace bulkhead {

// Until the other end of the channel is closed.
Result<> serve(std::span<const std::string> options);

}  // namespace bulkhead
