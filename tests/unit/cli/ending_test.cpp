#include <gtest/gtest.h>

#include "supervisor/cli/apply_rules.h"
#include "supervisor/cli/git_as_user.h"
#include "supervisor/cli/sandbox_ending.h"

namespace bulkhead {
namespace {

TEST(SandboxEnding, SaysCauseRuleAndNextStep) {
  EXPECT_EQ(ending_line({.reason = EndReason::exited, .exit_code = 9}, "p.yaml", ""), "");
  EXPECT_EQ(
      ending_line(
          {.reason = EndReason::out_of_memory, .detail = "over the memory limit of 64Mi", .origin = "/limits/memory"},
          "p.yaml", "p.yaml:3:18: /limits/memory"),
      "bulkhead: out of memory: over the memory limit of 64Mi; rule: p.yaml:3:18: /limits/memory; next: raise the "
      "limit "
      "there, then: bulkhead policy check p.yaml");
  EXPECT_EQ(
      ending_line({.reason = EndReason::signalled, .signal = 15, .detail = "killed by signal SIGTERM"}, "default", ""),
      "bulkhead: killed by SIGTERM");
  EXPECT_EQ(ending_line({.reason = EndReason::setup_failed,
                         .step = "pivot",
                         .step_errno = 1,
                         .detail = "pivot /: Operation not permitted"},
                        "default", "built-in"),
            "bulkhead: the sandbox could not be made: pivot /: Operation not permitted; rule: built-in; next: sudo "
            "bulkhead doctor");
  EXPECT_EQ(ending_line({.reason = EndReason::wall_time, .detail = "\x1b[31m"}, "a b", "").find('\x1b'),
            std::string::npos);
}

TEST(SandboxEnding, ACommandThatIsNotThereEndsAsInAShell) {
  const ExitRecord missing{.reason = EndReason::setup_failed,
                           .step = "exec_command",
                           .step_errno = ENOENT,
                           .detail = "exec_command nope: No such file or directory"};
  EXPECT_EQ(command_status(missing), 127);
  EXPECT_EQ(
      ending_line(missing, "default", ""),
      "bulkhead: the command could not be executed: exec_command nope: No such file or directory; next: see what the "
      "sandbox holds: bulkhead sandbox plan --policy default");
  EXPECT_EQ(command_status({.reason = EndReason::setup_failed, .step = "exec_command", .step_errno = EACCES}), 126);
  EXPECT_EQ(command_status({.reason = EndReason::setup_failed, .step = "pivot", .step_errno = EPERM}), 3);
  EXPECT_EQ(command_status({.reason = EndReason::exited, .exit_code = 42}), 42);
  EXPECT_EQ(command_status({.reason = EndReason::signalled, .signal = 15}), 143);
}

TEST(SandboxEnding, TheReportHoldsTheRecord) {
  const auto report = ending_report({.id = "sandbox", .reason = EndReason::exited, .exit_code = 7, .wall_ms = 12}, "p",
                                    "", {{Wall::landlock, "Operation not permitted"}});
  EXPECT_EQ(report.at("missing_walls").size(), 1u);
  EXPECT_EQ(report.at("missing_walls").at("landlock").at("answer"), "Operation not permitted");
  EXPECT_EQ(report.at("missing_walls").at("landlock").at("instead"), "the mounts alone");
  EXPECT_EQ(report.at("reason"), "exited");
  EXPECT_EQ(report.at("exit_code"), 7);
  EXPECT_EQ(report.at("exit_status"), 7);
  EXPECT_EQ(report.at("wall_ms"), 12);
  EXPECT_EQ(report.at("policy"), "p");
}

// A figure that nobody took is absent: 0 would be one.
TEST(SandboxEnding, WithoutACgroupThereAreNoFigures) {
  ExitRecord record{.id = "sandbox", .reason = EndReason::exited, .exit_code = 0, .metered = false};
  const auto report = ending_report(record, "p", "", {});
  for (const char* figure : {"cpu_ms", "peak_memory", "oom_kills", "pids_refusals"})
    EXPECT_FALSE(report.contains(figure)) << figure;
  EXPECT_EQ(nlohmann::json(record).get<ExitRecord>(), record);
  record.metered = true;
  EXPECT_TRUE(ending_report(record, "p", "", {}).contains("cpu_ms"));
}

TEST(ApplyRules, FilesThatToolsExecute) {
  for (const char* path : {".mcp.json", ".envrc", "sub/.envrc", ".github/workflows/ci.yml", "a/b/.vscode/tasks.json",
                           ".claude/settings.json", ".gitattributes", "x/.gitmodules", ".husky/pre-commit",
                           ".VSCode/tasks.json", ".GITATTRIBUTES"})
    EXPECT_TRUE(runs_on_the_host(path)) << path;
  for (const char* path : {"main.c", "vscode/x", ".vscode", "docs/.mcp.json.md", "github/x", "", "envrc", "a.envrc"})
    EXPECT_FALSE(runs_on_the_host(path)) << path;
}

TEST(TerminalLine, EscapesAndColours) {
  EXPECT_EQ(terminal_line("+\tx\x1b[2J", Colour::no), "+\tx\\x1b[2J");
  EXPECT_EQ(terminal_line("+x", Colour::yes), "\x1b[32m+x\x1b[m");
  EXPECT_EQ(terminal_line("-x\x1b[m", Colour::yes), "\x1b[31m-x\\x1b[m\x1b[m");
  EXPECT_EQ(terminal_line(" x", Colour::yes), " x");
  EXPECT_EQ(terminal_line("", Colour::yes), "");
  EXPECT_EQ(terminal_line("a\rb", Colour::no).find('\r'), std::string::npos);
}

}  // namespace
}  // namespace bulkhead
