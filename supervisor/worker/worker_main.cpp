// bulkhead-worker: one subcommand, one answer, or `serve`. Runs inside a sandbox, never privileged (supervisor/core/
// workspaces/worker_protocol.h and worker_serving.h say what each subcommand expects there).
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <string>
#include <vector>

#include "sandbox/base/text.h"
#include "supervisor/core/workspaces/worker_serving.h"
#include "supervisor/worker/answer.h"
#include "supervisor/worker/serve.h"
#include "supervisor/worker/streams.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {
namespace {

Result<std::string> run(std::string_view name, std::span<const std::string> options) {
  if (name == InspectRequest::subcommand) return answer(inspect, options);
  if (name == PackRequest::subcommand) return answer(pack, options);
  if (name == RegisterRequest::subcommand) return answer(register_agent, options);
  if (name == UnregisterRequest::subcommand) return answer(unregister_agent, options);
  if (name == IngestRequest::subcommand) return answer(ingest, options);
  if (name == MergePrepareRequest::subcommand) return answer(merge_prepare, options);
  if (name == MergeCommitRequest::subcommand) return answer(merge_commit, options);
  if (name == MakeBaseRequest::subcommand) return answer(make_base, options);
  if (name == MaterializeRequest::subcommand) return answer(materialize, options);
  if (name == FinishRequest::subcommand) return answer(finish, options);
  if (name == HeadRequest::subcommand) return answer(head, options);
  if (name == ExportRequest::subcommand) return answer(export_agent, options);
  if (name == CopyTreeRequest::subcommand) return answer(copy_tree, options);
  if (name == RemoveTreeRequest::subcommand) return answer(remove_tree_contents, options);
  if (name == HostLookRequest::subcommand) return answer(host_look, options);
  if (name == SelectImageRequest::subcommand) return answer(select_image, options);
  if (name == UnpackImageRequest::subcommand) return answer(unpack_image, options);
  return fail("run bulkhead-worker", printable(name, 64), "no such subcommand");
}

// --facts-fd N, wherever it stands; the rest stays.
Result<int> take_facts_fd(std::vector<std::string>& options) {
  int fd = STDOUT_FILENO;
  for (std::size_t i = 0; i + 1 < options.size(); i += 2) {
    if (options[i] != "--facts-fd") continue;
    const std::string value = options[i + 1];
    const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), fd);
    if (code != std::errc() || end != value.data() + value.size() || fd < 0) {
      return fail("read option", "--facts-fd", "expected a descriptor's number");
    }
    options.erase(options.begin() + static_cast<std::ptrdiff_t>(i),
                  options.begin() + static_cast<std::ptrdiff_t>(i) + 2);
    break;
  }
  return fd;
}

int main_of(std::vector<std::string> arguments) {
  ::signal(SIGPIPE, SIG_IGN);  // a git that stops reading says why by its status
  ::umask(022);
  if (arguments.empty()) {
    std::fputs("usage: bulkhead-worker SUBCOMMAND --option VALUE…\n", stderr);
    return 2;
  }
  std::vector<std::string> options(arguments.begin() + 1, arguments.end());
  if (arguments.front() == worker_serve) {
    const auto served = serve(options);
    if (!served) std::fprintf(stderr, "bulkhead-worker: %s\n", served.error().text().c_str());
    return served ? 0 : 1;
  }
  const auto fd = take_facts_fd(options);
  const Result<std::string> text = fd ? run(arguments.front(), options) : std::unexpected(fd.error());
  const auto written = write_all(fd ? *fd : STDOUT_FILENO, text ? *text : worker_error_json(text.error()), "answer");
  if (!written) std::fprintf(stderr, "bulkhead-worker: %s\n", written.error().text().c_str());
  return text && written ? 0 : 1;
}

}  // namespace
}  // namespace bulkhead

int main(int argc, char** argv) { return bulkhead::main_of(std::vector<std::string>(argv + 1, argv + argc)); }
