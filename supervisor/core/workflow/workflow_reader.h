// Canonical JSON -> Workflow. Split over two files: the document (workflow_reader.cpp) and one task (task_reader.cpp).
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sandbox/base/json_node.h"
#include "sandbox/base/result.h"
#include "supervisor/core/workflow/workflow.h"

namespace bulkhead {

class WorkflowReader {
 public:
  static Result<Workflow> read(const nlohmann::json& document);

 private:
  Result<> read_top(const JsonNode& root);
  Result<> read_merge(const JsonNode& node);
  Result<> read_tasks(const JsonNode& root);
  Result<> read_needs(const JsonNode& tasks);
  Result<> refuse_cycles(const JsonNode& tasks) const;
  Result<> read_faults(const JsonNode& node);
  Result<Fault> read_fault(const JsonNode& node) const;

  Workflow workflow_;
};

// What a task may say, without `needs`: the keys of `defaults`.
std::vector<std::string> default_keys();
std::vector<std::string> task_keys();

// Sets in `task` what `node` says; the rest stays as the defaults left it. Maps are merged key by key, null takes a
// default back. Does not read `needs`.
Result<> read_task(const JsonNode& node, Task& task);

Result<std::string> read_policy_name(const JsonNode& node);

}  // namespace bulkhead
