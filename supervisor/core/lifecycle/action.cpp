#include "supervisor/core/lifecycle/action.h"

namespace bulkhead {

namespace {

std::string attempt_name(const std::string& agent, unsigned attempt) { return agent + "/" + std::to_string(attempt); }

std::string origin(const std::optional<unsigned>& checkpoint) {
  return checkpoint ? " from checkpoint " + std::to_string(*checkpoint) : "";
}

struct Text {
  std::string operator()(const PrepareBase& a) const { return "PrepareBase " + a.commit; }
  std::string operator()(const CreateWorkspace& a) const { return "CreateWorkspace " + a.agent + " at " + a.base; }
  std::string operator()(const StartAttempt& a) const {
    return "StartAttempt " + attempt_name(a.agent, a.attempt) + origin(a.from_checkpoint) +
           (a.run_setup ? " with setup" : "");
  }
  std::string operator()(const TakeCheckpoint& a) const {
    return "TakeCheckpoint " + attempt_name(a.agent, a.attempt) + " " + std::to_string(a.n) + " " +
           std::string(word(a.kind)) + " commits=" + std::to_string(a.commits);
  }
  std::string operator()(const InjectFault& a) const {
    return "InjectFault " + attempt_name(a.agent, a.attempt) + " signal " + std::to_string(a.signal);
  }
  std::string operator()(const Kill& a) const {
    return "Kill " + attempt_name(a.agent, a.attempt) + " " + std::string(word(a.cause));
  }
  std::string operator()(const Import& a) const {
    return "Import " + attempt_name(a.agent, a.attempt) + origin(a.from_checkpoint);
  }
  std::string operator()(const Verify& a) const {
    return "Verify " + attempt_name(a.agent, a.attempt) + " " + std::string(word(a.kind)) + " on " +
           std::string(word(a.stage)) + " " + a.commit;
  }
  std::string operator()(const PrepareMerge& a) const {
    return "PrepareMerge " + a.agent + " " + a.tip + " into " + a.into;
  }
  std::string operator()(const Merge& a) const {
    return "Merge " + a.agent + " " + a.into + " " + (a.expected_old.empty() ? "(new)" : a.expected_old) + " to " +
           a.commit;
  }
  std::string operator()(const FinishAgent& a) const {
    return "FinishAgent " + a.agent + " " + std::string(word(a.outcome)) + (a.cause.empty() ? "" : ": " + a.cause);
  }
  std::string operator()(const Cleanup& a) const {
    return "Cleanup " + a.agent + (a.keep_files ? " keeping its files" : "");
  }
  std::string operator()(const FinishRun& a) const {
    return "FinishRun " + std::string(word(a.outcome)) + " " + std::to_string(a.exit_code) +
           (a.cause.empty() ? "" : ": " + a.cause);
  }
  std::string operator()(const WakeAt& a) const {
    return "WakeAt " + std::to_string(a.time.time_since_epoch().count());
  }
};

}  // namespace

std::string text(const Action& action) { return std::visit(Text{}, action); }

std::string text(const std::vector<Action>& actions) {
  std::string out;
  for (const Action& action : actions) out += text(action) + "\n";
  return out;
}

const std::string& agent_of(const Action& action) {
  static const std::string kNone;
  return std::visit(
      [](const auto& a) -> const std::string& {
        if constexpr (requires { a.agent; })
          return a.agent;
        else
          return kNone;
      },
      action);
}

}  // namespace bulkhead
