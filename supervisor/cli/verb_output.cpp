// `bulkhead log --output AGENT`: what an agent wrote to stdout and stderr, from the journal's blobs.
#include "sandbox/base/text.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/history.h"
#include "supervisor/cli/verbs.h"
#include "supervisor/core/journal/blob_store.h"
#include "supervisor/core/lifecycle/events.h"

namespace bulkhead {
namespace {

// Line by line and escaped: it is an agent's, and this may be a terminal.
void show(const std::string& heading, const std::string& text) {
  out_line("-- " + heading);
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    out_line(printable(rest.substr(0, end)));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
}

}  // namespace

Outcome<int> output_verb(const Context& context, const LogOptions& options) {
  if (auto root = need_root(context, "read the journal"); !root) return std::unexpected(root.error());
  auto history = History::open(context.state);
  if (!history) return std::unexpected(history.error());
  auto name = history->agent(options.agent);
  if (!name) return std::unexpected(name.error());
  auto events = history->events(name->run);
  if (!events) return std::unexpected(events.error());
  auto blobs = or_exit(ExitCode::fault, BlobStore::open(context.state.blobs(), JournalMode::read));
  if (!blobs) return std::unexpected(blobs.error());
  const std::string label = name->run + "/" + name->agent;
  bool any = false;
  for (const Event& event : *events) {
    if (event.agent != name->agent || event.type != OutputKept::type) continue;
    auto kept = or_exit(ExitCode::fault, read_event<OutputKept>(event));
    if (!kept) return std::unexpected(kept.error());
    for (const auto& [stream, blob] :
         {std::pair("stdout", kept->stdout_blob), std::pair("stderr", kept->stderr_blob)}) {
      if (blob.empty()) continue;
      auto text = or_exit(ExitCode::fault, blobs->get(blob, std::size_t{1} << 30));
      if (!text) return std::unexpected(text.error());
      show(label + ", attempt " + std::to_string(event.attempt) + ", " + stream, *text);
      any = true;
    }
  }
  if (!any) err_line(label + " has written nothing (or still runs)");
  return 0;
}

}  // namespace bulkhead
