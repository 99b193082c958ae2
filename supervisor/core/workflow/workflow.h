// A workflow that has been checked. The only ways to a Workflow are from_json and single: an unchecked one cannot
// exist. It is a value: it copies, compares, and round-trips through its canonical JSON (`defaults` merged into the
// tasks).
//
// Pure: reads no file, resolves no name. policies/workflow.schema.json is the published shape for editors, and
// docs/workflow.md the reference.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"

namespace bulkhead {

// What a person wrote: shell text or an argument vector. Both become an argument vector.
class Command {
 public:
  static Command shell(std::string text) { return Command(Form::shell, {std::move(text)}); }
  static Command exec(std::vector<std::string> argv) { return Command(Form::argv, std::move(argv)); }

  std::vector<std::string> argv() const;  // {"/bin/sh", "-c", text} for shell text
  std::string text() const;               // as one would type it; not made printable
  nlohmann::json to_json() const;         // a string or an array
  bool operator==(const Command&) const = default;

 private:
  enum class Form { shell, argv };
  Command(Form form, std::vector<std::string> words) : form_(form), words_(std::move(words)) {}
  Form form_;
  std::vector<std::string> words_;  // one element for shell text
};

// Commands that judge a result, each in a fresh sandbox. A plain string in the file is `pass`.
struct VerifyCommands {
  std::optional<Command> pass;          // must pass on the result
  std::optional<Command> fail_to_pass;  // must fail on the base and pass on the result
  std::optional<Command> pass_to_pass;  // must pass on both
  bool any() const { return pass || fail_to_pass || pass_to_pass; }
  bool operator==(const VerifyCommands&) const = default;
};

struct RestartPolicy {
  unsigned attempts = 1;                     // counts the first
  std::chrono::milliseconds backoff{1'000};  // before the second; doubles with each further one
  bool operator==(const RestartPolicy&) const = default;
};

struct Task {
  std::string name;
  Command command = Command::exec({});
  std::string prompt;              // may be empty
  std::vector<std::string> needs;  // in the file's order, no duplicates
  std::optional<Command> setup;
  VerifyCommands verify;
  std::map<std::string, std::string> environment;
  std::map<std::string, std::string> inputs;         // path inside (absolute, normalised) -> host path as written
  std::string policy;                                // name or path as written; empty: the workflow's
  nlohmann::json limits = nlohmann::json::object();  // a merge patch (RFC 7396) on the policy's limits, without `idle`
  std::chrono::milliseconds idle{0};                 // limits.idle, the supervisor's own; 0: none
  RestartPolicy restart;
  std::chrono::milliseconds checkpoint_every{0};  // 0: no timer
  bool explain = false;                           // say which files and addresses it was refused
  bool operator==(const Task&) const = default;
};

struct Fault {
  std::string agent;
  unsigned attempt = 1;
  unsigned after_commits = 0;  // 0: as soon as the attempt has started
  int signal = 0;
  bool operator==(const Fault&) const = default;
};

class Workflow {
 public:
  // Errors carry a JSON pointer into `canonical` in Error::object; unknown keys have the nearest known one as the hint.
  static Result<Workflow> from_json(const nlohmann::json& canonical);
  // `bulkhead run -- CMD`: one task named "agent". An empty `policy` is the default one.
  static Result<Workflow> single(std::vector<std::string> argv, std::string policy = {});

  // Relative paths (repository, inputs, policies that are paths) made absolute, lexically, below `directory`: the one
  // the file is in. An empty repository becomes `directory`.
  Workflow resolved(std::string_view directory) const;

  // from_json(to_json()) == *this. Has no `defaults`: they are in the tasks.
  nlohmann::json to_json() const;

  const std::string& name() const { return name_; }              // may be empty: the caller's file name
  const std::string& repository() const { return repository_; }  // as written; may be empty: the file's
  const std::string& base() const { return base_; }              // commit-ish, "HEAD" by default
  const std::string& merge_into() const { return merge_into_; }  // branch name; empty: branches are left alone
  unsigned concurrency() const { return concurrency_; }          // 0: number of CPUs
  const std::string& policy() const { return policy_; }          // name or path; "default" by default
  const std::map<std::string, Task>& tasks() const { return tasks_; }
  const std::vector<Fault>& faults() const { return faults_; }
  // The policy a task runs under: its own, else the workflow's.
  const std::string& policy_of(const Task& task) const { return task.policy.empty() ? policy_ : task.policy; }

  bool operator==(const Workflow&) const = default;

 private:
  Workflow() = default;
  friend class WorkflowReader;
  std::string name_;
  std::string repository_;
  std::string base_ = "HEAD";
  std::string merge_into_;
  unsigned concurrency_ = 0;
  std::string policy_ = "default";
  std::map<std::string, Task> tasks_;
  std::vector<Fault> faults_;
};

// Whether a policy is named by a path ("./p.yaml", "team/p.json") rather than by a bare name ("default").
bool is_policy_path(std::string_view policy);

// Names of tasks, which become agents, branches and cgroups: [a-z0-9][a-z0-9._-]{0,62}, without "..", a final "." or
// ".lock" (git-check-ref-format(1) refuses those); "latest" is a word of the command line.
Result<> check_task_name(std::string_view name);

}  // namespace bulkhead
