// `bulkhead run`: reads and checks everything as the user, then hands it to a live bulkheadd or a new one.
#include <sys/random.h>

#include <chrono>

#include "supervisor/cli/daemon_door.h"
#include "supervisor/cli/follow.h"
#include "supervisor/cli/names.h"
#include "supervisor/cli/run_input.h"
#include "supervisor/cli/verbs.h"

namespace bulkhead {
namespace {

Outcome<std::string> fresh_run_name() {
  std::uint16_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random)
    return failure(ExitCode::fault, errno_error("get random bytes").error());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return run_name(std::chrono::duration_cast<std::chrono::seconds>(now).count(), random);
}

}  // namespace

Outcome<int> run_verb(const Context& context, const RunOptions& options) {
  if (!options.name.empty())
    if (auto right = or_exit(ExitCode::bad_input, check_run_name(options.name)); !right)
      return std::unexpected(right.error());
  if (auto root = need_root(context, "make compartments"); !root) return std::unexpected(root.error());
  auto door =
      or_exit(ExitCode::fault, DaemonDoor::open(context.state, context.beside("bulkheadd"), WhenNoDaemon::start_one));
  if (!door) return std::unexpected(door.error());
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());

  auto name = options.name.empty() ? fresh_run_name() : Outcome<std::string>(options.name);
  if (!name) return std::unexpected(name.error());
  auto request = read_run_input(context, options, *name);
  if (!request) return std::unexpected(request.error());

  // From here on Ctrl-C is the run's to be cancelled by, also while the daemon starts.
  auto interrupts = or_exit(ExitCode::fault, Signals::open({SIGINT, SIGTERM, SIGHUP}));
  if (!interrupts) return std::unexpected(interrupts.error());
  auto client = door->connect();
  if (!client) return std::unexpected(client.error());
  if (auto sent = client->send(*request); !sent) return failure(ExitCode::bad_input, sent.error());
  return follow(*std::move(client), *name, *std::move(interrupts), options.quiet ? Show::report_only : Show::lines);
}

}  // namespace bulkhead
