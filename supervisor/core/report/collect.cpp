// Events -> RunReport.
#include <algorithm>
#include <set>

#include "sandbox/base/text.h"
#include "supervisor/core/lifecycle/lifecycle.h"
#include "supervisor/core/report/report.h"

namespace bulkhead {

namespace {

class Collector {
 public:
  explicit Collector(RunReport& report) : report_(report) {}

  Result<> take(const Event& event) {
    event_ = &event;
    report_.ended_unix_ms = event.time_unix_ms;
    return dispatch<RunStarted, AgentPlanned, RunCancelRequested, BaseReady, BaseFailed, WorkspaceReady,
                    AttemptIntended, SetupEnded, AttemptStarted, CheckpointIntended, CheckpointTaken, CheckpointFailed,
                    FaultInjected, DenialSeen, WallMissing, DiskUsed, AttemptEnded, Imported, ImportFailed,
                    VerificationEnded, MergePrepareIntended, MergePrepared, MergeConflict, MergeRefused, Merged,
                    MergeStale, AgentFinished, Cleaned, RunFinished>();
  }

 private:
  template <class... T>
  Result<> dispatch() {
    Result<> result;
    const auto one = [&]<class Typed>(std::type_identity<Typed>) {
      if (event_->type != Typed::type) return false;
      Result<Typed> body = read_event<Typed>(*event_);
      if (body)
        on(*body);
      else
        result = std::unexpected(std::move(body).error());
      return true;
    };
    (one(std::type_identity<T>{}) || ...);
    return result;
  }

  AgentReport& agent() {
    const auto found = std::ranges::find(report_.agents, event_->agent, &AgentReport::name);
    if (found != report_.agents.end()) return *found;
    report_.agents.push_back({.name = event_->agent});
    return report_.agents.back();
  }
  AttemptReport& attempt() {
    std::vector<AttemptReport>& attempts = agent().attempts;
    const auto found = std::ranges::find(attempts, event_->attempt, &AttemptReport::number);
    if (found != attempts.end()) return *found;
    attempts.push_back({.number = event_->attempt});
    return attempts.back();
  }
  CheckpointReport& checkpoint(unsigned n) {
    std::vector<CheckpointReport>& checkpoints = agent().checkpoints;
    const auto found = std::ranges::find(checkpoints, n, &CheckpointReport::n);
    if (found != checkpoints.end()) return *found;
    checkpoints.push_back({.n = n});
    return checkpoints.back();
  }

  void on(const RunStarted& body) {
    report_.run = event_->run;
    report_.started = body;
    report_.started_unix_ms = event_->time_unix_ms;
  }
  void on(const AgentPlanned& body) {
    std::vector<std::string>& needs = agent().needs;
    needs.insert(needs.end(), body.needs.begin(), body.needs.end());
  }
  void on(const RunCancelRequested& body) {
    if (report_.cancel_cause.empty()) report_.cancel_cause = body.cause;
  }
  void on(const BaseReady& body) {
    if (body.commit == report_.started.base) report_.base = body;
  }
  void on(const BaseFailed& body) { report_.base_problem = body.reason; }
  void on(const WorkspaceReady& body) { agent().branch = body.branch; }
  void on(const AttemptIntended& body) {
    AttemptReport& now = attempt();
    if (body.from_checkpoint) now.resumed_from = checkpoint(*body.from_checkpoint);
  }
  void on(const SetupEnded& body) { attempt().setup = body; }
  void on(const AttemptStarted&) {
    AttemptReport& now = attempt();
    if (now.started_unix_ms == 0) now.started_unix_ms = event_->time_unix_ms;  // else adopted
  }
  void on(const CheckpointIntended& body) {
    checkpoint(body.n) = {
        .n = body.n, .attempt = event_->attempt, .kind = body.kind, .commits = body.commits, .head = body.head};
  }
  void on(const CheckpointTaken& body) {
    CheckpointReport& taken = checkpoint(body.n);
    taken.taken = true;
    taken.bytes = body.bytes;
    taken.files = body.files;
    taken.freeze_us = body.freeze_us;
  }
  void on(const CheckpointFailed& body) { checkpoint(body.n).problem = body.reason; }
  void on(const FaultInjected& body) { attempt().faults.push_back(body.what); }
  void on(const DenialSeen& body) {
    std::vector<DenialReport>& denials = agent().denials;
    const auto same = std::ranges::find_if(
        denials, [&](const DenialReport& known) { return known.attempt == event_->attempt && known.denial == body; });
    if (same != denials.end())
      same->times += body.times;
    else
      denials.push_back({.attempt = event_->attempt, .denial = body, .times = body.times});
  }
  void on(const WallMissing& body) { report_.without.push_back(body); }
  void on(const DiskUsed& body) { attempt().disk = body; }
  void on(const AttemptEnded& body) {
    attempt().ended = body;
    AgentReport& now = agent();
    now.wall_ms += body.wall_ms;
    now.cpu_ms = body.cpu_ms < 0 || now.cpu_ms < 0 ? -1 : now.cpu_ms + body.cpu_ms;
    now.peak_memory = std::max(now.peak_memory, body.peak_memory);
  }
  void on(const Imported& body) {
    agent().imported = body;
    agent().import_problem.clear();
  }
  void on(const ImportFailed& body) { agent().import_problem = body.reason; }
  void on(const VerificationEnded& body) {
    AgentReport& now = agent();
    const bool right = satisfied(body);
    now.verifications.push_back({.attempt = event_->attempt, .ended = body, .satisfied = right});
    if (!right && body.stage == VerifyStage::result && body.reason != EndReason::lost && !now.attempts.empty())
      now.attempts.back().verification_failed = true;
  }
  MergeReport& merge(MergeReport::Is is) {
    MergeReport& now = agent().merge;
    now.is = is;
    now.into = report_.started.merge_into;
    return now;
  }
  void on(const MergePrepareIntended&) { merge(MergeReport::Is::waiting); }
  void on(const MergePrepared& body) { merge(MergeReport::Is::waiting).fast_forward = body.fast_forward; }
  void on(const MergeConflict& body) {
    MergeReport& now = merge(MergeReport::Is::conflict);
    now.conflicts = body.paths;
    now.conflicts_total = std::max<std::uint64_t>(body.total, body.paths.size());
  }
  void on(const MergeRefused& body) { merge(MergeReport::Is::refused).reason = body.reason; }
  void on(const Merged& body) { merge(MergeReport::Is::merged).commit = body.commit; }
  void on(const MergeStale&) { merge(MergeReport::Is::waiting); }
  void on(const AgentFinished& body) {
    AgentReport& now = agent();
    now.finished = body;
    if (now.merge.is == MergeReport::Is::waiting) {  // its merged tree failed, or somebody else kept moving the target
      now.merge.is = MergeReport::Is::refused;
      now.merge.reason = body.cause;
    }
  }
  void on(const Cleaned& body) { agent().left_behind = body.problem; }
  void on(const RunFinished& body) { report_.finished = body; }

