#include "supervisor/core/workflow/workflow.h"

#include <gmock/gmock.h>

#include <csignal>
#include <fstream>

namespace bulkhead::test {
namespace {

using nlohmann::json;

Workflow read(const std::string& text) {
  const Result<Workflow> workflow = Workflow::from_json(json::parse(text));
  EXPECT_TRUE(workflow) << workflow.error().text();
  return workflow ? *workflow : Workflow::single({"unread"}).value();
}

// "pointer: message [hint]"
std::string refusal(const json& document) {
  const Result<Workflow> workflow = Workflow::from_json(document);
  if (workflow) return "accepted";
  EXPECT_EQ(workflow.error().operation, "workflow");
  const Error& error = workflow.error();
  return error.object + ": " + error.detail + (error.hint.empty() ? "" : " [" + error.hint + "]");
}

json smallest() { return {{"version", 1}, {"tasks", {{"a", {{"command", "true"}}}}}}; }

// The smallest workflow with `value` at `pointer`.
json with(const std::string& pointer, json value) {
  json document = smallest();
  document[json::json_pointer(pointer)] = std::move(value);
  return document;
}

TEST(Workflow, TheSmallestHasDefaults) {
  const Workflow workflow = read(R"({"version":1,"tasks":{"a":{"command":"make"}}})");
  EXPECT_EQ(workflow.base(), "HEAD");
  EXPECT_EQ(workflow.policy(), "default");
  EXPECT_EQ(workflow.concurrency(), 0U);
  EXPECT_EQ(workflow.merge_into(), "");
  const Task& task = workflow.tasks().at("a");
  EXPECT_EQ(task.name, "a");
  EXPECT_EQ(task.command.argv(), (std::vector<std::string>{"/bin/sh", "-c", "make"}));
  EXPECT_EQ(task.restart.attempts, 1U);
  EXPECT_EQ(task.restart.backoff, std::chrono::seconds{1});
  EXPECT_FALSE(task.verify.any());
  EXPECT_EQ(workflow.policy_of(task), "default");
}

TEST(Workflow, ReadsEveryKey) {
  const Workflow workflow =
      read(R"({"version":1,"name":"patches","repository":"../src","base":"v1.2","merge":{"into":"bulkhead/fixes"},
    "concurrency":4,"policy":"strict","tasks":{
      "a":{"command":["python3","fix.py","a b"],"prompt":"Fix it.","setup":"make","verify":{"pass":"t1","fail_to_pass":["t2"],"pass_to_pass":"t3"},
           "environment":{"K":"V"},"inputs":{"/inputs/x":"data/x"},"policy":"own.yaml","limits":{"memory":"1Gi","idle":"5m","wall":null},
           "restart":{"attempts":3,"backoff":"250ms"},"checkpoint":{"every":"1m"},"explain":true},
      "b":{"command":"x","needs":["a"]}},
    "faults":[{"agent":"a","attempt":2,"after":{"commits":1},"action":{"signal":"SIGTERM"}},{"agent":"b","action":{"signal":"KILL"}}]})");
  EXPECT_EQ(workflow.name(), "patches");
  EXPECT_EQ(workflow.repository(), "../src");
  EXPECT_EQ(workflow.base(), "v1.2");
  EXPECT_EQ(workflow.merge_into(), "bulkhead/fixes");
  EXPECT_EQ(workflow.concurrency(), 4U);
  const Task& a = workflow.tasks().at("a");
  EXPECT_EQ(a.command, Command::exec({"python3", "fix.py", "a b"}));
  EXPECT_EQ(a.command.text(), "python3 fix.py 'a b'");
  EXPECT_EQ(a.prompt, "Fix it.");
  EXPECT_EQ(a.setup, Command::shell("make"));
  EXPECT_EQ(a.verify, (VerifyCommands{.pass = Command::shell("t1"),
                                      .fail_to_pass = Command::exec({"t2"}),
                                      .pass_to_pass = Command::shell("t3")}));
  EXPECT_EQ(a.environment, (std::map<std::string, std::string>{{"K", "V"}}));
  EXPECT_EQ(a.inputs, (std::map<std::string, std::string>{{"/inputs/x", "data/x"}}));
  EXPECT_EQ(workflow.policy_of(a), "own.yaml");
  EXPECT_EQ(a.limits, json::parse(R"({"memory":"1Gi","wall":null})"));
  EXPECT_EQ(a.idle, std::chrono::minutes{5});
  EXPECT_EQ(a.restart, (RestartPolicy{.attempts = 3, .backoff = std::chrono::milliseconds{250}}));
  EXPECT_EQ(a.checkpoint_every, std::chrono::minutes{1});
  EXPECT_TRUE(a.explain);
  EXPECT_EQ(workflow.tasks().at("b").needs, std::vector<std::string>{"a"});
  EXPECT_EQ(workflow.faults(), (std::vector<Fault>{{.agent = "a", .attempt = 2, .after_commits = 1, .signal = SIGTERM},
                                                   {.agent = "b", .signal = SIGKILL}}));
  EXPECT_EQ(Workflow::from_json(workflow.to_json()).value(), workflow);
}

TEST(Workflow, DefaultsAreMergedIntoTasks) {
  const Workflow workflow =
      read(R"({"version":1,"defaults":{"command":"agent","verify":{"pass":"t","pass_to_pass":"q"},"setup":"s",
      "environment":{"A":"1","B":"2"},"limits":{"memory":"1Gi","pids":64,"idle":"1m"},"restart":{"attempts":3,"backoff":"2s"},
      "inputs":{"/in":"x"},"prompt":"all"},
    "tasks":{"plain":{},
      "other":{"command":["mine"],"verify":"u","setup":null,"environment":{"B":"3","A":null},"limits":{"pids":8,"idle":"unlimited"},
               "restart":{"attempts":1},"inputs":null}}})");
  const Task& plain = workflow.tasks().at("plain");
  EXPECT_EQ(plain.command, Command::shell("agent"));
  EXPECT_EQ(plain.prompt, "all");
  EXPECT_EQ(plain.restart.attempts, 3U);
  EXPECT_EQ(plain.idle, std::chrono::minutes{1});
  const Task& other = workflow.tasks().at("other");
  EXPECT_EQ(other.command, Command::exec({"mine"}));
  EXPECT_EQ(other.verify, (VerifyCommands{.pass = Command::shell("u")}));
  EXPECT_FALSE(other.setup);
  EXPECT_EQ(other.environment, (std::map<std::string, std::string>{{"B", "3"}}));
  EXPECT_EQ(other.limits, json::parse(R"({"memory":"1Gi","pids":8})"));
  EXPECT_EQ(other.idle.count(), 0);
  EXPECT_EQ(other.restart, (RestartPolicy{.attempts = 1, .backoff = std::chrono::seconds{2}}));
  EXPECT_TRUE(other.inputs.empty());
  EXPECT_EQ(Workflow::from_json(workflow.to_json()).value(), workflow);
}

