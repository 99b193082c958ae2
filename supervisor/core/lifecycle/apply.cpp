#include <algorithm>
#include <type_traits>

#include "supervisor/core/lifecycle/lifecycle.h"
#include "supervisor/core/lifecycle/rules.h"

namespace bulkhead {

namespace {

// Records what one event says. Every handler first asks whether the event can follow from the state; rules.cpp then
// decides what becomes of it.
class Folder {
 public:
  Folder(RunState& state, const Event& event) : state_(state), event_(event), now_(time_of(event)) {}

  void run() {
    if (!dispatch<RunStarted, AgentPlanned, FaultPlanned, RunPlanned, SupervisorStarted, RunCancelRequested,
                  AgentCancelRequested, BaseIntended, BaseReady, BaseFailed, WorkspaceIntended, WorkspaceReady,
                  WorkspaceFailed, AttemptIntended, SetupIntended, SetupEnded, AttemptStarted, BoundarySeen,
                  CheckpointIntended, CheckpointTaken, CheckpointFailed, FaultIntended, FaultInjected, IdleExpired,
                  DenialSeen, WallMissing, KillIntended, AttemptEnded, ImportIntended, Imported, ImportFailed,
                  VerificationIntended, VerificationEnded, MergePrepareIntended, MergePrepared, MergeConflict,
                  MergeRefused, MergeIntended, Merged, MergeStale, AgentFinished, CleanupIntended, Cleaned,
                  RunFinished>())
      return;  // another feature's
    rules::settle(state_);
  }

 private:
  template <class... T>
  bool dispatch() {
    return ((event_.type == T::type && (handle<T>(), true)) || ...);
  }

  template <class T>
  void handle() {
    Result<T> body = read_event<T>(event_);
    if (!body) return rules::violate(state_, body.error().text());
    if (!state_.started && !std::is_same_v<T, RunStarted>) return refuse("the run has not started");
    if (state_.finished) {
      // Requests and observations may cross the end of the run; effects may not.
      if constexpr (!std::is_same_v<T, SupervisorStarted> && !std::is_same_v<T, RunCancelRequested> &&
                    !std::is_same_v<T, AgentCancelRequested> && !std::is_same_v<T, DenialSeen>)
        refuse("the run has finished");
      return;
    }
    on(*body);
  }

  void refuse(const std::string& why) {
    std::string what = event_.type;
    if (!event_.agent.empty()) what += " of " + event_.agent;
    if (event_.attempt != 0) what += "/" + std::to_string(event_.attempt);
    rules::violate(state_, what + " (event " + std::to_string(event_.seq) + "): " + why);
  }

  Flight here() const { return {.supervisor = state_.supervisor}; }

  // The agent the event is about, when it is in one of `phases`.
  AgentState* agent_in(std::initializer_list<AgentPhase> phases) {
    AgentState* agent = any_agent();
    if (agent == nullptr || std::ranges::find(phases, agent->phase) != phases.end()) return agent;
    refuse("the agent is " + std::string(name(agent->phase)));
    return nullptr;
  }
  AgentState* any_agent() {
    const auto found = state_.agents.find(event_.agent);
    if (found != state_.agents.end()) return &found->second;
    refuse("there is no such agent");
    return nullptr;
  }
  // The same, whose effect is open: its answer.
  AgentState* answered(std::initializer_list<AgentPhase> phases) {
    AgentState* agent = agent_in(phases);
    if (agent == nullptr) return nullptr;
    if (!agent->flight.open()) return refuse("it was not intended"), nullptr;
    agent->flight = {};
    return agent;
  }
  // The attempt the event is about, when it is the agent's latest and has not ended.
  AttemptState* living(AgentState* agent) {
    AttemptState* attempt = agent == nullptr ? nullptr : rules::current(*agent);
    const bool fits = attempt != nullptr && attempt->number == event_.attempt && !attempt->ended;
    return fits ? attempt : nullptr;
  }

  // ---- the plan