  RunReport& report_;
  const Event* event_ = nullptr;
};

void add_next(RunReport& report) {
  std::set<std::string> said;
  const auto next = [&](const std::string& command) {
    if (report.next.size() < 6 && said.insert(command).second) report.next.push_back(command);
  };
  const std::string run = shell_quote(report.run);
  if (!report.finished) {
    next("sudo bulkhead ps");
    next("sudo bulkhead journal " + run + " --events");
    return;
  }
  bool merged = false;
  for (const AgentReport& agent : report.agents) {
    const std::string name = shell_quote(report.run + "/" + agent.name);
    const bool has_work = agent.imported && agent.imported->commits > 0;
    merged = merged || agent.merge.is == MergeReport::Is::merged;
    if (has_work && agent.merge.is != MergeReport::Is::merged) {
      next("sudo bulkhead diff " + name);
      if (agent.finished && agent.finished->outcome == AgentOutcome::done) next("sudo bulkhead apply " + name);
    }
  }
  if (merged)
    next("git -C " + shell_quote(report.started.repository) + " log --oneline " +
         shell_quote(report.started.base.substr(0, 12) + ".." + report.started.merge_into));
  if (report.finished->outcome != RunOutcome::done) next("sudo bulkhead journal " + run + " --events");
  if (std::ranges::any_of(report.agents, [](const AgentReport& agent) { return !agent.left_behind.empty(); }))
    next("sudo bulkhead clean");
}

std::string state_of(const AgentState& agent) {
  // From finishing on there is a verdict, but only the journaled one counts.
  return agent.phase >= AgentPhase::cleaning ? std::string(word(agent.verdict->outcome))
                                             : std::string(name(agent.phase));
}

}  // namespace

Result<RunReport> report_of(const std::vector<Event>& events) {
  if (events.empty() || events.front().type != RunStarted::type)
    return fail("report", events.empty() ? "" : events.front().run, "these events do not begin with a run's start");
  RunReport report;
  Collector collector(report);
  for (const Event& event : events) BULKHEAD_TRY(collector.take(event));
  const RunState state = fold(events);
  report.violation = state.violation;
  report.supervisors = state.supervisor;
  std::ranges::sort(report.agents, {}, &AgentReport::name);
  for (AgentReport& agent : report.agents)
    if (const auto found = state.agents.find(agent.name); found != state.agents.end()) {
      agent.state = state_of(found->second);
      agent.base = found->second.base;
    }
  add_next(report);
  return report;
}

}  // namespace bulkhead
