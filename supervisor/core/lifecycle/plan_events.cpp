#include "supervisor/core/lifecycle/lifecycle.h"

namespace bulkhead {

namespace {

// Names are at most 63 bytes, so this many fit into a body beside the rest.
constexpr std::size_t kNeedsPerEvent = 48;

std::vector<VerifyKind> kinds_of(const VerifyCommands& verify) {
  std::vector<VerifyKind> kinds;
  if (verify.pass) kinds.push_back(VerifyKind::pass);
  if (verify.fail_to_pass) kinds.push_back(VerifyKind::fail_to_pass);
  if (verify.pass_to_pass) kinds.push_back(VerifyKind::pass_to_pass);
  return kinds;
}

void plan_agent(std::vector<Event>& events, const std::string& run, const Task& task) {
  AgentPlanned plan{.attempts = task.restart.attempts,
                    .backoff_ms = task.restart.backoff.count(),
                    .setup = task.setup.has_value(),
                    .verify = kinds_of(task.verify),
                    .checkpoint_every_ms = task.checkpoint_every.count(),
                    .idle_ms = task.idle.count()};
  std::size_t from = 0;
  do {
    const std::size_t to = std::min(from + kNeedsPerEvent, task.needs.size());
    plan.needs.assign(task.needs.begin() + static_cast<std::ptrdiff_t>(from),
                      task.needs.begin() + static_cast<std::ptrdiff_t>(to));
    events.push_back(make_event(run, task.name, 0, plan));
    from = to;
  } while (from < task.needs.size());
}

}  // namespace

std::vector<Event> plan_events(const std::string& run, const RunStarted& facts, const Workflow& workflow,
                               std::int64_t time_unix_ms) {
  std::vector<Event> events;
  events.push_back(make_event(run, "", 0, facts));
  for (const auto& [name, task] : workflow.tasks()) plan_agent(events, run, task);
  unsigned index = 0;
  for (const Fault& fault : workflow.faults())
    events.push_back(
        make_event(run, fault.agent, fault.attempt,
                   FaultPlanned{.fault = index++, .after_commits = fault.after_commits, .signal = fault.signal}));
  events.push_back(make_event(run, "", 0, RunPlanned{.agents = static_cast<unsigned>(workflow.tasks().size())}));
  for (Event& event : events) event.time_unix_ms = time_unix_ms;
  return events;
}

}  // namespace bulkhead