  void on(const RunStarted& body) {
    if (state_.started) return refuse("the run has started already");
    if (body.concurrency == 0) return refuse("its concurrency is 0");
    state_.run = event_.run;
    state_.started = body;
  }
  void on(const AgentPlanned& body) {
    if (state_.planned) return refuse("the plan is complete");
    AgentState& agent = state_.agents[event_.agent];
    agent.name = event_.agent;
    AgentPlan& plan = agent.plan;
    plan.needs.insert(plan.needs.end(), body.needs.begin(), body.needs.end());
    plan.attempts = body.attempts;
    plan.backoff = std::chrono::milliseconds{body.backoff_ms};
    plan.setup = body.setup;
    plan.verify = body.verify;
    plan.checkpoint_every = std::chrono::milliseconds{body.checkpoint_every_ms};
    plan.idle = std::chrono::milliseconds{body.idle_ms};
  }
  void on(const FaultPlanned& body) {
    if (state_.planned) return refuse("the plan is complete");
    if (AgentState* agent = any_agent())
      agent->faults.push_back(
          {.fault = body.fault, .attempt = event_.attempt, .after_commits = body.after_commits, .signal = body.signal});
  }
  void on(const RunPlanned& body) {
    if (state_.planned) return refuse("the plan is complete");
    if (state_.agents.size() != body.agents || body.agents == 0) return refuse("agents are missing");
    for (const auto& [name, agent] : state_.agents)
      for (const std::string& need : agent.plan.needs)
        if (!state_.agents.contains(need)) return refuse(name + " needs " + need + ", which is not planned");
    state_.planned = true;
  }

  // ---- the supervisor, and what people ask for

  void on(const SupervisorStarted&) {
    ++state_.supervisor;
    // A timer's copy of a workspace whose agent died meanwhile would not be of a whole state of its work.
    for (auto& [name, agent] : state_.agents) {
      const AttemptState* attempt = rules::current(agent);
      if (rules::open_checkpoint(agent) == nullptr || !attempt->ended) continue;
      CheckpointState& checkpoint = agent.checkpoints.back();
      if (checkpoint.kind != CheckpointKind::timer) continue;
      checkpoint.is = CheckpointState::Is::failed;
      checkpoint.flight = {};
    }
  }
  void on(const RunCancelRequested& body) {
    if (state_.cancel) return;
    state_.cancel = true;
    state_.cancel_cause = body.cause;
  }
  void on(const AgentCancelRequested& body) {
    AgentState* agent = any_agent();
    if (agent == nullptr || agent->cancel) return;
    agent->cancel = true;
    agent->cancel_cause = body.cause;
  }

  // ---- base and workspace

  void on(const BaseIntended& body) {
    BaseState& base = state_.bases[body.commit];
    if (base.ready || !base.problem.empty()) return refuse("the base is settled");
    base.flight = here();
  }
  BaseState* answered_base(const std::string& commit) {
    const auto base = state_.bases.find(commit);
    if (base == state_.bases.end() || !base->second.flight.open()) return refuse("it was not intended"), nullptr;
    base->second.flight = {};
    return &base->second;
  }
  void on(const BaseReady& body) {
    if (BaseState* base = answered_base(body.commit)) base->ready = body;
  }
  void on(const BaseFailed& body) {
    if (BaseState* base = answered_base(body.commit))
      base->problem = body.reason.empty() ? "for an unknown reason" : body.reason;
  }
  void on(const WorkspaceIntended& body) {
    AgentState* agent = agent_in({AgentPhase::waiting, AgentPhase::creating});
    if (agent == nullptr) return;
    if (body.base != agent->base) return refuse("its base is another");
    if (const auto base = state_.bases.find(body.base); base == state_.bases.end() || !base->second.ready)
      return refuse("its base is not there");
    if (agent->phase == AgentPhase::waiting) rules::move(state_, *agent, AgentPhase::creating);
    agent->touched = true;
    agent->holds_slot = true;
    agent->flight = here();
  }
  void on(const WorkspaceReady& body) {
    AgentState* agent = answered({AgentPhase::creating});
    if (agent == nullptr) return;
    agent->workspace = body;
    rules::move(state_, *agent, AgentPhase::ready);
  }
  void on(const WorkspaceFailed& body) {
    if (AgentState* agent = answered({AgentPhase::creating}))
      rules::close(state_, *agent, AgentOutcome::failed, "its workspace could not be created: " + body.reason);
  }