TEST(Workflow, OneCommand) {
  const Workflow workflow = Workflow::single({"sh", "-c", "echo hi"}, "mine").value();
  EXPECT_EQ(workflow.tasks().at("agent").command, Command::exec({"sh", "-c", "echo hi"}));
  EXPECT_EQ(workflow.policy(), "mine");
  EXPECT_EQ(Workflow::single({}).error().object, "/tasks/agent/command");
}

TEST(Workflow, PathsAreTheFilesOwn) {
  const Workflow workflow = read(R"({"version":1,"repository":"../src/","policy":"./p.yaml","tasks":{
      "a":{"command":"x","inputs":{"/in/x":"data/x","/in/y":"/abs/y"},"policy":"default"}}})")
                                .resolved("/home/ann/flows");
  EXPECT_EQ(workflow.repository(), "/home/ann/src");
  EXPECT_EQ(workflow.policy(), "/home/ann/flows/p.yaml");
  const Task& task = workflow.tasks().at("a");
  EXPECT_EQ(task.policy, "default");
  EXPECT_EQ(task.inputs.at("/in/x"), "/home/ann/flows/data/x");
  EXPECT_EQ(task.inputs.at("/in/y"), "/abs/y");
  EXPECT_EQ(read(R"({"version":1,"tasks":{"a":{"command":"x"}}})").resolved("/r").repository(), "/r");
}

