#include "supervisor/cli/live_lines.h"

#include <algorithm>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "sandbox/base/walls.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/signals.h"
#include "supervisor/core/lifecycle/lifecycle.h"

namespace bulkhead {
namespace {

constexpr std::size_t kLongest = 300;  // of one piece of text in a line

std::string safe(const std::string& text) { return printable(text, kLongest); }
std::string brief(const std::string& oid) { return printable(oid.substr(0, 10), 40); }
std::string after(std::int64_t ms) { return format_duration(std::chrono::milliseconds(ms)); }
std::string count(std::uint64_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}
std::string aside(const std::string& text) { return text.empty() ? "" : " (" + safe(text) + ")"; }

// "  12.3s", " 4:05.1", "1:02:03": as wide as the first hours need.
std::string elapsed(std::int64_t ms) {
  if (ms < 0) ms = 0;
  const auto two = [](std::int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  const std::int64_t tenths = ms / 100, seconds = tenths / 10;
  std::string out;
  if (seconds < 60)
    out = std::to_string(seconds) + "." + std::to_string(tenths % 10) + "s";
  else if (seconds < 3600)
    out = std::to_string(seconds / 60) + ":" + two(seconds % 60) + "." + std::to_string(tenths % 10);
  else
    out = std::to_string(seconds / 3600) + ":" + two(seconds / 60 % 60) + ":" + two(seconds % 60);
  return std::string(out.size() < 7 ? 7 - out.size() : 0, ' ') + out;
}

std::string stage_text(VerifyStage stage) {
  switch (stage) {
    case VerifyStage::base:
      return "on the base";
    case VerifyStage::result:
      return "on the result";
    case VerifyStage::merged:
      return "on the merged tree";
  }
  return {};
}

// The event's body as the type that its name says; a damaged body becomes a line that says so.
template <class T, class Say>
std::string with(const Event& event, Say&& say) {
  auto typed = read_event<T>(event);
  return typed ? say(*typed) : "(" + safe(typed.error().text()) + ")";
}

}  // namespace

std::string ending(EndReason reason, int exit_code, int signal, const std::string& step) {
  switch (reason) {
    case EndReason::exited:
      return "exited with " + std::to_string(exit_code);
    case EndReason::signalled:
      return "killed by " + signal_text(signal);
    case EndReason::out_of_memory:
      return "out of memory";
    case EndReason::pids_exhausted:
      return "out of processes";
    case EndReason::disk_full:
      return "out of disk";
    case EndReason::wall_time:
      return "out of time";
    case EndReason::cpu_time:
      return "out of CPU time";
    case EndReason::idle:
      return "idle for too long";
    case EndReason::killed_by_request:
      return "killed on request";
    case EndReason::fault_injected:
      return "killed by the workflow's fault section";
    case EndReason::seccomp:
      return "killed for a forbidden system call";
    case EndReason::setup_failed:
      return step.empty() ? "could not be set up" : "could not be set up: " + safe(step);
    case EndReason::lost:
      return "lost: nobody was left to see how it ended";
  }
  return {};
}

std::string LiveLines::attempt(const Event& event) const {
  return event.attempt <= 1 ? "" : "attempt " + std::to_string(event.attempt) + " ";
}

std::string LiveLines::line(const Event& event) {
  if (start_unix_ms_ == 0) start_unix_ms_ = event.time_unix_ms;
  const std::string text = say(event);
  if (text.empty()) return {};
  std::string who = safe(event.agent);
  name_width_ = std::max(name_width_, std::min<std::size_t>(width(who), 32));
  if (width(who) < name_width_) who.append(name_width_ - width(who), ' ');
  return elapsed(event.time_unix_ms - start_unix_ms_) + "  " + who + "  " + text;
}

std::string LiveLines::say(const Event& e) {
  const std::string& type = e.type;
  if (type == RunStarted::type)
    return with<RunStarted>(e, [&](const RunStarted& b) {
      merge_into_ = b.merge_into;
      return "run " + safe(e.run) + (b.name.empty() ? "" : " of " + safe(b.name)) + " in " + safe(b.repository) +
             " at " + brief(b.base);
    });
  if (type == RunPlanned::type)
    return with<RunPlanned>(e, [](const RunPlanned& b) { return count(b.agents, "agent") + " planned"; });
  if (type == SupervisorStarted::type) return "a new bulkheadd took the run over";
  if (type == RunCancelRequested::type)
    return with<RunCancelRequested>(e, [](const RunCancelRequested& b) { return "cancelling" + aside(b.cause); });
  if (type == AgentCancelRequested::type)
    return with<AgentCancelRequested>(e, [](const AgentCancelRequested& b) { return "cancelling" + aside(b.cause); });
  if (type == BaseReady::type)
    return with<BaseReady>(e, [](const BaseReady& b) {
      return b.reused ? std::string("base is there from an earlier run") : "base prepared in " + after(b.milliseconds);
    });
  if (type == BaseFailed::type)
    return with<BaseFailed>(e, [](const BaseFailed& b) { return "no base: " + safe(b.reason); });
  if (type == WorkspaceReady::type)
    return with<WorkspaceReady>(e, [&](const WorkspaceReady& b) {
      branch_[e.agent] = b.branch;
      return std::string();  // it says nothing that the start of the attempt does not
    });
  if (type == WorkspaceFailed::type)
    return with<WorkspaceFailed>(e, [](const WorkspaceFailed& b) { return "no workspace: " + safe(b.reason); });
  if (type == AttemptIntended::type)
    return with<AttemptIntended>(e, [&](const AttemptIntended& b) {
      from_checkpoint_[e.agent] = b.from_checkpoint;
      return std::string();
    });
  if (type == SetupEnded::type)
    return with<SetupEnded>(e, [](const SetupEnded& b) {
      if (b.reason == EndReason::exited && b.exit_code == 0) return "setup done in " + after(b.wall_ms);
      return "setup " + ending(b.reason, b.exit_code, 0, {});
    });
  if (type == AttemptStarted::type) {
    const auto from = from_checkpoint_[e.agent];
    return attempt(e) + "started" + (from ? " from checkpoint " + std::to_string(*from) : "");
  }
  if (type == BoundarySeen::type)
    return with<BoundarySeen>(e, [](const BoundarySeen& b) {
      return "commit " + std::to_string(b.commits) + (b.head.empty() ? "" : " (" + brief(b.head) + ")");
    });
  if (type == CheckpointTaken::type)
    return with<CheckpointTaken>(e, [](const CheckpointTaken& b) {
      return "checkpoint " + std::to_string(b.n) + " (" + count(b.files, "file") + ", " + format_bytes(b.bytes) + ")";
    });
  if (type == CheckpointFailed::type)
    return with<CheckpointFailed>(e, [](const CheckpointFailed& b) {
      return "checkpoint " + std::to_string(b.n) + " failed: " + safe(b.reason);
    });
  if (type == FaultInjected::type)
    return with<FaultInjected>(e, [](const FaultInjected& b) { return "fault injected: " + safe(b.what); });
  if (type == IdleExpired::type) return attempt(e) + "is idle for too long";
  if (type == DenialSeen::type)
    return with<DenialSeen>(e, [](const DenialSeen& b) {
      return "stopped: " + safe(b.what) + (b.who.empty() ? "" : ", tried by " + safe(b.who)) +
             (b.times > 1 ? ", " + std::to_string(b.times) + " times" : "") +
             (b.rule.empty() ? "" : ", by " + (b.wall.empty() ? "" : safe(b.wall) + ", ") + safe(b.rule)) +
             aside(b.detail) + (b.allow.empty() ? "" : "; to allow it: " + safe(b.allow));
    });
  if (type == WallMissing::type)
    return with<WallMissing>(e, [](const WallMissing& b) {
      const WallInfo* info = find_wall(b.wall);
      const std::string text = info == nullptr ? b.wall + ": " + b.answer : missing_text(info->wall, b.answer);
      return "without the wall " + printable(text, 1000);
    });
  if (type == AttemptEnded::type)
    return with<AttemptEnded>(e, [&](const AttemptEnded& b) {
      std::string out = attempt(e) + ending(b.reason, b.exit_code, b.signal, b.step) + " after " + after(b.wall_ms);
      // Its detail says the same again.
      if (b.reason == EndReason::exited && (b.exit_code == 0 || b.detail.starts_with("exited with"))) return out;
      return out + (b.rule.empty() ? "" : ", by " + safe(b.rule)) + aside(b.detail);
    });
  if (type == Imported::type)
    return with<Imported>(e, [&](const Imported& b) {
      if (b.commits == 0) return std::string("made no commit");
      return count(b.commits, "commit") + " on " + safe(branch_[e.agent]) + ", " + count(b.files_changed, "file") +
             " changed";
    });
  if (type == ImportFailed::type)
    return with<ImportFailed>(e, [](const ImportFailed& b) { return "work not taken: " + safe(b.reason); });
  if (type == VerificationEnded::type)
    return with<VerificationEnded>(e, [](const VerificationEnded& b) {
      std::string kind(word(b.kind));
      for (char& c : kind)
        if (c == '_') c = '-';
      return "verify " + kind + " " + stage_text(b.stage) + ": " + (satisfied(b) ? "right" : "WRONG") + ", " +
             ending(b.reason, b.exit_code, b.signal, b.step) + " after " + after(b.wall_ms);
    });
  if (type == MergeConflict::type)
    return with<MergeConflict>(e, [&](const MergeConflict& b) {
      std::string out = "conflicts with " + safe(merge_into_) + " in ";
      const std::size_t shown = std::min<std::size_t>(b.paths.size(), 3);
      for (std::size_t i = 0; i < shown; ++i) out += (i == 0 ? "" : ", ") + safe(b.paths[i]);
      return b.total > shown ? out + " and " + std::to_string(b.total - shown) + " more" : out;
    });
  if (type == MergeRefused::type)
    return with<MergeRefused>(e, [](const MergeRefused& b) { return "not merged: " + safe(b.reason); });
  if (type == MergeStale::type) return safe(merge_into_) + " was moved by somebody else; merging again";
  if (type == Merged::type)
    return with<Merged>(e,
                        [&](const Merged& b) { return "merged into " + safe(merge_into_) + " as " + brief(b.commit); });
  if (type == AgentFinished::type)
    return with<AgentFinished>(e, [](const AgentFinished& b) { return std::string(word(b.outcome)) + aside(b.cause); });
  if (type == Cleaned::type)
    return with<Cleaned>(e, [](const Cleaned& b) {
      return b.problem.empty() ? std::string() : "left behind: " + safe(b.problem) + "; sudo bulkhead clean";
    });
  if (type == RunFinished::type)
    return with<RunFinished>(
        e, [](const RunFinished& b) { return "run " + std::string(word(b.outcome)) + aside(b.cause); });
  return {};
}

}  // namespace bulkhead
