#include "supervisor/core/daemon/denials.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "sandbox/base/text.h"
#include "sandbox/explain/denied.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

namespace asio = boost::asio;

constexpr int kPathsInside = 3;
constexpr uid_t kNobody = 65534;
constexpr std::chrono::seconds kPatience{5};  // the attempt's end is journaled only afterwards

// Directories of the host's root that a path can lead to. /proc and /dev are the worker's own, and /run holds
// sockets: their names are known without looking.
std::vector<MountSpec> host_directories() {
  std::vector<MountSpec> mounts;
  for (const auto& entry : list_directory("/").value_or(std::vector<std::string>{})) {
    const std::string path = "/" + entry;
    if (entry == "proc" || entry == "dev" || entry == "run" || entry == "tmp") continue;
    struct stat st{};
    if (::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode))
      mounts.push_back(bind_mount(path, path, MountAccess::read_only));
  }
  return mounts;
}

// The agent chose the paths, so a worker looks for them, as the repository's owner or as nobody.
Async<HostLook> look(RunContext& run, std::string agent, std::vector<std::string> paths) {
  if (paths.empty()) co_return HostLook{};
  std::string list;
  for (const std::string& path : paths) list += path + '\0';
  BULKHEAD_CO_ASSIGN(const Fd file, make_memfd("bulkhead-paths", list));
  WorkerJob job;
  job.kind = WorkerKind::owner;
  job.place = run.run + "/" + agent;
  job.owner = run.owner;
  if (job.owner.uid == 0) job.owner = {.uid = kNobody, .gid = kNobody, .groups = {}};
  job.mounts = host_directories();
  job.patience = kPatience;
  job.fds = {{file.get(), kPathsInside}};
  HostLookRequest request{.paths = "fd:" + std::to_string(kPathsInside)};
  co_return co_await run.site.workers.run(std::move(job), std::move(request));
}

Result<Observed> read_observations(const std::string& path) {
  if (path.empty()) return Observed{};
  BULKHEAD_ASSIGN(const Fd file, open_file(path, O_RDONLY | O_NOFOLLOW));
  return read_observed(file.get());
}

DenialSeen event_of(const Denied& row) {
  return {.what = printable(row.what, 1000),
          .rule = row.rule,
          .detail = printable(row.reason, 400),
          .kind = std::string(name(row.kind)),
          .wall = row.wall,
          .who = row.who,
          .allow = change_text(row.change),
          .times = row.times};
}

}  // namespace

asio::awaitable<void> note_denials(RunContext& run, std::string agent, unsigned attempt, ExitRecord record,
                                   LaunchPlan plan, std::string observations) {
  const View view = view_of(run.specs.at(agent), plan);
  Observed observed;
  HostAnswers host;
  if (auto read = read_observations(observations); !read)
    spdlog::warn("{} {}: {}", run.run, agent, read.error().text());
  else
    observed = *std::move(read);
  if (!observed.rows.empty()) {
    host.names = names_of_host();
    if (auto seen = co_await look(run, agent, questions(observed, view)); !seen)
      spdlog::warn("{} {}: {}", run.run, agent, seen.error().text());
    else
      host.look = *std::move(seen);
  }
  const std::vector<Denied> rows = denied(view, record, observed, host);
  for (std::size_t i = 0; i < rows.size() && i < kMostJournaledDenials; ++i)
    run.note(agent, attempt, event_of(rows[i]));
  if (observed.closed)
    run.note(agent, attempt,
             DenialSeen{.what = "what it asked for of files and network is not known", .detail = kClosed, .times = 1});
  const bool more = observed.more || host.look.more;
  if (!more && rows.size() <= kMostJournaledDenials) co_return;
  const std::size_t rest = rows.size() - std::min(rows.size(), kMostJournaledDenials);
  run.note(agent, attempt,
           DenialSeen{.what = "more than is noted",
                      .detail = more ? "it asked for more than is looked at" : std::to_string(rest) + " more",
                      .times = std::max<std::uint64_t>(rest, 1)});
}

}  // namespace bulkhead