TEST(Workflow, RefusesUnknownKeysWithTheNearOne) {
  EXPECT_EQ(refusal(with("/task", 1)), "/task: unknown key 'task' [did you mean 'tasks'?]");
  EXPECT_EQ(refusal(with("/tasks/a/comand", "x")), "/tasks/a/comand: unknown key 'comand' [did you mean 'command'?]");
  EXPECT_EQ(refusal(with("/defaults/enviroment", json::object())),
            "/defaults/enviroment: unknown key 'enviroment' [did you mean 'environment'?]");
  EXPECT_EQ(refusal(with("/tasks/a/verify", {{"fail-to-pass", "x"}})),
            "/tasks/a/verify/fail-to-pass: unknown key 'fail-to-pass' [did you mean 'fail_to_pass'?]");
  EXPECT_EQ(refusal(with("/tasks/a/restart", {{"attempt", 2}})),
            "/tasks/a/restart/attempt: unknown key 'attempt' [did you mean 'attempts'?]");
  EXPECT_EQ(refusal(with("/merge", {{"in", "m"}})), "/merge/in: unknown key 'in' [a key here is one of 'into']");
  EXPECT_EQ(refusal(with("/defaults/needs", json::array())),
            "/defaults/needs: defaults cannot have 'needs' [each task names the tasks it needs]");
}

TEST(Workflow, RefusesWhatIsMissing) {
  EXPECT_EQ(refusal(json::object()), ": 'version' is missing [write 'version: 1']");
  EXPECT_EQ(refusal({{"version", 1}}), ": 'tasks' is missing [write at least one task: tasks: {NAME: {command: …}}]");
  EXPECT_EQ(refusal({{"version", 1}, {"tasks", json::object()}}), "/tasks: expected at least one task, got a map");
  EXPECT_EQ(refusal(with("/tasks/b", json::object())),
            "/tasks/b: 'command' is missing [give it here or in 'defaults']");
  EXPECT_EQ(refusal(with("/tasks/a/command", nullptr)),
            "/tasks/a: 'command' is missing [give it here or in 'defaults']");
  EXPECT_EQ(refusal(with("/merge", json::object())),
            "/merge: 'into' is missing [name the branch that results are merged into]");
}

