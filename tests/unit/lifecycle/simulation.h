// A supervisor over a World: carries out what decide() says and journals the answers, in an order chosen by a seed.
// Can die after any event and be continued by another one from the journal alone.
#pragma once

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "supervisor/core/workflow/workflow.h"
#include "tests/unit/lifecycle/world.h"

namespace bulkhead::test {

class Simulation {
 public:
  // A new run.
  Simulation(const Workflow& workflow, World world, unsigned seed, unsigned concurrency = 2, bool single = false);
  // The next supervisor of a run whose journal holds `prefix`, on the host as it was then.
  Simulation(std::vector<Event> prefix, World world, unsigned seed);

  // To the end of the run; dies and is taken over with a chance of 1 in `crash_one_in` at each step (0: never).
  // Problems are test failures.
  void run(unsigned crash_one_in = 0);
  void cancel_after(std::size_t events) { cancel_after_ = events; }

  const std::vector<Event>& journal() const { return journal_; }
  const std::vector<World>& worlds() const { return worlds_; }  // the host after each event
  const RunState& state() const { return state_; }
  const World& world() const { return world_; }
  unsigned most_slots() const { return most_slots_; }
  void check_end() const;

 private:
  struct Effect;
  struct Answer;
  struct Pending {
    Action action;
    bool done = false;  // the effect has happened, its answer is not journaled
    bool killed = false;
  };

  void append(Event event);
  template <class T>
  void answer(const std::string& agent, unsigned attempt, const T& body) {
    append(make_event("r", agent, attempt, body));
  }
  void act();
  bool step();
  void take_over();
  void effect(Pending& pending);
  void respond(Pending pending);
  void progress(const AgentState& agent);
  void kill(const Kill& action);
  bool chance(unsigned one_in) { return std::uniform_int_distribution<unsigned>(1, one_in)(random_) == 1; }
  const AttemptScript& script(const AgentState& agent) const;
  AttemptEnded ended(EndReason reason, int exit_code) const;

  std::vector<Event> journal_;
  std::vector<World> worlds_;
  World world_;
  RunState state_;
  std::vector<Pending> pending_;
  std::optional<TimePoint> wake_;
  std::int64_t now_ms_ = 1'700'000'000'000;
  std::mt19937 random_;
  std::size_t cancel_after_ = 0;
  unsigned most_slots_ = 0;
};

}  // namespace bulkhead::test
