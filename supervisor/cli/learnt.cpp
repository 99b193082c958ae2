#include "supervisor/cli/learnt.h"

#include <algorithm>
#include <set>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "sandbox/init/init_protocol.h"
#include "sandbox/spec/seccomp_profile.h"
#include "supervisor/cli/learnt_paths.h"
#include "supervisor/config/yaml_writer.h"

namespace bulkhead {
namespace {

using nlohmann::json;

void propose_calls(const json& policy, const ExitRecord& record, Proposal& proposal) {
  std::vector<std::string> calls;
  if (const auto given = policy.find("seccomp_allow"); given != policy.end() && given->is_array())
    calls = given->get<std::vector<std::string>>();  // the list is replaced, not merged
  const std::size_t before = calls.size();
  for (const Denial& denial : record.denials) {
    const std::string times = denial.times == 1 ? "once" : std::to_string(denial.times) + " times";
    const std::string why = "refused " + times + ", first to " + denial.who;
    if (!with_allowed({}, {denial.call})) {
      proposal.named.push_back({"seccomp_allow", denial.call, why + "; it has no name here"});
      continue;
    }
    const std::string group = group_of(denial.call);
    calls.push_back(denial.call);
    proposal.added.push_back({"seccomp_allow", denial.call, why + (group.empty() ? "" : "; it is one of " + group)});
  }
  if (calls.size() != before) proposal.patch["seccomp_allow"] = calls;
  if (record.reason == EndReason::seccomp)
    proposal.named.push_back({"seccomp", "a system call", "the filter killed for it; which it was is not known"});
}

// Twice what there was: how much it needs is known only once it had enough.
void propose_limits(const Limits& limits, const ExitRecord& record, Proposal& proposal) {
  const auto double_it = [&](const char* key, json value, std::string why) {
    proposal.added.push_back({std::string("limits.") + key, value.is_string() ? value.get<std::string>() : value.dump(),
                              std::move(why) + "; twice the limit it had"});
    proposal.patch["limits"][key] = std::move(value);
  };
  const auto bytes = [](std::uint64_t size) -> json {  // rounded for people only where that is exact
    const std::string text = format_bytes(size);
    return parse_bytes(text) == size ? json(text) : json(size);
  };
  const auto time = [](std::chrono::milliseconds limit) { return format_duration(2 * limit); };
  if (record.oom_kills != 0 && limits.memory_bytes != 0)
    double_it("memory", bytes(2 * limits.memory_bytes), "out of memory");
  if (record.pids_refusals != 0 && limits.pids != 0)
    double_it("pids", 2 * limits.pids, std::to_string(record.pids_refusals) + " forks were refused");
  if (record.reason == EndReason::wall_time) double_it("wall", time(limits.wall), "its time was up");
  if (record.reason == EndReason::cpu_time) double_it("cpu_time", time(limits.cpu_time), "its CPU time was up");
}

void propose_paths(const SandboxSpec& spec, const LearntNotes& notes, Proposal& proposal) {
  std::set<std::string> mounts;
  std::map<std::string, std::string> refused;
  std::set<std::string> known(notes.missing.begin(), notes.missing.end());
  std::vector<std::string> wanted(known.begin(), known.end());
  while (!wanted.empty()) {
    const std::string path = std::move(wanted.back());
    wanted.pop_back();
    PathVerdict verdict = judge_path(path, spec);
    mounts.insert(verdict.mounts.begin(), verdict.mounts.end());
    if (verdict.interpreter.starts_with('/') && known.insert(verdict.interpreter).second)
      wanted.push_back(std::move(verdict.interpreter));
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
  for (const std::string& path : std::set(notes.read_only.begin(), notes.read_only.end()))
    proposal.named.push_back(
        {"mounts", path,
         "was to be changed, which cannot be done there; a tmpfs takes what need not last, and 'access: read_write' "
         "needs the word 'writable-host'"});
  if (notes.more)
    proposal.named.push_back(
        {"mounts", "more paths",
         "only the first " + std::to_string(kMostLearntPaths) + " are noted; learn again with the proposal"});
}

}  // namespace

LearntNotes parse_learnt(std::string_view bytes) {
  LearntNotes notes;
  while (!bytes.empty()) {
    const auto end = bytes.find('\0');
    if (end == std::string_view::npos) break;  // cut short
    const std::string_view row = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (row == std::string_view(&kLearntMore, 1)) notes.more = true;
    if (row.size() < 2 || row[1] != '/') continue;
    if (row[0] == kLearntMissing) notes.missing.emplace_back(row.substr(1));
    if (row[0] == kLearntReadOnly) notes.read_only.emplace_back(row.substr(1));
  }
  return notes;
}

Proposal propose(const json& policy, const SandboxSpec& spec, const ExitRecord& record, const LearntNotes& notes) {
  Proposal proposal;
  propose_calls(policy, record, proposal);
  propose_limits(spec.limits(), record, proposal);
  propose_paths(spec, notes, proposal);
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
