// The image that is a policy's root, for the verbs that make one sandbox by themselves.
#pragma once

#include "sandbox/launch/launcher_client.h"
#include "supervisor/cli/context.h"
#include "supervisor/core/images/images.h"

namespace bulkhead {

// Unpacked, by a worker in a sandbox of its own where it has not been before; it stays ours to use as long as the
// launcher lives. Waits where another is unpacking it.
Outcome<PreparedImage> prepare_image(const Context& context, LauncherClient& launcher, const HostFacts& host,
                                     const ImageRoot& root);

// Where it would be, for `sandbox plan`: reads the layout as the caller, and unpacks nothing.
Outcome<PreparedImage> planned_image(const Context& context, const ImageRoot& root);

}  // namespace bulkhead
