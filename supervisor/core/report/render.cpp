// RunReport -> text for a terminal. Everything that may come from an agent, a file or a person goes through safe().
#include <algorithm>
#include <map>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "sandbox/base/walls.h"
#include "supervisor/core/lifecycle/describe.h"
#include "supervisor/core/report/report.h"
#include "supervisor/core/report/table.h"

namespace bulkhead {

namespace {

constexpr std::size_t kLongest = 400;     // of one piece of text
constexpr std::size_t kMostDenials = 20;  // of one agent
constexpr std::size_t kMostPaths = 8;

std::string safe(const std::string& text) { return printable(text, kLongest); }
std::string brief(const std::string& oid) { return printable(oid.substr(0, 12), 48); }
std::string bytes(std::uint64_t count) { return count == 0 ? "-" : format_bytes(count); }
std::string count(std::uint64_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string changed(const AgentReport& agent) {
  if (!agent.imported || agent.imported->commits == 0) return "-";
  return count(agent.imported->files_changed, "file") + " +" + std::to_string(agent.imported->insertions) + " -" +
         std::to_string(agent.imported->deletions);
}

std::string verdict(const AgentReport& agent) {
  if (agent.verifications.empty()) return "-";
  // What counts is how each was answered last.
  std::vector<const VerificationReport*> last;
  for (const VerificationReport& verification : agent.verifications) {
    const auto same = std::ranges::find_if(last, [&](const VerificationReport* other) {
      return other->ended.stage == verification.ended.stage && other->ended.kind == verification.ended.kind;
    });
    if (same != last.end())
      *same = &verification;
    else
      last.push_back(&verification);
  }
  const auto right = std::ranges::count_if(last, &VerificationReport::satisfied);
  return std::to_string(right) + "/" + std::to_string(last.size());
}

std::string merge_word(const AgentReport& agent) {
  switch (agent.merge.is) {
    case MergeReport::Is::none:
      return "-";
    case MergeReport::Is::waiting:
      return "waiting";
    case MergeReport::Is::merged:
      return brief(agent.merge.commit);
    case MergeReport::Is::conflict:
      return "conflict";
    case MergeReport::Is::refused:
      return "not merged";
  }
  return "";
}

std::string cpu_text(std::int64_t ms) { return ms < 0 ? "?" : rounded(ms); }

std::string overview(const RunReport& report) {
  Table table({"AGENT", "OUTCOME", "ATTEMPTS", "WALL", "CPU", "MEMORY", "CHANGED", "VERIFIED", "MERGED"});
  for (const AgentReport& agent : report.agents)
    table.row({safe(agent.name), agent.state, std::to_string(agent.attempts.size()), rounded(agent.wall_ms),
               cpu_text(agent.cpu_ms), bytes(agent.peak_memory), changed(agent), verdict(agent), merge_word(agent)});
  return table.text("  ");
}

// One line of an agent's block: what it is about, in a column of its own.
std::string line(const std::string& about, const std::string& text) { return "  " + pad(about, 12) + text + "\n"; }

std::string resumed(const CheckpointReport& from) {
  std::string text = "from checkpoint " + std::to_string(from.n) + " (";
  switch (from.kind) {
    case CheckpointKind::commit:
      text += "after commit " + std::to_string(from.commits);
      break;
    case CheckpointKind::timer:
      text += "timer";
      break;
    case CheckpointKind::result:
      text += "the result";
      break;
  }
  text += " of attempt " + std::to_string(from.attempt);
  if (!from.head.empty()) text += ", " + brief(from.head);
  return text + ")";
}

std::string attempt_text(const AttemptReport& attempt) {
  std::string text = attempt.resumed_from ? resumed(*attempt.resumed_from) + ": " : "";
  if (!attempt.ended) return text + (attempt.started_unix_ms != 0 ? "is running" : "is being started");
  const AttemptEnded& ended = *attempt.ended;
  text += safe(describe(ended));
  if (!ended.rule.empty()) text += ", by " + safe(ended.rule);
  if (attempt.verification_failed) text += "; its result failed verification";
  text += " [" + rounded(ended.wall_ms) +
          (ended.cpu_ms < 0 ? "" : ", CPU " + rounded(ended.cpu_ms) + ", memory " + bytes(ended.peak_memory));
  if (attempt.disk) text += ", disk " + bytes(attempt.disk->bytes);
  text += "]";
  if (ended.output_dropped != 0) text += "; " + format_bytes(ended.output_dropped) + " of output dropped";
  return text;
}

std::string denials_text(const AgentReport& agent) {
  std::string out;
  std::size_t shown = 0;
  for (const DenialReport& denial : agent.denials) {
    if (shown++ == kMostDenials) {
      out += line("", "and " + std::to_string(agent.denials.size() - kMostDenials) + " more");
      break;
    }
    const DenialSeen& seen = denial.denial;
    std::string text = safe(seen.what);
    if (!seen.rule.empty()) text += ", by " + (seen.wall.empty() ? "" : safe(seen.wall) + ", ") + safe(seen.rule);
    if (!seen.detail.empty()) text += " (" + safe(seen.detail) + ")";
    if (!seen.who.empty()) text += ", tried by " + safe(seen.who);
    if (denial.times > 1) text += ", " + std::to_string(denial.times) + " times";
    if (!seen.allow.empty()) text += "; to allow it: " + safe(seen.allow);
    if (agent.attempts.size() > 1 && denial.attempt != 0) text += ", in attempt " + std::to_string(denial.attempt);
    out += line("stopped", text);
  }
  return out;
}

std::string verification_text(const VerificationReport& verification) {
  const VerificationEnded& ended = verification.ended;
  const bool must_fail = ended.stage == VerifyStage::base && ended.kind == VerifyKind::fail_to_pass;
  std::string text = safe(describe(ended));
  if (!verification.satisfied)
    text += must_fail ? ", where it had to fail" : ", where it had to pass";
  else
    text += must_fail ? ", as it had to" : "";
  return (verification.satisfied ? "ok: " : "FAILED: ") + text + " [" + rounded(ended.wall_ms) + "]";
}

std::string merge_text(const AgentReport& agent) {
  const MergeReport& merge = agent.merge;
  const std::string into = safe(merge.into);
  switch (merge.is) {
    case MergeReport::Is::none:
      return {};
    case MergeReport::Is::waiting:
      return line("merge", "under way into " + into);
    case MergeReport::Is::merged:
      return line("merge",
                  "into " + into + " as " + brief(merge.commit) + (merge.fast_forward ? ", fast-forward" : ""));
    case MergeReport::Is::refused:
      return line("merge", "not into " + into + ": " + safe(merge.reason));
    case MergeReport::Is::conflict:
      break;
  }
  std::string text = "conflict with " + into + " in ";
  const std::size_t shown = std::min(merge.conflicts.size(), kMostPaths);
  for (std::size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : ", ") + safe(merge.conflicts[i]);
  if (merge.conflicts_total > shown) text += " and " + std::to_string(merge.conflicts_total - shown) + " more";
  return line("merge", text + "; nothing was moved");
}

std::string agent_text(const AgentReport& agent) {
  std::string out = safe(agent.name) + ": " + agent.state;
  if (agent.finished && !agent.finished->cause.empty()) out += ": " + safe(agent.finished->cause);
  out += "\n";
  for (const AttemptReport& attempt : agent.attempts) {
    out += line("attempt " + std::to_string(attempt.number), attempt_text(attempt));
    for (const std::string& fault : attempt.faults) out += line("", "fault injected: " + safe(fault));
  }
  for (const CheckpointReport& checkpoint : agent.checkpoints)
    if (!checkpoint.problem.empty())
      out += line("checkpoint", std::to_string(checkpoint.n) + " failed: " + safe(checkpoint.problem));
  out += denials_text(agent);
  for (const VerificationReport& verification : agent.verifications)
    out += line("verified", verification_text(verification));
  if (!agent.import_problem.empty()) out += line("import", "failed: " + safe(agent.import_problem));
  out += merge_text(agent);
  if (agent.imported && agent.imported->commits > 0)
    out += line("branch", safe(agent.branch) + " at " + brief(agent.imported->tip) + ": " +
                              count(agent.imported->commits, "commit") + ", " + changed(agent) +
                              (agent.imported->uncommitted ? "; held uncommitted changes" : ""));
  if (!agent.left_behind.empty()) out += line("left behind", safe(agent.left_behind));
  return out;
}

std::string totals(const RunReport& report) {
  std::int64_t cpu = 0;
  std::size_t attempts = 0;
  std::size_t merged = 0;
  std::map<std::string, unsigned> states;
  for (const AgentReport& agent : report.agents) {
    cpu = agent.cpu_ms < 0 || cpu < 0 ? -1 : cpu + agent.cpu_ms;
    attempts += agent.attempts.size();
    merged += agent.merge.is == MergeReport::Is::merged ? 1 : 0;
    ++states[agent.state];
  }
  std::string out = count(report.agents.size(), "agent") + ":";
  for (const auto& [state, number] : states)
    out += (out.ends_with(':') ? " " : ", ") + std::to_string(number) + " " + state;
  out += "; " + count(attempts, "attempt") + ", CPU " + cpu_text(cpu);
  if (!report.started.merge_into.empty()) out += ", " + std::to_string(merged) + " merged";
  return out + "\n";
}

std::string heading(const RunReport& report) {
  std::string out = "run " + safe(report.run);
  if (!report.started.name.empty()) out += " (" + safe(report.started.name) + ")";
  const std::string took = rounded(report.ended_unix_ms - report.started_unix_ms);
  if (!report.finished) {
    out += ": not finished, its last event " + took + " after its start";
  } else {
    out += ": " + std::string(word(report.finished->outcome)) + " after " + took;
    if (!report.finished->cause.empty()) out += ": " + safe(report.finished->cause);
  }
  out += "\n  " + safe(report.started.repository) + " at " + brief(report.started.base);
  if (!report.started.merge_into.empty()) out += ", into " + safe(report.started.merge_into);
  if (report.base)
    out += report.base->reused ? "; base there already" : "; base prepared in " + rounded(report.base->milliseconds);
  out += "\n";
  if (!report.base_problem.empty()) out += "  base: " + safe(report.base_problem) + "\n";
  for (const WallMissing& missing : report.without) {
    const WallInfo* info = find_wall(missing.wall);
    out += "  without the wall " +
           printable(info == nullptr ? missing.wall + ": " + missing.answer : missing_text(info->wall, missing.answer),
                     1000) +
           "\n";
  }
  if (report.supervisors > 1)
    out += "  carried on by " + count(report.supervisors - 1, "further supervisor") + " after the first\n";
  if (!report.violation.empty()) out += "  fault of Bulkhead: " + safe(report.violation) + "\n";
  return out;
}

}  // namespace

std::string render_text(const RunReport& report) {
  std::string out = heading(report) + "\n";
  if (report.agents.size() > 1) out += overview(report) + "\n";
  for (const AgentReport& agent : report.agents) out += agent_text(agent) + "\n";
  if (report.agents.size() > 1) out += totals(report);
  for (const std::string& command : report.next) out += "next: " + printable(command, 1000) + "\n";
  return out;
}

std::string render_event(const Event& event) {
  std::string who = safe(event.agent);
  if (event.attempt != 0) who += "/" + std::to_string(event.attempt);
  std::string out = std::to_string(event.seq) + "  " + utc_clock(event.time_unix_ms) + "  " + pad(who, 20) + "  " +
                    pad(safe(event.type), 22);
  for (const auto& [key, value] : event.body.items()) {
    // What says nothing is left out.
    if (value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty())) continue;
    const std::string text = value.is_string() ? value.get<std::string>()
                                               : value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out += "  " + safe(key) + "=" + (text.contains(' ') ? "'" + safe(text) + "'" : safe(text));
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out;
}

std::string render_text(const std::vector<RunSummary>& runs) {
  if (runs.empty()) return "no runs\n";
  Table table({"RUN", "NAME", "STATE", "STARTED (UTC)", "TOOK", "AGENTS", "ACTIVE"});
  for (const RunSummary& run : runs) {
    std::string active;
    for (const std::string& agent : run.active) active += (active.empty() ? "" : ", ") + safe(agent);
    table.row({safe(run.run), run.name.empty() ? "-" : safe(run.name), safe(run.state), utc(run.started_unix_ms),
               rounded(run.ended_unix_ms - run.started_unix_ms),
               std::to_string(run.finished_agents) + "/" + std::to_string(run.agents), active});
  }
  return table.text("");
}

}  // namespace bulkhead
