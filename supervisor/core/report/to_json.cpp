// RunReport -> JSON. Event bodies keep the shape that the journal gives them.
#include "supervisor/core/report/report.h"

namespace bulkhead {

namespace {

template <class T>
nlohmann::json body_of(const T& typed) {
  return make_event("", "", 0, typed).body;
}

template <class T>
nlohmann::json optional_body(const std::optional<T>& typed) {
  return typed ? body_of(*typed) : nlohmann::json();
}

nlohmann::json to_json(const CheckpointReport& checkpoint) {
  return {{"n", checkpoint.n},
          {"attempt", checkpoint.attempt},
          {"kind", std::string(word(checkpoint.kind))},
          {"commits", checkpoint.commits},
          {"head", checkpoint.head},
          {"taken", checkpoint.taken},
          {"problem", checkpoint.problem},
          {"bytes", checkpoint.bytes},
          {"files", checkpoint.files},
          {"freeze_us", checkpoint.freeze_us}};
}

nlohmann::json to_json(const AttemptReport& attempt) {
  return {{"number", attempt.number},
          {"resumed_from", attempt.resumed_from ? to_json(*attempt.resumed_from) : nlohmann::json()},
          {"started_unix_ms", attempt.started_unix_ms},
          {"setup", optional_body(attempt.setup)},
          {"faults", attempt.faults},
          {"ended", optional_body(attempt.ended)},
          {"disk", optional_body(attempt.disk)},
          {"verification_failed", attempt.verification_failed}};
}

std::string_view word(MergeReport::Is is) {
  switch (is) {
    case MergeReport::Is::none:
      return "none";
    case MergeReport::Is::waiting:
      return "waiting";
    case MergeReport::Is::merged:
      return "merged";
    case MergeReport::Is::conflict:
      return "conflict";
    case MergeReport::Is::refused:
      return "refused";
  }
  return "";
}

nlohmann::json to_json(const MergeReport& merge) {
  return {{"state", std::string(word(merge.is))},
          {"into", merge.into},
          {"commit", merge.commit},
          {"fast_forward", merge.fast_forward},
          {"conflicts", merge.conflicts},
          {"conflicts_total", merge.conflicts_total},
          {"reason", merge.reason}};
}

nlohmann::json to_json(const AgentReport& agent) {
  nlohmann::json json = {
      {"name", agent.name},
      {"needs", agent.needs},
      {"state", agent.state},
      {"outcome", agent.finished ? nlohmann::json(std::string(word(agent.finished->outcome))) : nlohmann::json()},
      {"cause", agent.finished ? agent.finished->cause : ""},
      {"base", agent.base},
      {"branch", agent.branch},
      {"attempts", nlohmann::json::array()},
      {"checkpoints", nlohmann::json::array()},
      {"denied", nlohmann::json::array()},
      {"verifications", nlohmann::json::array()},
      {"imported", optional_body(agent.imported)},
      {"import_problem", agent.import_problem},
      {"merge", to_json(agent.merge)},
      {"left_behind", agent.left_behind},
      {"wall_ms", agent.wall_ms},
      {"cpu_ms", agent.cpu_ms < 0 ? nlohmann::json() : nlohmann::json(agent.cpu_ms)},
      {"peak_memory", agent.cpu_ms < 0 ? nlohmann::json() : nlohmann::json(agent.peak_memory)}};
  for (const AttemptReport& attempt : agent.attempts) json["attempts"].push_back(to_json(attempt));
  for (const CheckpointReport& checkpoint : agent.checkpoints) json["checkpoints"].push_back(to_json(checkpoint));
  for (const DenialReport& denial : agent.denials) {
    nlohmann::json entry = body_of(denial.denial);
    entry["attempt"] = denial.attempt;
    entry["times"] = denial.times;
    json["denied"].push_back(std::move(entry));
  }
  for (const VerificationReport& verification : agent.verifications) {
    nlohmann::json entry = body_of(verification.ended);
    entry["attempt"] = verification.attempt;
    entry["satisfied"] = verification.satisfied;
    json["verifications"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace

nlohmann::json to_json(const RunReport& report) {
  nlohmann::json agents = nlohmann::json::array();
  for (const AgentReport& agent : report.agents) agents.push_back(to_json(agent));
  nlohmann::json missing = nlohmann::json::array();
  for (const WallMissing& wall : report.without) missing.push_back(body_of(wall));
  return {{"run", report.run},
          {"started", body_of(report.started)},
          {"started_unix_ms", report.started_unix_ms},
          {"ended_unix_ms", report.ended_unix_ms},
          {"outcome", report.finished ? nlohmann::json(std::string(word(report.finished->outcome))) : nlohmann::json()},
          {"exit_code", report.finished ? nlohmann::json(report.finished->exit_code) : nlohmann::json()},
          {"cause", report.finished ? report.finished->cause : ""},
          {"cancel_cause", report.cancel_cause},
          {"base", optional_body(report.base)},
          {"base_problem", report.base_problem},
          {"supervisors", report.supervisors},
          {"violation", report.violation},
          {"missing_walls", std::move(missing)},
          {"agents", std::move(agents)},
          {"next", report.next}};
}

nlohmann::json to_json(const std::vector<RunSummary>& runs) {
  nlohmann::json json = nlohmann::json::array();
  for (const RunSummary& run : runs)
    json.push_back({{"run", run.run},
                    {"name", run.name},
                    {"state", run.state},
                    {"started_unix_ms", run.started_unix_ms},
                    {"ended_unix_ms", run.ended_unix_ms},
                    {"agents", run.agents},
                    {"finished_agents", run.finished_agents},
                    {"active", run.active}});
  return json;
}

}  // namespace bulkhead
