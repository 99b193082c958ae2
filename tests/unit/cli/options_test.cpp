#include "supervisor/cli/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>

namespace bulkhead {
namespace {

using Words = std::vector<std::string>;

std::expected<CommandLine, ParseStop> parse(const Words& words, const std::map<std::string, std::string>& env = {}) {
  return parse_command_line(words, env, "/home/ann/project");
}

template <class T>
T parsed(const Words& words) {
  auto line = parse(words);
  if (!line) {
    ADD_FAILURE() << line.error().text;
    return {};
  }
  if (!std::holds_alternative<T>(line->verb)) {
    ADD_FAILURE() << "another verb";
    return {};
  }
  return std::get<T>(line->verb);
}

std::string refused(const Words& words) {
  auto line = parse(words);
  if (line) return "accepted";
  EXPECT_EQ(line.error().code, 2);
  return line.error().text;
}

TEST(Options, RunTakesAFileOrACommand) {
  EXPECT_EQ(parsed<RunOptions>({"run", "flow.yaml"}).workflow, "flow.yaml");
  const auto run = parsed<RunOptions>({"run", "--policy", "p.yaml", "--", "sh", "-c", "echo --help -- x"});
  EXPECT_EQ(run.command, (Words{"sh", "-c", "echo --help -- x"}));
  EXPECT_EQ(run.policy, "p.yaml");
  EXPECT_TRUE(parsed<RunOptions>({"run", "--keep-workspaces", "-q", "f"}).keep_workspaces);
  EXPECT_EQ(refused({"run"}),
            "bulkhead: run needs a workflow file, or a command after --\n  next: bulkhead run --help\n");
  EXPECT_EQ(refused({"run", "f", "--", "ls"}),
            "bulkhead: run takes a workflow file or a command after --, not both\n  next: bulkhead run --help\n");
  EXPECT_EQ(refused({"run", "--"}), "bulkhead: a command is missing after --\n  next: bulkhead run --help\n");
  EXPECT_EQ(refused({"run", "f", "--policy", "p"}),
            "bulkhead: --policy is for a command after --; a workflow file names its policies itself\n"
            "  next: bulkhead run --help\n");
}

TEST(Options, ACommandWithoutDashesIsPointedAt) {
  EXPECT_TRUE(refused({"run", "make", "test"}).ends_with("next: to run a command: bulkhead run -- make …\n"))
      << refused({"run", "make", "test"});
}

TEST(Options, SandboxRunTakesACommandWithOrWithoutDashes) {
  const Words command{"ls", "-l", "--policy", "x", "ps"};
  auto with =
      parsed<SandboxRunOptions>({"sandbox", "run", "--policy", "p.yaml", "--", "ls", "-l", "--policy", "x", "ps"});
  EXPECT_EQ(with.command, command);
  EXPECT_EQ(with.policy, "p.yaml");
  auto without = parsed<SandboxRunOptions>({"sandbox", "run", "--policy", "p.yaml", "ls", "-l", "--policy", "x", "ps"});
  EXPECT_EQ(without.command, command);
  EXPECT_EQ(without.policy, "p.yaml");
  EXPECT_EQ(parsed<SandboxRunOptions>({"sandbox", "run", "git", "diff", "--", "a"}).command,
            (Words{"git", "diff", "--", "a"}));
  EXPECT_EQ(parsed<SandboxRunOptions>({"sandbox", "run", "run"}).command, (Words{"run"}));
  EXPECT_EQ(parsed<SandboxRunOptions>({"sandbox", "run", "--report", "r.json", "x"}).policy, "default");
  EXPECT_FALSE(with.quiet);
  EXPECT_TRUE(parsed<SandboxRunOptions>({"sandbox", "run", "-q", "--", "x"}).quiet);
  EXPECT_EQ(refused({"sandbox", "run"}),
            "bulkhead: a command is missing after --\n  next: bulkhead sandbox run --help\n");
}

TEST(Options, SandboxPlanNeedsNoCommand) {
  const auto plan = parsed<SandboxPlanOptions>({"sandbox", "plan", "--policy", "p", "--json"});
  EXPECT_EQ(plan.format, Format::json);
  EXPECT_TRUE(plan.command.empty());
  EXPECT_EQ(parsed<SandboxPlanOptions>({"sandbox", "plan", "--", "ls"}).command, (Words{"ls"}));
}

TEST(Options, PolicyLearnLeavesTheCommandsWordsAlone) {
  for (const bool dashes : {false, true}) {
    Words words{"policy", "learn", "--policy", "p", "--rounds", "3", "-o", "f"};
    if (dashes) words.emplace_back("--");
    words.insert(words.end(), {"ls", "-o", "--json"});
    const auto learn = parsed<PolicyLearnOptions>(words);
    EXPECT_EQ(learn.command, (Words{"ls", "-o", "--json"}));
    EXPECT_EQ(learn.policy, "p");
    EXPECT_EQ(learn.output, "f");
    EXPECT_EQ(learn.rounds, 3U);
    EXPECT_EQ(learn.format, Format::text);
  }
  EXPECT_EQ(parsed<PolicyLearnOptions>({"policy", "learn", "--", "ls"}).rounds, 1U);
  EXPECT_THAT(refused({"policy", "learn", "--rounds", "0", "--", "ls"}), ::testing::HasSubstr("rounds"));
  EXPECT_THAT(refused({"policy", "learn"}), ::testing::HasSubstr("a command is missing"));
}

TEST(Options, TheOtherVerbs) {
  EXPECT_EQ(parsed<PolicyCheckOptions>({"policy", "check", "p"}).policy, "p");
  const auto diff = parsed<PolicyDiffOptions>({"policy", "diff", "a", "b", "--json"});
  EXPECT_EQ(diff.from + diff.to, "ab");
  EXPECT_EQ(diff.format, Format::json);
  EXPECT_EQ(parsed<ConfigOptions>({"config", "f"}).file, "f");
  EXPECT_TRUE(parsed<DiffOptions>({"diff", "--stat", "r/a"}).stat);
  EXPECT_EQ(parsed<LogOptions>({"log", "a"}).agent, "a");
  EXPECT_TRUE(parsed<ApplyOptions>({"apply", "a", "--squash"}).squash);
  EXPECT_EQ(parsed<ShellOptions>({"shell", "a", "--", "git", "status"}).command, (Words{"git", "status"}));
  EXPECT_TRUE(parsed<ShellOptions>({"shell", "a"}).command.empty());
  EXPECT_EQ(parsed<JournalOptions>({"journal"}).run, "latest");
  EXPECT_EQ(parsed<JournalOptions>({"journal", "r", "--json"}).format, Format::json);
  EXPECT_EQ(parsed<PsOptions>({"ps"}).format, Format::text);
  EXPECT_EQ(parsed<KillOptions>({"kill", "a"}).agent, "a");
  EXPECT_EQ(parsed<KillOptions>({"kill", "--run", "latest"}).run, "latest");
  EXPECT_TRUE(parsed<CleanOptions>({"clean", "--check"}).check);
  EXPECT_TRUE(parsed<CleanOptions>({"clean", "--kept"}).kept);
  EXPECT_EQ(parsed<DoctorOptions>({"doctor", "--json"}).format, Format::json);
  parsed<VersionOptions>({"version"});
  EXPECT_EQ(parse({"--version"}).error().text, "bulkhead " BULKHEAD_VERSION "\n");
  parsed<CompletionOptions>({"completion"});
  EXPECT_EQ(refused({"kill"}), "bulkhead: kill needs an AGENT, or --run RUN\n  next: bulkhead kill --help\n");
  EXPECT_EQ(refused({"ps", "--", "x"}), "bulkhead: ps takes no command after --\n  next: bulkhead ps --help\n");
}

TEST(Options, TheStateDirectoryIsGlobalAndAbsolute) {
  EXPECT_EQ(parse({"ps"})->state, "/var/lib/bulkhead");
  EXPECT_EQ(parse({"ps"}, {{"BULKHEAD_STATE", "/srv/b/"}})->state, "/srv/b");
  EXPECT_EQ(parse({"--state", "/a", "ps"}, {{"BULKHEAD_STATE", "/srv/b"}})->state, "/a");
  EXPECT_EQ(parse({"ps", "--state", "../x"})->state, "/home/ann/x");
  EXPECT_EQ(parse({"sandbox", "run", "--state", "/a", "ls"})->state, "/a");
  EXPECT_EQ(parse({"run", "--state", "/a", "--", "ls", "--state", "/b"})->state, "/a");
}

TEST(Options, AMisspeltVerbGetsItsNeighbour) {
  EXPECT_EQ(refused({"rnu", "x"}), "bulkhead: no verb 'rnu'; did you mean 'run'?\n  next: bulkhead --help\n");
  EXPECT_EQ(refused({"sandbox", "pln"}),
            "bulkhead: sandbox has no verb 'pln'; did you mean 'plan'?\n  next: bulkhead sandbox --help\n");
  EXPECT_EQ(refused({}), "bulkhead: a verb is missing\n  next: bulkhead --help\n");
  EXPECT_EQ(refused({"policy"}), "bulkhead: a verb is missing\n  next: bulkhead policy --help\n");
  EXPECT_EQ(refused({"log"}).find("AGENT") == std::string::npos, false);
  EXPECT_NE(refused({"ps", "--jsn"}).find("--jsn"), std::string::npos);
  EXPECT_EQ(refused({"\x1b[2Jrun"}).find('\x1b'), std::string::npos);
}

TEST(Options, EveryVerbHasHelpWithAnExample) {
  const std::vector<Words> verbs{
      {},       {"run"},   {"sandbox", "run"}, {"sandbox", "plan"}, {"policy", "check"}, {"config"},
      {"diff"}, {"log"},   {"apply"},          {"shell"},           {"journal"},         {"ps"},
      {"kill"}, {"clean"}, {"doctor"},         {"completion"}};
  for (Words words : verbs) {
    std::string name = "bulkhead";
    for (const auto& word : words) name += " " + word;
    words.emplace_back("--help");
    auto line = parse(words);
    ASSERT_FALSE(line);
    EXPECT_EQ(line.error().code, 0) << line.error().text;
    EXPECT_NE(line.error().text.find("Example"), std::string::npos) << name;
    EXPECT_NE(line.error().text.find(name), std::string::npos) << name;
  }
}

TEST(Completion, IsBashAndKnowsEveryVerb) {
  const std::string script = bash_completion();
  std::FILE* bash = ::popen("bash -n", "w");
  ASSERT_NE(bash, nullptr);
  std::fputs(script.c_str(), bash);
  EXPECT_EQ(::pclose(bash), 0);
  for (const char* verb : {"run", "sandbox", "policy", "config", "diff", "log", "apply", "shell", "journal", "ps",
                           "kill", "clean", "doctor", "version", "completion"}) {
    EXPECT_NE(script.find(verb), std::string::npos) << verb;
    Words words{verb, "--help"};
    EXPECT_EQ(parse(words).error().code, 0) << verb;
  }
}

}  // namespace
}  // namespace bulkhead
