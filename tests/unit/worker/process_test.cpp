#include "supervisor/worker/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "supervisor/worker/escape.h"
#include "supervisor/worker/git.h"
#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Process, HasExactlyTheEnvironmentAndNoOtherDescriptor) {
  const auto finished = run_process({.argv = {"sh", "-c", "env | grep -v ^PWD= | grep -v ^_= | sort; ls /proc/$$/fd"},
                                     .environment = {"A=1", "PATH=/usr/bin:/bin"},
                                     .directory = "/"});
  ASSERT_TRUE(finished) << error_of(finished);
  EXPECT_EQ(finished->output, "A=1\nPATH=/usr/bin:/bin\n0\n1\n2\n");
}

TEST(Process, FeedsAndDrainsAtOnce) {
  const std::string input(3 << 20, 'x');
  const auto finished = run_process({.argv = {"cat"}, .environment = {}, .input = input, .output_limit = 4 << 20});
  ASSERT_TRUE(finished) << error_of(finished);
  EXPECT_EQ(finished->output, input);
}

TEST(Process, AProgramThatStopsReadingSaysWhyItself) {
  ::signal(SIGPIPE, SIG_IGN);
  const std::string input(3 << 20, 'x');
  const auto finished = run_process({.argv = {"sh", "-c", "echo no >&2; exit 3"}, .environment = {}, .input = input});
  ASSERT_TRUE(finished) << error_of(finished);
  EXPECT_EQ(finished->status, 3);
  EXPECT_EQ(finished->errors, "no\n");
}

TEST(Process, OutputIsBoundedAndTheProgramEnded) {
  const auto finished = run_process({.argv = {"yes"}, .environment = {}, .output_limit = 1000});
  EXPECT_EQ(error_of(finished), "read output of yes: more than 1000 bytes");
  const auto stopped = run_process({.argv = {"yes"}, .environment = {}, .sink = [](std::string_view) -> Result<> {
                                      return fail("stop", "", "enough");
                                    }});
  EXPECT_EQ(error_of(stopped), "stop: enough");
}

TEST(Process, OnlyTheEndOfItsErrorsIsKept) {
  const auto finished = run_process(
      {.argv = {"sh", "-c", "yes | head -c 1000000 >&2; echo end >&2"}, .environment = {"PATH=/usr/bin:/bin"}});
  ASSERT_TRUE(finished) << error_of(finished);
  EXPECT_EQ(finished->errors.size(), 8192U);
  EXPECT_TRUE(finished->errors.ends_with("y\nend\n"));
}

TEST(Process, SignalsAndMissingProgramsAreTold) {
  const auto killed = run_process({.argv = {"sh", "-c", "kill -9 $$"}, .environment = {}});
  ASSERT_TRUE(killed) << error_of(killed);
  EXPECT_EQ(killed->signal, 9);
  EXPECT_EQ(killed->status, 137);
  EXPECT_EQ(git_said(*killed), "git was ended by signal 9");
  EXPECT_EQ(error_of(run_process({.argv = {"no-such-program"}})),
            "run no-such-program: not found in /usr/local/bin, /usr/bin or /bin [install no-such-program]");
  EXPECT_EQ(error_of(run_process({.argv = {"/no/such"}})), "run /no/such: No such file or directory");
}

TEST(Git, WhatItSaidIsOneSafeLine) {
  EXPECT_EQ(git_said({.status = 128, .errors = "hint: x\nfatal: one\nerror: two\n\n"}), "one; two");
  EXPECT_EQ(git_said({.status = 1, .errors = ""}), "git exited with status 1");
  EXPECT_EQ(git_said({.status = 1, .errors = "fatal: \x1b[31mred\n"}), "\\x1b[31mred");
}

TEST(Git, RecordsAreWholeHoweverTheyArrive) {
  std::vector<std::string> seen;
  const auto take = [&](std::string_view record) -> Result<> {
    seen.emplace_back(record);
    return {};
  };
  const std::string text("one\0\0three\0rest", 15);
  for (std::size_t step : {1UL, 2UL, 3UL, 15UL}) {
    seen.clear();
    Records records(take);
    for (std::size_t at = 0; at < text.size(); at += step) {
      ASSERT_TRUE(records.add(std::string_view(text).substr(at, step)));
    }
    EXPECT_THAT(seen, ElementsAre("one", "", "three"));
  }
  Records records(take, '\0', 10);
  EXPECT_EQ(error_of(records.add("more than ten bytes")), "read output of git: a record without end");
}

TEST(Escaped, IsInjectiveAndSafe) {
  EXPECT_EQ(escaped("plain/päth"), "plain/päth");
  EXPECT_EQ(escaped("a\nb"), "a\\x0ab");
  EXPECT_EQ(escaped("a\\x0ab"), "a\\\\x0ab");
  EXPECT_EQ(escaped("\xff"), "\\xff");
  EXPECT_EQ(escaped("\u202e"), "\\u{202e}");
}

// The binary itself.
TEST(Worker, RefusesWhatItDoesNotKnow) {
  const auto run = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), BULKHEAD_WORKER);
    const auto finished = run_process({.argv = std::move(arguments), .environment = {}});
    EXPECT_TRUE(finished);
    return std::pair(finished->status, finished->output + finished->errors);
  };
  EXPECT_EQ(run({}), std::pair(2, std::string("usage: bulkhead-worker SUBCOMMAND --option VALUE…\n")));
  const auto unknown = run({"burn"});
  EXPECT_EQ(unknown.first, 1);
  EXPECT_EQ(error_of(parse_worker_facts<HeadFacts>(unknown.second)), "run bulkhead-worker burn: no such subcommand");
  EXPECT_THAT(run({"head", "--facts-fd", "x"}).second, HasSubstr("expected a descriptor's number"));
  EXPECT_THAT(run({"remove-tree", "--directory", "/nowhere/x", "--facts-fd", "77"}).second,
              HasSubstr("bulkhead-worker: write answer: Bad file descriptor"));
}

}  // namespace
}  // namespace bulkhead