TEST(Workflow, RefusesWrongTypes) {
  EXPECT_EQ(refusal(json::array()), ": expected a map, got a list");
  EXPECT_EQ(refusal(with("/version", 2)), "/version: expected 1, the only version there is, got number 2");
  EXPECT_EQ(refusal(with("/version", "1")), "/version: expected 1, the only version there is, got '1'");
  EXPECT_EQ(refusal(with("/concurrency", 0)), "/concurrency: expected a whole number from 1 to 1024, got number 0");
  EXPECT_EQ(refusal(with("/tasks/a", "make")), "/tasks/a: expected a map, got 'make'");
  EXPECT_EQ(refusal(with("/tasks/a/command", 3)),
            "/tasks/a/command: expected a command: shell text or a list of words, got number 3");
  EXPECT_EQ(refusal(with("/tasks/a/command", "  ")),
            "/tasks/a/command: expected a command: shell text or a list of words, got '  '");
  EXPECT_EQ(refusal(with("/tasks/a/command", json::array())),
            "/tasks/a/command: expected a command: shell text or a list of words, got a list");
  EXPECT_EQ(refusal(with("/tasks/a/command", {"x", 1})),
            "/tasks/a/command/1: expected a string, got number 1 [put it in quotes]");
  EXPECT_EQ(refusal(with("/tasks/a/environment", {{"PORT", 80}})),
            "/tasks/a/environment/PORT: expected a string, got number 80 [put it in quotes]");
  EXPECT_EQ(refusal(with("/tasks/a/needs", "b")), "/tasks/a/needs: expected a list of tasks, got 'b'");
  EXPECT_EQ(refusal(with("/tasks/a/limits", 1)), "/tasks/a/limits: expected a map, got number 1");
  EXPECT_EQ(refusal(with("/tasks/a/verify", json::object())),
            "/tasks/a/verify: expected a command, or a map with 'pass', 'fail_to_pass' or 'pass_to_pass', got a map");
  EXPECT_EQ(refusal(with("/faults", json::object())), "/faults: expected a list, got a map");
}

TEST(Workflow, RefusesBadUnits) {
  EXPECT_EQ(refusal(with("/tasks/a/restart", {{"backoff", "1 second"}})),
            "/tasks/a/restart/backoff: expected a duration such as 250ms, 10s, 30m or 1h30m, got '1 second'");
  EXPECT_EQ(refusal(with("/tasks/a/restart", {{"backoff", 5}})),
            "/tasks/a/restart/backoff: expected a duration such as 250ms, 10s, 30m or 1h30m, got number 5 [write the "
            "unit too: 5s]");
  EXPECT_EQ(refusal(with("/tasks/a/restart", {{"attempts", 0}})),
            "/tasks/a/restart/attempts: expected a whole number from 1 to 100, got number 0");
  EXPECT_EQ(refusal(with("/tasks/a/checkpoint", {{"every", "10ms"}})),
            "/tasks/a/checkpoint/every: expected at least 1s, got '10ms'");
  EXPECT_EQ(refusal(with("/tasks/a/limits", {{"idle", "0s"}})),
            "/tasks/a/limits/idle: expected more than nothing, got '0s' [write 'unlimited' for no bound]");
}

TEST(Workflow, RefusesBadNames) {
  const auto named = [](const std::string& name) {
    return refusal({{"version", 1}, {"tasks", {{name, {{"command", "x"}}}}}});
  };
  const std::string rule = " cannot be a name: 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit";
  EXPECT_EQ(named("Fix"), "/tasks/Fix: 'Fix'" + rule);
  EXPECT_EQ(named("a/b"), "/tasks/a~1b: 'a/b'" + rule);
  EXPECT_EQ(named("-x"), "/tasks/-x: '-x'" + rule);
  EXPECT_EQ(named(""), "/tasks/: ''" + rule);
  EXPECT_EQ(named(std::string(64, 'x')), "/tasks/" + std::string(64, 'x') + ": '" + std::string(64, 'x') + "'" + rule);
  const std::string git =
      " cannot be a name: it is part of a branch's name, where git refuses '..', a final '.' and '.lock'";
  for (const char* name : {"a..b", "a.", "a.lock"})
    EXPECT_EQ(named(name), "/tasks/" + std::string(name) + ": '" + name + "'" + git);
  EXPECT_EQ(named("latest"), "/tasks/latest: 'latest' cannot be a name: the command line uses it for the latest run");
  EXPECT_EQ(named(std::string(63, 'x')), "accepted");
  EXPECT_EQ(named("3.fix_a-b"), "accepted");
  EXPECT_EQ(refusal(with("/name", "My Flow")), "/name: 'My Flow'" + rule);
}

