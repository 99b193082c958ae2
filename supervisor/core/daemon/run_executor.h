// Carries one run from its first event to its last: decide, journal the intent, act, journal the answer, decide again.
#pragma once

#include <list>
#include <memory>

#include "supervisor/core/api/server.h"
#include "supervisor/core/daemon/run_context.h"

namespace bulkhead {

class RunExecutor {
 public:
  RunExecutor(DaemonSite& site, std::string run);

  // Before run(): what the request said. After taking over without it, only clean-up is possible, and done.
  RunContext& context() { return context_; }
  const RunState& state() const { return context_.state; }

  // Journals the plan's events; the run exists from here on.
  Result<> begin(std::vector<Event> plan);
  // Takes over what an earlier supervisor left unfinished: whoever lived of it is ended, and the run cancelled.
  Async<> take_over(std::vector<Event> history);

  // Until run_finished. Every effect that was started is awaited.
  boost::asio::awaitable<void> run();

  // The launcher's mounts and ranges went with it; ranges are taken again, mounts when they are needed.
  void launcher_restarted();
  void cancel(const std::string& cause);
  Result<> cancel_agent(const std::string& agent, const std::string& cause);
  void follow(std::weak_ptr<ControlConnection> connection);  // events from now on
  bool finished() const { return context_.state.finished.has_value(); }

 private:
  void record(Event event);
  Result<> adopt_ranges();
  void start(const Action& action);
  template <class Coroutine>
  void spawn(Coroutine coroutine);
  void wake();

  RunContext context_;
  boost::asio::steady_timer timer_;
  std::list<std::weak_ptr<ControlConnection>> followers_;
  unsigned active_ = 0;
};

std::int64_t unix_milliseconds();

}  // namespace bulkhead
