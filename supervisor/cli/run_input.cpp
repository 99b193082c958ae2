#include "supervisor/cli/run_input.h"

#include <filesystem>

#include "sandbox/base/text.h"
#include "supervisor/cli/policies.h"
#include "supervisor/cli/repository.h"
#include "supervisor/config/document.h"
#include "supervisor/core/workflow/workflow.h"

namespace bulkhead {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A part of a JSON pointer (RFC 6901).
std::string escaped(const std::string& part) {
  std::string out;
  for (const char c : part) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

// The workflow, and the file it came from where it came from one: messages point into it.
struct Source {
  Workflow workflow;
  std::optional<Document> document;
  std::string file;  // absolute; empty for a command

  Failure wrong(std::string pointer, Error error) const {
    if (document) {
      error.object = std::move(pointer);
      return {.error = located(*document, std::move(error)), .code = static_cast<int>(ExitCode::bad_input)};
    }
    return {.error = std::move(error), .code = static_cast<int>(ExitCode::bad_input)};
  }
};

Outcome<Source> read_file_source(const Context& context, const std::string& name) {
  std::error_code ignored;
  if (!fs::exists(name, ignored) && !name.ends_with(".yaml") && !name.ends_with(".yml") && !name.ends_with(".json"))
    return failure(ExitCode::bad_input, {.operation = "read workflow",
                                         .object = printable(name),
                                         .code = ENOENT,
                                         .hint = "to run a command: bulkhead run -- " + shell_quote(name) + " …"});
  auto document = or_exit(ExitCode::bad_input, read_document_file(name));
  if (!document) return std::unexpected(document.error());
  if (auto expanded = expand_variables(*document, context.environment); !expanded)
    return failure(ExitCode::bad_input, expanded.error());
  auto workflow = Workflow::from_json(document->value);
  if (!workflow) return failure(ExitCode::bad_input, located(*document, std::move(workflow).error()));
  const fs::path file = (fs::path(context.directory) / name).lexically_normal();
  return Source{.workflow = workflow->resolved(file.parent_path().string()),
                .document = *std::move(document),
                .file = file.string()};
}

Outcome<Source> read_source(const Context& context, const RunOptions& options) {
  if (!options.workflow.empty()) return read_file_source(context, options.workflow);
  auto workflow = or_exit(ExitCode::bad_input, Workflow::single(options.command, options.policy));
  if (!workflow) return std::unexpected(workflow.error());
  return Source{.workflow = workflow->resolved(context.directory), .document = std::nullopt, .file = {}};
}

// Reads the policy that a task is to run under, once for each name, and checks it with the task's own limits.
Outcome<> take_policy(const Source& source, const std::string& name, const std::string& pointer, RunRequest& request) {
  if (request.policies.contains(name)) return {};
  auto policy = read_policy(name);
  if (!policy) {
    // A policy that cannot be found is the workflow's mistake; what is wrong inside one is its own.
    if (find_policy(name, default_policy_dirs())) return std::unexpected(policy.error());
    Error error = policy.error().error;
    error.detail = error.text();
    error.operation = {}, error.code = 0;
    return std::unexpected(source.wrong(pointer, std::move(error)));
  }
  for (const auto& [profile, content] : policy->files.profiles) {
    const auto [there, fresh] = request.seccomp.emplace(profile, content);
    if (!fresh && there->second != content)
      return failure(ExitCode::bad_input, {.operation = "read policy",
                                           .object = "'" + printable(name, 200) + "'",
                                           .detail = "its seccomp profile '" + printable(profile, 80) +
                                                     "' is another than the one of that name in an earlier policy",
                                           .hint = "give one of the two another name"});
  }
  request.policies.emplace(name,
                           PolicyDocument{.document = policy->files.policy, .file = policy->files.document.file_name});
  return {};
}

Outcome<> check_task(const Source& source, const std::string& name, const Task& task, const RunRequest& request) {
  const std::string at = "/tasks/" + escaped(name);
  if (!task.limits.empty()) {
    const PolicyDocument& policy = request.policies.at(source.workflow.policy_of(task));
    json patched = policy.document;
    patched["limits"].merge_patch(task.limits);
    if (auto spec = SandboxSpec::from_policy(patched, request.seccomp); !spec) {
      const std::string pointer = at + spec.error().object;
      return std::unexpected(source.wrong(pointer, spec.error()));
    }
  }
  for (const auto& [inside, host] : task.inputs) {
    std::error_code error;
    const auto status = fs::status(host, error);
    if (fs::exists(status)) continue;
    return std::unexpected(
        source.wrong(at + "/inputs/" + escaped(inside),
                     {.operation = "task '" + name + "'",
                      .detail = "input '" + printable(host) + "': " + (error ? error.message() : "no such file"),
                      .hint = "inputs are relative to the workflow file"}));
  }
  return {};
}

}  // namespace

Outcome<RunRequest> read_run_input(const Context& context, const RunOptions& options, const std::string& run) {
  auto source = read_source(context, options);
  if (!source) return std::unexpected(source.error());
  const Workflow& workflow = source->workflow;
  RunRequest request{.run = run,
                     .workflow = workflow.to_json(),
                     .workflow_file = source->file,
                     .caller = context.caller,
                     .keep_workspaces = options.keep_workspaces ? KeepWorkspaces::yes : KeepWorkspaces::no};
  if (workflow.name().empty() && !source->file.empty())
    if (const std::string stem = fs::path(source->file).stem().string(); check_run_name(stem))
      request.workflow["name"] = stem;
  for (const auto& [name, task] : workflow.tasks()) {
    if (options.explain) request.workflow["tasks"][name]["explain"] = true;
    const std::string pointer = task.policy.empty() ? "/policy" : "/tasks/" + escaped(name) + "/policy";
    if (auto taken = take_policy(*source, workflow.policy_of(task), pointer, request); !taken)
      return std::unexpected(taken.error());
    if (auto right = check_task(*source, name, task, request); !right) return std::unexpected(right.error());
  }
  auto repository = find_repository(workflow.repository().empty() ? context.directory : workflow.repository());
  if (!repository) {
    if (const auto& document = source->document; document && document->value.contains("repository"))
      return std::unexpected(source->wrong(
          "/repository", {.operation = {}, .detail = repository.error().text(), .hint = repository.error().hint}));
    return failure(ExitCode::bad_input, repository.error());
  }
  request.repository = *std::move(repository);
  return request;
}

}  // namespace bulkhead
