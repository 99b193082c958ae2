#include "supervisor/core/workflow/workflow.h"

#include <csignal>
#include <cstring>
#include <filesystem>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "supervisor/core/workflow/workflow_reader.h"

namespace bulkhead {

namespace {

constexpr std::size_t kLongestName = 63;

// format_duration() rounds for readers; this does not.
std::string exact_duration(std::chrono::milliseconds duration) { return std::to_string(duration.count()) + "ms"; }

nlohmann::json to_json(const VerifyCommands& verify) {
  nlohmann::json json = nlohmann::json::object();
  if (verify.pass) json["pass"] = verify.pass->to_json();
  if (verify.fail_to_pass) json["fail_to_pass"] = verify.fail_to_pass->to_json();
  if (verify.pass_to_pass) json["pass_to_pass"] = verify.pass_to_pass->to_json();
  return json;
}

nlohmann::json to_json(const Task& task) {
  nlohmann::json json = {
      {"command", task.command.to_json()},
      {"restart", {{"attempts", task.restart.attempts}, {"backoff", exact_duration(task.restart.backoff)}}}};
  if (!task.prompt.empty()) json["prompt"] = task.prompt;
  if (!task.needs.empty()) json["needs"] = task.needs;
  if (task.setup) json["setup"] = task.setup->to_json();
  if (task.verify.any()) json["verify"] = to_json(task.verify);
  if (!task.environment.empty()) json["environment"] = task.environment;
  if (!task.inputs.empty()) json["inputs"] = task.inputs;
  if (!task.policy.empty()) json["policy"] = task.policy;
  if (!task.limits.empty()) json["limits"] = task.limits;
  if (task.idle.count() != 0) json["limits"]["idle"] = exact_duration(task.idle);
  if (task.explain) json["explain"] = true;
  if (task.checkpoint_every.count() != 0) json["checkpoint"] = {{"every", exact_duration(task.checkpoint_every)}};
  return json;
}

std::string below(const std::filesystem::path& directory, const std::string& path) {
  std::string joined = (directory / path).lexically_normal().string();
  if (joined.size() > 1 && joined.ends_with('/')) joined.pop_back();
  return joined;
}

}  // namespace

std::vector<std::string> Command::argv() const {
  return form_ == Form::shell ? std::vector<std::string>{"/bin/sh", "-c", words_.front()} : words_;
}

std::string Command::text() const {
  if (form_ == Form::shell) return words_.front();
  std::string text;
  for (const std::string& word : words_) text += (text.empty() ? "" : " ") + shell_quote(word);
  return text;
}

nlohmann::json Command::to_json() const {
  return form_ == Form::shell ? nlohmann::json(words_.front()) : nlohmann::json(words_);
}

Result<Workflow> Workflow::from_json(const nlohmann::json& canonical) { return WorkflowReader::read(canonical); }

Result<Workflow> Workflow::single(std::vector<std::string> argv, std::string policy) {
  nlohmann::json document = {{"version", 1}, {"tasks", {{"agent", {{"command", std::move(argv)}}}}}};
  if (!policy.empty()) document["policy"] = std::move(policy);
  return from_json(document);
}

Workflow Workflow::resolved(std::string_view directory) const {
  const std::filesystem::path root(directory);
  Workflow out = *this;
  out.repository_ = below(root, repository_);
  if (is_policy_path(policy_)) out.policy_ = below(root, policy_);
  for (auto& [name, task] : out.tasks_) {
    if (is_policy_path(task.policy)) task.policy = below(root, task.policy);
    for (auto& [inside, host] : task.inputs) host = below(root, host);
  }
  return out;
}

nlohmann::json Workflow::to_json() const {
  nlohmann::json json = {{"version", 1}, {"base", base_}, {"policy", policy_}, {"tasks", nlohmann::json::object()}};
  if (!name_.empty()) json["name"] = name_;
  if (!repository_.empty()) json["repository"] = repository_;
  if (!merge_into_.empty()) json["merge"] = {{"into", merge_into_}};
  if (concurrency_ != 0) json["concurrency"] = concurrency_;
  for (const auto& [name, task] : tasks_) json["tasks"][name] = bulkhead::to_json(task);
  for (const Fault& fault : faults_)
    json["faults"].push_back({{"agent", fault.agent},
                              {"attempt", fault.attempt},
                              {"after", {{"commits", fault.after_commits}}},
                              {"action", {{"signal", sigabbrev_np(fault.signal)}}}});
  return json;
}

bool is_policy_path(std::string_view policy) {
  return policy.contains('/') || policy.ends_with(".json") || policy.ends_with(".yaml") || policy.ends_with(".yml");
}

Result<> check_task_name(std::string_view name) {
  constexpr std::string_view kFirst = "abcdefghijklmnopqrstuvwxyz0123456789";
  constexpr std::string_view kOther = "abcdefghijklmnopqrstuvwxyz0123456789._-";
  const auto refuse = [&](std::string why) -> Result<> {
    return fail("name", printable(name, 80), "'" + printable(name, 80) + "' " + std::move(why));
  };
  if (name.empty() || name.size() > kLongestName || !kFirst.contains(name.front()) ||
      name.find_first_not_of(kOther) != std::string_view::npos)
    return refuse("cannot be a name: 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit");
  if (name.contains("..") || name.ends_with('.') || name.ends_with(".lock"))
    return refuse("cannot be a name: it is part of a branch's name, where git refuses '..', a final '.' and '.lock'");
  if (name == "latest") return refuse("cannot be a name: the command line uses it for the latest run");
  return {};
}

}  // namespace bulkhead