  // ---- an attempt

  void on(const AttemptIntended& body) {
    AgentState* agent = agent_in({AgentPhase::ready, AgentPhase::running});
    if (agent == nullptr) return;
    if (agent->phase == AgentPhase::running) {  // the same again, by the next supervisor
      AttemptState* attempt = living(agent);
      if (attempt == nullptr || attempt->started) return refuse("another attempt is running");
      attempt->flight = here();
      return;
    }
    if (event_.attempt != agent->attempts.size() + 1) return refuse("attempts are counted one by one");
    rules::move(state_, *agent, AgentPhase::running);
    agent->holds_slot = true;
    agent->attempts.push_back(
        {.number = event_.attempt, .from_checkpoint = body.from_checkpoint, .flight = here(), .intended_at = now_});
  }
  void on(const SetupIntended&) { any_agent(); }
  void on(const SetupEnded&) { any_agent(); }
  void on(const AttemptStarted& body) {
    AttemptState* attempt = living(agent_in({AgentPhase::running}));
    if (attempt == nullptr) return refuse("the attempt was not intended, or has ended");
    if (!attempt->started) attempt->started_at = attempt->last_checkpoint_at = now_;
    attempt->started = body;
    attempt->flight = {};
  }
  void on(const BoundarySeen& body) {
    AttemptState* attempt = living(any_agent());
    if (attempt == nullptr) return;  // seen late
    if (body.commits <= attempt->commits) return;
    attempt->commits = body.commits;
    attempt->head = body.head;
  }
  void on(const CheckpointIntended& body) {
    AgentState* agent = agent_in({AgentPhase::running, AgentPhase::saving});
    if (agent == nullptr) return;
    AttemptState& attempt = agent->attempts.back();
    if (attempt.number != event_.attempt) return refuse("it is not of the latest attempt");
    const CheckpointState* open = rules::open_checkpoint(*agent);
    if (open == nullptr) {
      if (body.n != agent->checkpoints.size() + 1) return refuse("checkpoints are counted one by one");
      agent->checkpoints.emplace_back();
    } else if (open->n != body.n) {
      return refuse("checkpoint " + std::to_string(open->n) + " is being taken");
    }
    agent->checkpoints.back() = {.n = body.n,
                                 .attempt = event_.attempt,
                                 .kind = body.kind,
                                 .commits = body.commits,
                                 .head = body.head,
                                 .flight = here()};
    attempt.last_checkpoint_at = now_;
    attempt.commits_intended = std::max(attempt.commits_intended, body.commits);
  }
  CheckpointState* answered_checkpoint(unsigned n) {
    AgentState* agent = any_agent();
    if (agent == nullptr) return nullptr;
    if (const CheckpointState* open = rules::open_checkpoint(*agent); open == nullptr || open->n != n)
      return refuse("checkpoint " + std::to_string(n) + " is not being taken"), nullptr;
    CheckpointState& checkpoint = agent->checkpoints.back();
    checkpoint.flight = {};
    return &checkpoint;
  }
  void on(const CheckpointTaken& body) {
    CheckpointState* checkpoint = answered_checkpoint(body.n);
    if (checkpoint == nullptr) return;
    checkpoint->is = CheckpointState::Is::taken;
    AttemptState& attempt = state_.agents.at(event_.agent).attempts.back();
    attempt.commits_saved = std::max(attempt.commits_saved, checkpoint->commits);
  }
  void on(const CheckpointFailed& body) {
    if (CheckpointState* checkpoint = answered_checkpoint(body.n)) checkpoint->is = CheckpointState::Is::failed;
  }
  FaultState* fault(unsigned index) {
    AgentState* agent = any_agent();
    if (agent == nullptr) return nullptr;
    const auto found = std::ranges::find(agent->faults, index, &FaultState::fault);
    if (found == agent->faults.end() || found->attempt != event_.attempt)
      return refuse("there is no such fault"), nullptr;
    return &*found;
  }
  void on(const FaultIntended& body) {
    if (FaultState* planned = fault(body.fault)) planned->flight = here();
  }
  void on(const FaultInjected& body) {
    FaultState* planned = fault(body.fault);
    if (planned == nullptr) return;
    planned->flight = {};
    planned->injected = true;
  }
  void on(const IdleExpired&) {
    if (AttemptState* attempt = living(any_agent())) attempt->idle = true;  // else seen late
  }
  void on(const DenialSeen&) { any_agent(); }
  void on(const WallMissing& body) { state_.walls_missing.insert(body.wall); }
  void on(const KillIntended& body) {
    AgentState* agent = agent_in({AgentPhase::running, AgentPhase::verifying, AgentPhase::merging});
    if (agent == nullptr) return;
    agent->attempts.back().kill = here();
    agent->attempts.back().kill_cause = body.cause;
  }
  void on(const AttemptEnded& body) {
    AgentState* agent = agent_in({AgentPhase::running});
    AttemptState* attempt = living(agent);
    if (attempt == nullptr) return refuse("the attempt was not intended, or has ended");
    attempt->ended = body;
    attempt->ended_at = now_;
    attempt->flight = {};
    attempt->kill = {};
    rules::move(state_, *agent, AgentPhase::saving);
  }

