// The images that a run's policies have as roots: unpacked before the run begins, so that an image that is missing or
// damaged is bad input and no task's failure.
#pragma once

#include "supervisor/core/daemon/run_context.h"

namespace bulkhead {

// Fills run.images from run.specs. What it unpacks belongs to no run: the next one finds it.
Async<> prepare_images(RunContext& run);

// With a new launcher: what keeps them from being removed went with the old one.
void hold_images_again(RunContext& run);

}  // namespace bulkhead
