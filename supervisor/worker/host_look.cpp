// What the host has of what an agent's command missed: as the repository's owner, in a sandbox that sees the host's
// root read-only.
#include "sandbox/explain/host_look.h"

#include "sandbox/base/text.h"
#include "sandbox/init/init_protocol.h"
#include "sandbox/sys/files.h"
#include "supervisor/worker/streams.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {

Result<HostLook> host_look(const HostLookRequest& request) {
  BULKHEAD_ASSIGN(const Fd input, open_input(request.paths));
  BULKHEAD_ASSIGN(const std::string bytes, read_fd(input.get(), kMostObservedBytes));
  return look_at_host(split(bytes, '\0'));
}

}  // namespace bulkhead