TEST(Workflow, RefusesBadBranchesAndCommits) {
  for (const char* name : {"", "-x", "a b", "a..b", "a/", "/a", "a//b", "a.lock", "x/.y", "HEAD", "@", "a@{1}", "a~1",
                           "a:b", "a\\b", "a."})
    EXPECT_EQ(refusal(with("/merge", {{"into", name}})),
              "/merge/into: expected a branch's name, got '" + std::string(name) + "'");
  EXPECT_EQ(refusal(with("/merge", {{"into", "refs/heads/m"}})),
            "/merge/into: expected a branch's name, got 'refs/heads/m' [write it without 'refs/heads/']");
  EXPECT_EQ(refusal(with("/merge", {{"into", "bulkhead"}})),
            "/merge/into: agents' branches are kept below 'bulkhead/' [choose another name, such as bulkhead/merged]");
  EXPECT_EQ(refusal(with("/merge", {{"into", "release/1.2-fixes"}})), "accepted");
  EXPECT_EQ(refusal(with("/base", "--all")), "/base: expected a commit: a branch, a tag or an id, got '--all'");
}

TEST(Workflow, RefusesBadEnvironmentAndInputs) {
  EXPECT_EQ(refusal(with("/tasks/a/environment", {{"A=B", "x"}})),
            "/tasks/a/environment/A=B: 'A=B' cannot be a variable's name");
  EXPECT_EQ(refusal(with("/tasks/a/environment", {{"BULKHEAD_RESUME", "x"}})),
            "/tasks/a/environment/BULKHEAD_RESUME: variables that begin with BULKHEAD_ are set by Bulkhead");
  EXPECT_EQ(refusal(with("/tasks/a/inputs", {{"../x", "y"}})),
            "/tasks/a/inputs/..~1x: '../x' is no path for an input inside the sandbox [write it absolute and without "
            "'..', such as /inputs/data.csv]");
  EXPECT_EQ(refusal(with("/tasks/a/inputs", {{"/workspace", "y"}})),
            "/tasks/a/inputs/~1workspace: an input cannot take the place of the workspace [name a path below it or "
            "beside it]");
  EXPECT_EQ(refusal(with("/tasks/a/inputs", {{"/in", ""}})),
            "/tasks/a/inputs/~1in: expected a path on the host, got ''");
}

TEST(Workflow, RefusesNeedsThatCannotBe) {
  EXPECT_EQ(refusal(with("/tasks/a/needs", {"aa"})), "/tasks/a/needs/0: there is no task 'aa'");
  json document = smallest();
  document["tasks"]["build"] = {{"command", "x"}};
  document["tasks"]["test"] = {{"command", "x"}, {"needs", {"biuld"}}};
  EXPECT_EQ(refusal(document), "/tasks/test/needs/0: there is no task 'biuld' [did you mean 'build'?]");
  document["tasks"]["test"]["needs"] = {"build", "build"};
  EXPECT_EQ(refusal(document), "/tasks/test/needs/1: 'build' is named twice");
}

TEST(Workflow, RefusesCycles) {
  EXPECT_EQ(refusal(with("/tasks/a/needs", {"a"})), "/tasks/a/needs: a cycle: a → a [take one of these needs away]");
  json document = smallest();
  document["tasks"]["a"]["needs"] = {"b"};
  document["tasks"]["b"] = {{"command", "x"}, {"needs", {"a"}}};
  EXPECT_EQ(refusal(document), "/tasks/a/needs: a cycle: a → b → a [take one of these needs away]");
  document["tasks"]["a"]["needs"] = {"c", "b"};
  document["tasks"]["b"]["needs"] = {"c", "d"};
  document["tasks"]["c"] = {{"command", "x"}};
  document["tasks"]["d"] = {{"command", "x"}, {"needs", {"b"}}};
  EXPECT_EQ(refusal(document), "/tasks/b/needs: a cycle: b → d → b [take one of these needs away]");
  document["tasks"]["d"]["needs"] = {"c"};
  EXPECT_EQ(refusal(document), "accepted");
}

