// `bulkhead kill`: asks the live daemon.
#include "sandbox/base/text.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/daemon_door.h"
#include "supervisor/cli/history.h"
#include "supervisor/cli/verbs.h"

namespace bulkhead {

Outcome<int> kill_verb(const Context& context, const KillOptions& options) {
  if (auto root = need_root(context, "end agents"); !root) return std::unexpected(root.error());
  auto history = History::open(context.state);
  if (!history) return std::unexpected(history.error());
  Request request;
  std::string what;
  if (!options.run.empty()) {
    auto run = history->run(options.run);
    if (!run) return std::unexpected(run.error());
    request = CancelRequest{*run};
    what = "run " + *run + " is being cancelled";
  } else {
    auto agent = history->agent(options.agent);
    if (!agent) return std::unexpected(agent.error());
    request = KillRequest{.run = agent->run, .agent = agent->agent};
    what = "agent " + agent->run + "/" + agent->agent + " is being ended, and not restarted";
  }
  auto door =
      or_exit(ExitCode::fault, DaemonDoor::open(context.state, context.beside("bulkheadd"), WhenNoDaemon::refuse));
  if (!door) return std::unexpected(door.error());
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  auto client = door->connect();
  if (!client) return std::unexpected(client.error());
  if (auto sent = client->send(request); !sent) return failure(ExitCode::fault, sent.error());
  auto reply = client->receive();
  if (!reply) return failure(ExitCode::fault, reply.error());
  if (const auto* error = std::get_if<ErrorReply>(&*reply))
    return std::unexpected(Failure{.error = {.operation = error->text, .hint = error->hint}, .code = error->exit_code});
  out_line(what);
  out_line("  next: sudo bulkhead ps");
  return 0;
}

}  // namespace bulkhead
