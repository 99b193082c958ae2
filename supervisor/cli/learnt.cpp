#include "supervisor/cli/learnt.h"

#include <algorithm>
#include <set>

#include "sandbox/base/text.h"
#include "sandbox/explain/path_verdict.h"
#include "supervisor/config/yaml_writer.h"

namespace bulkhead {
namespace {

using nlohmann::json;

// Calls, and limits: twice what there was, since how much it needs is known only once it had enough.
void propose_calls_and_limits(const json& policy, const View& view, const ExitRecord& record, Proposal& proposal) {
  std::vector<std::string> calls;
  if (const auto given = policy.find("seccomp_allow"); given != policy.end() && given->is_array())
    calls = given->get<std::vector<std::string>>();  // the list is replaced, not merged
  const std::size_t before = calls.size();
  for (const Denied& row : denied(view, record, {}, {})) {
    if (row.kind == DeniedKind::limit) {
      const auto& limit = row.change.at("limits").items().begin();
      const json& twice = limit.value();
      proposal.added.push_back({"limits." + limit.key(), twice.is_string() ? twice.get<std::string>() : twice.dump(),
                                row.reason + "; twice the limit it had"});
      proposal.patch["limits"][limit.key()] = twice;
      continue;
    }
    const std::string times = row.times == 1 ? "once" : std::to_string(row.times) + " times";
    const std::string why = "refused " + times + (row.who.empty() ? "" : ", first to " + row.who) +
                            (row.reason.empty() ? "" : "; " + row.reason);
    if (row.change.empty()) {
      proposal.named.push_back({"seccomp_allow", row.what, why});
      continue;
    }
    const std::string call = row.change.at("seccomp_allow").front();
    calls.push_back(call);
    proposal.added.push_back({"seccomp_allow", call, why});
  }
  if (calls.size() != before) proposal.patch["seccomp_allow"] = calls;
}

void propose_paths(const View& view, const Observed& observed, const HostLook& host, Proposal& proposal) {
  std::set<std::string> mounts;
  std::map<std::string, std::string> refused;
  for (const HostPath& path : host.paths) {  // each was missing inside
    PathVerdict verdict = judge_path(path, view);
    mounts.insert(verdict.mounts.begin(), verdict.mounts.end());
    if (!verdict.reason.empty()) refused.emplace(std::move(verdict.path), std::move(verdict.reason));
  }
  const auto in_another = [&](const std::string& path) {  // a directory is mounted with all that is in it
    for (auto slash = path.rfind('/'); slash != 0 && slash != std::string::npos; slash = path.rfind('/', slash - 1))
      if (mounts.contains(path.substr(0, slash))) return true;
    return false;
  };
  for (const std::string& path : mounts) {
    if (in_another(path)) continue;
    proposal.patch["mounts"][path] = {{"source", path}};
    proposal.added.push_back({"mounts", path, "looked for, and on the host only"});
  }
  for (const auto& [path, reason] : refused)
    proposal.named.push_back({"mounts", path, "looked for, and on the host only; " + reason});
  std::set<std::string> written;
  for (const Observation& seen : observed.rows) {
    const ViewMount* cover = seen.seen == InitSeen::unwritable ? view.cover(normal_path(seen.path)) : nullptr;
    if (seen.seen == InitSeen::unwritable && (cover == nullptr || !cover->writable)) written.insert(seen.path);
  }
  for (const std::string& path : written)
    proposal.named.push_back(
        {"mounts", path,
         "was to be changed, which cannot be done there; a tmpfs takes what need not last, and 'access: read_write' "
         "needs the word 'writable-host'"});
  if (observed.closed) proposal.named.push_back({"mounts", "all paths and addresses", kClosed});
  if (observed.more || host.more)
    proposal.named.push_back({"mounts", "more paths", "only the first are noted; learn again with the proposal"});
}

// What no change of mounts, calls and limits gives.
void name_the_rest(const View& view, const Observed& observed, const HostNames& names, Proposal& proposal) {
  Observed rest;
  for (const Observation& seen : observed.rows)
    if (seen.seen != InitSeen::unwritable) rest.rows.push_back(seen);
  for (const Denied& row : denied(view, {}, rest, {.look = {}, .names = names}))
    proposal.named.push_back({std::string(name(row.kind)), row.what,
                              "stopped by " + row.wall +
                                  (row.change.empty() ? "" : "; to allow it: " + change_text(row.change)) +
                                  (row.reason.empty() ? "" : "; " + row.reason)});
}

}  // namespace

Proposal propose(const json& policy, const View& view, const ExitRecord& record, const Observed& observed,
                 const HostAnswers& host) {
  Proposal proposal;
  propose_calls_and_limits(policy, view, record, proposal);
  propose_paths(view, observed, host.look, proposal);
  name_the_rest(view, observed, host.names, proposal);
  return proposal;
}

std::vector<std::string> command_places(const std::string& command, std::string_view path) {
  if (command.starts_with('/')) return {command};
  if (command.find('/') != std::string::npos) return {};  // relative to a directory of the sandbox's own
  std::vector<std::string> places;
  for (const std::string& directory : split(path, ':'))
    if (directory.starts_with('/')) places.push_back(directory + "/" + command);
  return places;
}

std::string render_proposal(const json& policy, const std::vector<std::string>& head, const Proposal& proposal) {
  std::string out;
  const auto comment = [&](const std::string& text) { out += "# " + text + "\n"; };
  for (const std::string& line : head) comment(printable(line, 400));
  const auto list = [&](const char* title, const std::vector<ProposalLine>& lines) {
    if (lines.empty()) return;
    comment(title);
    for (const ProposalLine& line : lines)
      comment("  " + line.key + ": " + printable(line.what, 400) + ": " + printable(line.why, 400));
  };
  list("Added:", proposal.added);
  list("Not added:", proposal.named);
  return out + to_yaml(policy);
}

}  // namespace bulkhead