  // ---- import, verification, merge

  void on(const ImportIntended& body) {
    AgentState* agent = agent_in({AgentPhase::importing});
    if (agent == nullptr) return;
    if (agent->import_sources.front() != body.from_checkpoint) return refuse("another source is to be tried");
    agent->flight = here();
  }
  void on(const Imported& body) {
    AgentState* agent = answered({AgentPhase::importing});
    if (agent == nullptr) return;
    agent->imported = body;
    rules::import_done(state_, *agent);
  }
  void on(const ImportFailed& body) {
    if (AgentState* agent = answered({AgentPhase::importing})) rules::import_failed(state_, *agent, body.reason);
  }
  bool is_next(const AgentState& agent, VerifyStage stage, VerifyKind kind) {
    if (!agent.steps.empty() && agent.steps.front() == VerifyStep{.stage = stage, .kind = kind}) return true;
    return refuse("another verification is next"), false;
  }
  void on(const VerificationIntended& body) {
    AgentState* agent = agent_in({AgentPhase::verifying, AgentPhase::merging});
    if (agent == nullptr || !is_next(*agent, body.stage, body.kind)) return;
    agent->flight = here();
  }
  void on(const VerificationEnded& body) {
    AgentState* agent = answered({AgentPhase::verifying, AgentPhase::merging});
    if (agent == nullptr || !is_next(*agent, body.stage, body.kind)) return;
    agent->attempts.back().kill = {};
    rules::verification_done(state_, *agent, body, now_);
  }
  void on(const MergePrepareIntended&) {
    AgentState* agent = agent_in({AgentPhase::queued, AgentPhase::merging});
    if (agent == nullptr) return;
    if (state_.merge_queue.empty() || state_.merge_queue.front() != agent->name)
      return refuse("another merge is first");
    if (agent->merge.prepared) return refuse("it is prepared");
    if (agent->phase == AgentPhase::queued) rules::move(state_, *agent, AgentPhase::merging);
    agent->flight = here();
  }
  void on(const MergePrepared& body) {
    AgentState* agent = answered({AgentPhase::merging});
    if (agent == nullptr) return;
    agent->merge.prepared = body;
    rules::merge_prepared(*agent);
  }
  void give_up_merge(AgentState& agent, std::string cause) {
    rules::leave_queue(state_, agent);
    rules::close(state_, agent, AgentOutcome::conflict, std::move(cause));
  }
  void on(const MergeConflict& body) {
    AgentState* agent = answered({AgentPhase::merging});
    if (agent == nullptr) return;
    std::string cause = "conflicts with " + state_.started->merge_into + " in ";
    const std::uint64_t total = std::max<std::uint64_t>(body.total, body.paths.size());
    cause += total == 1 && !body.paths.empty() ? body.paths.front() : std::to_string(total) + " files";
    give_up_merge(*agent, std::move(cause));
  }
  void on(const MergeRefused& body) {
    if (AgentState* agent = answered({AgentPhase::merging}))
      give_up_merge(*agent, "not merged into " + state_.started->merge_into + ": " + body.reason);
  }
  void on(const MergeIntended& body) {
    AgentState* agent = agent_in({AgentPhase::merging});
    if (agent == nullptr) return;
    if (!agent->merge.prepared || agent->merge.prepared->commit != body.commit || !agent->steps.empty())
      return refuse("this merge was not prepared and verified");
    agent->merge.moving = true;
    agent->flight = here();
  }
  void on(const Merged& body) {
    AgentState* agent = answered({AgentPhase::merging});
    if (agent == nullptr) return;
    if (!agent->merge.moving || agent->merge.prepared->commit != body.commit) return refuse("it was not intended");
    agent->merged = true;
    state_.target = body.commit;
    rules::leave_queue(state_, *agent);
    rules::close(state_, *agent, AgentOutcome::done, "");
  }
  void on(const MergeStale&) {
    AgentState* agent = answered({AgentPhase::merging});
    if (agent == nullptr) return;
    agent->merge = {.stale = agent->merge.stale + 1};
    agent->steps.clear();
    if (agent->merge.stale > rules::kMostStale)
      give_up_merge(*agent, "not merged into " + state_.started->merge_into + ": somebody else kept moving it");
  }

