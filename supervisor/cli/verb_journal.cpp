// `bulkhead journal` and `bulkhead ps`: from the journal alone.
#include <algorithm>

#include "sandbox/base/text.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/history.h"
#include "supervisor/cli/verbs.h"
#include "supervisor/core/api/client.h"

namespace bulkhead {
namespace {

std::string dump(const nlohmann::json& json, int indent) {
  return json.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

// The runs that a daemon is at this moment busy with; none when nobody serves.
std::vector<std::string> live_runs(const Context& context) {
  auto client = ControlClient::connect(context.state.control_socket());
  if (!client || !client->send(StatusRequest{})) return {};
  auto reply = client->receive();
  if (!reply) return {};
  const auto* status = std::get_if<StatusReply>(&*reply);
  return status == nullptr ? std::vector<std::string>{} : status->runs;
}

}  // namespace

Outcome<int> journal_verb(const Context& context, const JournalOptions& options) {
  if (auto root = need_root(context, "read the journal"); !root) return std::unexpected(root.error());
  auto history = History::open(context.state);
  if (!history) return std::unexpected(history.error());
  auto run = history->run(options.run);
  if (!run) return std::unexpected(run.error());
  auto events = history->events(*run);
  if (!events) return std::unexpected(events.error());
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());

  if (options.events) {
    for (const Event& event : *events)
      out_line(options.format == Format::json ? dump(to_json(event), -1) : render_event(event));
    return 0;
  }
  auto report = or_exit(ExitCode::fault, report_of(*events));
  if (!report) return std::unexpected(report.error());
  out_text(options.format == Format::json ? dump(to_json(*report), 2) + "\n" : render_text(*report));
  return 0;
}

Outcome<int> ps_verb(const Context& context, const PsOptions& options) {
  if (auto root = need_root(context, "read the journal"); !root) return std::unexpected(root.error());
  auto history = History::open(context.state);
  if (!history) return std::unexpected(history.error());
  auto runs = or_exit(ExitCode::fault, list_runs(history->journal()));
  if (!runs) return std::unexpected(runs.error());
  const auto live = live_runs(context);
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  for (RunSummary& run : *runs)
    if (run.state == "running" && std::ranges::find(live, run.run) == live.end()) run.state = "interrupted";
  out_text(options.format == Format::json ? dump(to_json(*runs), 2) + "\n" : render_text(*runs));
  return 0;
}

}  // namespace bulkhead
