#include "supervisor/core/workflow/workflow_reader.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <set>

#include "sandbox/base/text.h"

namespace bulkhead {

namespace {

// "$schema" is for editors.
const std::array<std::string, 11> kTopKeys = {"version", "name",     "repository", "base",   "merge",  "concurrency",
                                              "policy",  "defaults", "tasks",      "faults", "$schema"};
const std::array<std::string, 1> kMergeKeys = {"into"};
const std::array<std::string, 4> kFaultKeys = {"agent", "attempt", "after", "action"};
const std::array<std::string, 1> kAfterKeys = {"commits"};
const std::array<std::string, 1> kActionKeys = {"signal"};

constexpr std::uint64_t kMostConcurrent = 1'024;
constexpr std::size_t kMostTasks = 1'000;

// KILL ends the whole compartment, as a crash would; the others reach the command through its init, which passes on
// these and no more.
constexpr std::array kFaultSignals{SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

Result<int> read_signal(const JsonNode& node) {
  BULKHEAD_ASSIGN(std::string text, node.string());
  const std::string_view word = std::string_view(text).substr(text.starts_with("SIG") ? 3 : 0);
  std::vector<std::string> known;
  for (const int signal : kFaultSignals) {
    if (word == sigabbrev_np(signal)) return signal;
    known.emplace_back(sigabbrev_np(signal));
  }
  const std::string near = nearest(word, known);
  return node.expected("one of " + one_of(known), near.empty() ? "" : "did you mean '" + near + "'?");
}

// The rules of git-check-ref-format(1) for a branch, and none that begins like an option.
bool is_branch_name(std::string_view name) {
  if (name.empty() || name.size() > 200 || name == "@" || name == "HEAD" || name.starts_with('-')) return false;
  if (name.contains("..") || name.contains("@{") || name.contains("//") || name.ends_with('.')) return false;
  for (const char c : name)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f || std::string_view("~^:?*[\\").contains(c)) return false;
  return std::ranges::all_of(split(name, '/'), [](const std::string& part) {
    return !part.empty() && !part.starts_with('.') && !part.ends_with(".lock");
  });
}

std::vector<std::string> names_of(const std::map<std::string, Task>& tasks) {
  std::vector<std::string> names;
  names.reserve(tasks.size());
  for (const auto& [name, task] : tasks) names.push_back(name);
  return names;
}

std::string near_task(const std::string& name, const std::map<std::string, Task>& tasks) {
  const std::string near = nearest(name, names_of(tasks));
  return near.empty() ? "" : "did you mean '" + near + "'?";
}

}  // namespace

Result<Workflow> WorkflowReader::read(const nlohmann::json& document) {
  WorkflowReader reader;
  const JsonNode root("workflow", document);
  BULKHEAD_TRY(root.object_of(kTopKeys));
  BULKHEAD_TRY(reader.read_top(root));
  BULKHEAD_TRY(reader.read_tasks(root));
  if (const auto faults = root.find("faults")) BULKHEAD_TRY(reader.read_faults(*faults));
  return std::move(reader.workflow_);
}

Result<> WorkflowReader::read_top(const JsonNode& root) {
  const auto version = root.find("version");
  if (!version) return root.refuse("'version' is missing", "write 'version: 1'");
  if (version->value() != 1) return version->expected("1, the only version there is");
  if (const auto name = root.find("name")) {
    BULKHEAD_ASSIGN(workflow_.name_, name->string());
    if (const auto fine = check_task_name(workflow_.name_); !fine) return name->refuse(fine.error().detail);
  }
  if (const auto repository = root.find("repository")) {
    BULKHEAD_ASSIGN(workflow_.repository_, repository->string());
    if (workflow_.repository_.empty()) return repository->expected("a path");
  }
  if (const auto base = root.find("base")) {
    BULKHEAD_ASSIGN(workflow_.base_, base->string());
    // It is handed to git as an argument.
    if (workflow_.base_.empty() || workflow_.base_.starts_with('-'))
      return base->expected("a commit: a branch, a tag or an id");
  }
  if (const auto merge = root.find("merge")) BULKHEAD_TRY(read_merge(*merge));
  if (const auto concurrency = root.find("concurrency")) {
    BULKHEAD_ASSIGN(const std::uint64_t count, concurrency->integer(1, kMostConcurrent));
    workflow_.concurrency_ = static_cast<unsigned>(count);
  }
  if (const auto policy = root.find("policy")) {
    BULKHEAD_ASSIGN(workflow_.policy_, read_policy_name(*policy));
  }
  return {};
}

Result<> WorkflowReader::read_merge(const JsonNode& node) {
  BULKHEAD_TRY(node.object_of(kMergeKeys));
  const auto into = node.find("into");
  if (!into) return node.refuse("'into' is missing", "name the branch that results are merged into");
  BULKHEAD_ASSIGN(workflow_.merge_into_, into->string());
  if (workflow_.merge_into_.starts_with("refs/"))
    return into->expected("a branch's name", "write it without 'refs/heads/'");
  if (!is_branch_name(workflow_.merge_into_)) return into->expected("a branch's name");
  // Agents' branches are bulkhead/<run>/<agent>: a branch "bulkhead" would stand where their directory has to be.
  if (workflow_.merge_into_ == "bulkhead")
    return into->refuse("agents' branches are kept below 'bulkhead/'", "choose another name, such as bulkhead/merged");
  return {};
}

Result<> WorkflowReader::read_tasks(const JsonNode& root) {
  Task defaults;
  if (const auto node = root.find("defaults")) {
    if (node->value().is_object() && node->value().contains("needs"))
      return node->find("needs")->refuse("defaults cannot have 'needs'", "each task names the tasks it needs");
    BULKHEAD_TRY(node->object_of(default_keys()));
    BULKHEAD_TRY(read_task(*node, defaults));
  }
  const auto tasks = root.find("tasks");
  if (!tasks) return root.refuse("'tasks' is missing", "write at least one task: tasks: {NAME: {command: …}}");
  BULKHEAD_TRY(tasks->object());
  if (tasks->value().empty()) return tasks->expected("at least one task");
  if (tasks->value().size() > kMostTasks) return tasks->expected("at most " + std::to_string(kMostTasks) + " tasks");
  for (const auto& [name, node] : tasks->members()) {
    if (const auto fine = check_task_name(name); !fine) return node.refuse(fine.error().detail, fine.error().hint);
    BULKHEAD_TRY(node.object_of(task_keys()));
    Task task = defaults;
    task.name = name;
    BULKHEAD_TRY(read_task(node, task));
    if (task.command.argv().empty()) return node.refuse("'command' is missing", "give it here or in 'defaults'");
    workflow_.tasks_.emplace(name, std::move(task));
  }
  BULKHEAD_TRY(read_needs(*tasks));
  return refuse_cycles(*tasks);
}

Result<> WorkflowReader::read_needs(const JsonNode& tasks) {
  for (auto& [name, task] : workflow_.tasks_) {
    const auto node = tasks.find(name)->find("needs");
    if (!node || node->value().is_null()) continue;
    if (!node->value().is_array()) return node->expected("a list of tasks");
    BULKHEAD_ASSIGN(const std::vector<JsonNode> needs, node->elements());
    for (const JsonNode& need : needs) {
      BULKHEAD_ASSIGN(std::string other, need.string());
      if (!workflow_.tasks_.contains(other))
        return need.refuse("there is no task '" + printable(other, 80) + "'", near_task(other, workflow_.tasks_));
      if (std::ranges::find(task.needs, other) != task.needs.end())
        return need.refuse("'" + other + "' is named twice");
      task.needs.push_back(std::move(other));
    }
  }
  return {};
}

Result<> WorkflowReader::refuse_cycles(const JsonNode& tasks) const {
  // Depth first without recursion: a chain of a thousand tasks is a legitimate file.
  struct Visit {
    const Task* task;
    std::size_t next = 0;
  };
  std::set<std::string> done;
  for (const auto& [start, unused] : workflow_.tasks_) {
    std::vector<Visit> path{{.task = &workflow_.tasks_.at(start)}};
    while (!path.empty()) {
      Visit& top = path.back();
      if (done.contains(top.task->name) || top.next == top.task->needs.size()) {
        done.insert(top.task->name);
        path.pop_back();
        continue;
      }
      const Task& need = workflow_.tasks_.at(top.task->needs[top.next++]);
      const auto seen = std::ranges::find(path, &need, &Visit::task);
      if (seen == path.end()) {
        path.push_back({.task = &need});
        continue;
      }
      std::string circle;
      for (auto at = seen; at != path.end(); ++at) circle += at->task->name + " → ";
      return tasks.find(need.name)->find("needs")->refuse("a cycle: " + circle + need.name,
                                                          "take one of these needs away");
    }
  }
  return {};
}

Result<> WorkflowReader::read_faults(const JsonNode& node) {
  BULKHEAD_ASSIGN(const std::vector<JsonNode> faults, node.elements());
  for (const JsonNode& fault : faults) {
    BULKHEAD_ASSIGN(workflow_.faults_.emplace_back(), read_fault(fault));
  }
  return {};
}

Result<Fault> WorkflowReader::read_fault(const JsonNode& node) const {
  BULKHEAD_TRY(node.object_of(kFaultKeys));
  Fault fault;
  const auto agent = node.find("agent");
  if (!agent) return node.refuse("'agent' is missing", "name the task that the fault is for");
  BULKHEAD_ASSIGN(fault.agent, agent->string());
  const auto task = workflow_.tasks_.find(fault.agent);
  if (task == workflow_.tasks_.end())
    return agent->refuse("there is no task '" + printable(fault.agent, 80) + "'",
                         near_task(fault.agent, workflow_.tasks_));
  if (const auto attempt = node.find("attempt")) {
    BULKHEAD_ASSIGN(const std::uint64_t number, attempt->integer(1, 100));
    fault.attempt = static_cast<unsigned>(number);
    if (fault.attempt > task->second.restart.attempts)
      return attempt->refuse("'" + fault.agent + "' has only " + std::to_string(task->second.restart.attempts) +
                                 (task->second.restart.attempts == 1 ? " attempt" : " attempts"),
                             "raise restart.attempts, or choose an earlier attempt");
  }
  if (const auto after = node.find("after")) {
    BULKHEAD_TRY(after->object_of(kAfterKeys));
    if (const auto commits = after->find("commits")) {
      BULKHEAD_ASSIGN(const std::uint64_t count, commits->integer(0, 1'000'000));
      fault.after_commits = static_cast<unsigned>(count);
    }
  }
  const auto action = node.find("action");
  if (!action) return node.refuse("'action' is missing", "write what to do: action: {signal: KILL}");
  BULKHEAD_TRY(action->object_of(kActionKeys));
  const auto signal = action->find("signal");
  if (!signal) return action->refuse("'signal' is missing", "write what to do: action: {signal: KILL}");
  BULKHEAD_ASSIGN(fault.signal, read_signal(*signal));
  return fault;
}

}  // namespace bulkhead