  // ---- the end

  void on(const AgentFinished& body) {
    AgentState* agent = agent_in({AgentPhase::finishing});
    if (agent == nullptr) return;
    agent->verdict = Verdict{.outcome = body.outcome, .cause = body.cause};
    rules::move(state_, *agent, agent->touched ? AgentPhase::cleaning : AgentPhase::gone);
  }
  void on(const CleanupIntended&) {
    if (AgentState* agent = agent_in({AgentPhase::cleaning})) agent->flight = here();
  }
  void on(const Cleaned& body) {
    AgentState* agent = answered({AgentPhase::cleaning});
    if (agent == nullptr) return;
    agent->problem = body.problem;
    rules::move(state_, *agent, AgentPhase::gone);
  }
  void on(const RunFinished& body) {
    for (const auto& [name, agent] : state_.agents)
      if (state_.planned && agent.phase != AgentPhase::gone) return refuse(name + " has not finished");
    state_.finished = body;
  }

  RunState& state_;
  const Event& event_;
  TimePoint now_;
};

}  // namespace

TimePoint time_of(const Event& event) { return TimePoint{std::chrono::milliseconds{event.time_unix_ms}}; }

RunState apply(RunState state, const Event& event) {
  if (!state.run.empty() && event.run != state.run) return state;
  Folder(state, event).run();
  state.last_seq = std::max(state.last_seq, event.seq);
  state.last_time = time_of(event);
  return state;
}

RunState fold(const std::vector<Event>& events) {
  RunState state;
  for (const Event& event : events) state = apply(std::move(state), event);
  return state;
}

bool satisfied(const VerificationEnded& ended) {
  if (ended.reason != EndReason::exited) return false;
  const bool must_fail = ended.stage == VerifyStage::base && ended.kind == VerifyKind::fail_to_pass;
  return must_fail == (ended.exit_code != 0);
}

}  // namespace bulkhead