TEST(Workflow, ALongChainIsNoTrouble) {
  json document = {{"version", 1}, {"defaults", {{"command", "x"}}}};
  for (int i = 0; i < 1'000; ++i) {
    json task = json::object();
    if (i > 0) task["needs"] = {"t" + std::to_string(i - 1)};
    document["tasks"]["t" + std::to_string(i)] = task;
  }
  EXPECT_EQ(refusal(document), "accepted");
  document["tasks"]["one-more"] = json::object();
  EXPECT_EQ(refusal(document), "/tasks: expected at most 1000 tasks, got a map");
}

TEST(Workflow, RefusesFaultsThatCannotHappen) {
  const auto fault = [](json value) { return refusal(with("/faults", json::array({std::move(value)}))); };
  const json kill = {{"signal", "KILL"}};
  EXPECT_EQ(fault({{"agent", "b"}, {"action", kill}}), "/faults/0/agent: there is no task 'b'");
  EXPECT_EQ(fault({{"action", kill}}), "/faults/0: 'agent' is missing [name the task that the fault is for]");
  EXPECT_EQ(fault({{"agent", "a"}}), "/faults/0: 'action' is missing [write what to do: action: {signal: KILL}]");
  EXPECT_EQ(
      fault({{"agent", "a"}, {"action", {{"signal", "KIL"}}}}),
      "/faults/0/action/signal: expected one of 'KILL', 'TERM', 'INT', 'HUP', 'QUIT', 'USR1' or 'USR2', got 'KIL' "
      "[did you mean 'KILL'?]");
  EXPECT_EQ(fault({{"agent", "a"}, {"action", {{"signal", 9}}}}),
            "/faults/0/action/signal: expected a string, got number 9 [put it in quotes]");
  EXPECT_EQ(fault({{"agent", "a"}, {"attempt", 2}, {"action", kill}}),
            "/faults/0/attempt: 'a' has only 1 attempt [raise restart.attempts, or choose an earlier attempt]");
  EXPECT_EQ(fault({{"agent", "a"}, {"action", kill}}), "accepted");
}

// The schema is for editors; what it lets through is this reader's business, but they have to know the same keys.
TEST(WorkflowSchema, KnowsTheKeysOfTheReader) {
  std::ifstream file(BULKHEAD_SOURCE_DIR "/policies/workflow.schema.json");
  const json schema = json::parse(file);
  const auto keys = [](const json& object) {
    std::vector<std::string> names;
    for (const auto& [key, value] : object.at("properties").items()) names.push_back(key);
    EXPECT_EQ(object.at("additionalProperties"), false);
    return names;
  };
  // An unknown key's message ends with all known ones when none is near.
  const auto known = [](const json& document) {
    const Result<Workflow> workflow = Workflow::from_json(document);
    std::vector<std::string> names;
    std::string hint = workflow ? "" : workflow.error().hint;
    for (std::size_t at = hint.find('\''); at != std::string::npos; at = hint.find('\'', hint.find('\'', at + 1) + 1))
      names.push_back(hint.substr(at + 1, hint.find('\'', at + 1) - at - 1));
    return names;
  };
  using testing::UnorderedElementsAreArray;
  const json& task = schema.at("$defs").at("task");
  EXPECT_THAT(keys(schema), UnorderedElementsAreArray(known(with("/zzzzzzzzzzzz", 1))));
  EXPECT_THAT(keys(task), UnorderedElementsAreArray(known(with("/tasks/a/zzzzzzzzzzzz", 1))));
  EXPECT_THAT(keys(schema.at("$defs").at("defaults")),
              UnorderedElementsAreArray(known(with("/defaults/zzzzzzzzzzzz", 1))));
  EXPECT_THAT(keys(schema.at("$defs").at("fault")),
              UnorderedElementsAreArray(known(with("/faults/0/zzzzzzzzzzzz", 1))));
}

}  // namespace
}  // namespace bulkhead::test
