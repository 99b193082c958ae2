#include "supervisor/core/workflow/workflow_reader.h"

#include <array>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "sandbox/spec/path.h"

namespace bulkhead {

namespace {

const std::array<std::string, 3> kVerifyKeys = {"pass", "fail_to_pass", "pass_to_pass"};
const std::array<std::string, 2> kRestartKeys = {"attempts", "backoff"};
const std::array<std::string, 1> kCheckpointKeys = {"every"};

constexpr std::uint64_t kMostAttempts = 100;

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

Result<std::chrono::milliseconds> read_duration(const JsonNode& node) {
  constexpr std::string_view kWhat = "a duration such as 250ms, 10s, 30m or 1h30m";
  if (node.value().is_number()) return node.expected(kWhat, "write the unit too: " + node.value().dump() + "s");
  if (!node.value().is_string()) return node.expected(kWhat);
  auto duration = parse_duration(node.value().get_ref<const std::string&>());
  if (!duration) return node.expected(kWhat);
  return *duration;
}

Result<Command> read_command(const JsonNode& node) {
  if (node.value().is_string()) {
    BULKHEAD_ASSIGN(std::string text, node.string());
    if (is_blank(text)) return node.expected("a command: shell text or a list of words");
    return Command::shell(std::move(text));
  }
  if (!node.value().is_array() || node.value().empty())
    return node.expected("a command: shell text or a list of words");
  std::vector<std::string> argv;
  BULKHEAD_ASSIGN(const std::vector<JsonNode> words, node.elements());
  for (const JsonNode& word : words) {
    BULKHEAD_ASSIGN(std::string text, word.string());
    if (argv.empty() && text.empty()) return word.expected("the program to run");
    argv.push_back(std::move(text));
  }
  return Command::exec(std::move(argv));
}

Result<> read_verify(const JsonNode& node, VerifyCommands& verify) {
  if (!node.value().is_object()) {
    BULKHEAD_ASSIGN(Command pass, read_command(node));
    verify = {.pass = std::move(pass)};
    return {};
  }
  BULKHEAD_TRY(node.object_of(kVerifyKeys));
  verify = {};
  const std::array<std::optional<Command>*, 3> commands = {&verify.pass, &verify.fail_to_pass, &verify.pass_to_pass};
  for (std::size_t i = 0; i < kVerifyKeys.size(); ++i)
    if (const auto command = node.find(kVerifyKeys[i])) {
      BULKHEAD_ASSIGN(*commands[i], read_command(*command));
    }
  if (!verify.any()) return node.expected("a command, or a map with " + one_of(kVerifyKeys));
  return {};
}

bool is_variable_name(std::string_view name) {
  constexpr std::string_view kFirst = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  constexpr std::string_view kOther = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
  return !name.empty() && kFirst.contains(name.front()) && name.find_first_not_of(kOther) == std::string_view::npos;
}

Result<> read_environment(const JsonNode& node, std::map<std::string, std::string>& environment) {
  BULKHEAD_TRY(node.object());
  for (const auto& [name, value] : node.members()) {
    if (!is_variable_name(name)) return value.refuse("'" + printable(name, 80) + "' cannot be a variable's name");
    if (name.starts_with("BULKHEAD_")) return value.refuse("variables that begin with BULKHEAD_ are set by Bulkhead");
    if (value.value().is_null()) {
      environment.erase(name);
      continue;
    }
    BULKHEAD_ASSIGN(environment[name], value.string());
  }
  return {};
}

Result<> read_inputs(const JsonNode& node, std::map<std::string, std::string>& inputs) {
  BULKHEAD_TRY(node.object());
  for (const auto& [inside, host] : node.members()) {
    const auto path = SandboxPath::parse(inside);
    if (!path || path->is_root())
      return host.refuse("'" + printable(inside, 80) + "' is no path for an input inside the sandbox",
                         "write it absolute and without '..', such as /inputs/data.csv");
    if (path->str() == "/workspace")
      return host.refuse("an input cannot take the place of the workspace", "name a path below it or beside it");
    if (host.value().is_null()) {
      inputs.erase(path->str());
      continue;
    }
    BULKHEAD_ASSIGN(std::string source, host.string());
    if (source.empty()) return host.expected("a path on the host");
    inputs[path->str()] = std::move(source);
  }
  return {};
}

// Only `idle` is read here: all others are the policy's, which reads them with their defaults.
Result<> read_limits(const JsonNode& node, Task& task) {
  BULKHEAD_TRY(node.object());
  nlohmann::json others = node.value();
  if (const auto idle = node.find("idle")) {
    others.erase("idle");
    if (idle->value().is_null() || idle->value() == "unlimited") {
      task.idle = std::chrono::milliseconds{0};
    } else {
      BULKHEAD_ASSIGN(task.idle, read_duration(*idle));
      if (task.idle.count() == 0) return idle->expected("more than nothing", "write 'unlimited' for no bound");
    }
  }
  // Not merge_patch(): a null has to stay, since it takes back what the policy says.
  for (const auto& [key, value] : others.items()) task.limits[key] = value;
  return {};
}

Result<> read_restart(const JsonNode& node, RestartPolicy& restart) {
  BULKHEAD_TRY(node.object_of(kRestartKeys));
  if (const auto attempts = node.find("attempts")) {
    BULKHEAD_ASSIGN(const std::uint64_t count, attempts->integer(1, kMostAttempts));
    restart.attempts = static_cast<unsigned>(count);
  }
  if (const auto backoff = node.find("backoff")) {
    BULKHEAD_ASSIGN(restart.backoff, read_duration(*backoff));
  }
  return {};
}

Result<> read_checkpoint(const JsonNode& node, std::chrono::milliseconds& every) {
  BULKHEAD_TRY(node.object_of(kCheckpointKeys));
  const auto interval = node.find("every");
  if (!interval) return {};
  if (interval->value().is_null()) {
    every = std::chrono::milliseconds{0};
    return {};
  }
  BULKHEAD_ASSIGN(every, read_duration(*interval));
  if (every < std::chrono::seconds{1}) return interval->expected("at least 1s");
  return {};
}

struct KeyReader {
  std::string key;
  void (*reset)(Task&);
  Result<> (*read)(const JsonNode&, Task&);
};

// `target = reader(node)` as a function; the commonest way to read a key.
template <auto Member, auto Reader>
Result<> assign(const JsonNode& node, Task& task) {
  BULKHEAD_ASSIGN(task.*Member, Reader(node));
  return {};
}
template <auto Member>
void reset(Task& task) {
  task.*Member = Task{}.*Member;
}

Result<std::string> read_text(const JsonNode& node) { return node.string(); }
Result<bool> read_switch(const JsonNode& node) { return node.boolean(); }

const std::array<KeyReader, 11> kReaders = {{
    {"command", reset<&Task::command>, assign<&Task::command, read_command>},
    {"prompt", reset<&Task::prompt>, assign<&Task::prompt, read_text>},
    {"setup", reset<&Task::setup>, assign<&Task::setup, read_command>},
    {"verify", reset<&Task::verify>, [](const JsonNode& node, Task& task) { return read_verify(node, task.verify); }},
    {"environment", reset<&Task::environment>,
     [](const JsonNode& node, Task& task) { return read_environment(node, task.environment); }},
    {"inputs", reset<&Task::inputs>, [](const JsonNode& node, Task& task) { return read_inputs(node, task.inputs); }},
    {"policy", reset<&Task::policy>, assign<&Task::policy, read_policy_name>},
    {"limits", [](Task& task) { reset<&Task::limits>(task), reset<&Task::idle>(task); }, read_limits},
    {"restart", reset<&Task::restart>,
     [](const JsonNode& node, Task& task) { return read_restart(node, task.restart); }},
    {"explain", reset<&Task::explain>, assign<&Task::explain, read_switch>},
    {"checkpoint", reset<&Task::checkpoint_every>,
     [](const JsonNode& node, Task& task) { return read_checkpoint(node, task.checkpoint_every); }},
}};

std::vector<std::string> keys_with(std::vector<std::string> more) {
  for (const KeyReader& reader : kReaders) more.push_back(reader.key);
  return more;
}

}  // namespace

std::vector<std::string> default_keys() { return keys_with({}); }
std::vector<std::string> task_keys() { return keys_with({"needs"}); }

Result<> read_task(const JsonNode& node, Task& task) {
  for (const KeyReader& reader : kReaders) {
    const auto value = node.find(reader.key);
    if (!value) continue;
    if (value->value().is_null())
      reader.reset(task);
    else
      BULKHEAD_TRY(reader.read(*value, task));
  }
  return {};
}

Result<std::string> read_policy_name(const JsonNode& node) {
  BULKHEAD_ASSIGN(std::string policy, node.string());
  if (policy.empty()) return node.expected("a policy's name or path");
  return policy;
}

}  // namespace bulkhead
