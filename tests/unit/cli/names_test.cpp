#include "supervisor/cli/names.h"

#include <gtest/gtest.h>

#include "supervisor/core/api/messages.h"

namespace bulkhead {
namespace {

const std::vector<std::string> kRuns{"20261119-080000-0001", "20261120-093027-ab12", "fix-bugs",
                                     "20261120-101500-00ff"};

std::string run(std::string_view word) {
  const auto got = resolve_run(word, kRuns);
  return got ? *got : got.error().text() + " | " + got.error().hint;
}

Result<std::vector<std::string>> agents_of(const std::string& run) {
  if (run == "fix-bugs") return std::vector<std::string>{"issue-41", "issue-57"};
  return std::vector<std::string>{"agent"};
}

std::string agent(std::string_view word) {
  const auto got = resolve_agent(word, kRuns, agents_of);
  return got ? got->run + " " + got->agent : got.error().text() + " | " + got.error().hint;
}

TEST(Names, ARunByNamePrefixOrLatest) {
  EXPECT_EQ(run("latest"), "20261120-101500-00ff");
  EXPECT_EQ(run("fix-bugs"), "fix-bugs");
  EXPECT_EQ(run("fix"), "fix-bugs");
  EXPECT_EQ(run("20261119"), "20261119-080000-0001");
  EXPECT_EQ(run("20261120"),
            "find run '20261120': 2 runs begin so, the last ones '20261120-093027-ab12' or '20261120-101500-00ff' | "
            "type more "
            "of the name, or `latest`");
  EXPECT_EQ(run("fxi-bugs"),
            "find run 'fxi-bugs': there is no such run | did you mean 'fix-bugs'? All runs: sudo bulkhead ps");
  EXPECT_EQ(run(""), "find run '': there is no such run | list them: sudo bulkhead ps");
  EXPECT_EQ(run("\x1b[2J"), "find run '\\x1b[2J': there is no such run | list them: sudo bulkhead ps");
}

TEST(Names, NoRunAtAll) {
  const auto got = resolve_run("latest", {});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().text(), "find run 'latest': the journal of this state directory knows no run");
}

TEST(Names, AnExactNameWinsOverLongerOnes) {
  const auto got = resolve_run("a", {"a", "ab"});
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, "a");
}

TEST(Names, AnAgentWithOrWithoutItsRun) {
  EXPECT_EQ(agent("agent"), "20261120-101500-00ff agent");
  EXPECT_EQ(agent("fix-bugs/issue-41"), "fix-bugs issue-41");
  EXPECT_EQ(agent("fix/issue-57"), "fix-bugs issue-57");
  EXPECT_EQ(agent("latest/agent"), "20261120-101500-00ff agent");
  EXPECT_EQ(agent("fix/issue-42"),
            "find agent 'issue-42' in run fix-bugs: there is no such agent | did you mean 'fix-bugs/issue-41'?");
  EXPECT_EQ(agent("fix-bugs"),
            "find agent 'fix-bugs' in run 20261120-101500-00ff: that is a run, and an agent is needed | type "
            "'fix-bugs/AGENT'");
  EXPECT_EQ(agent("fix/"), "find agent '' in run fix-bugs: there is no such agent | it has 'issue-41' or 'issue-57'");
  EXPECT_EQ(agent("nope/agent").substr(0, 15), "find run 'nope'");
}

TEST(Names, OfNewRunsSortByTime) {
  EXPECT_EQ(run_name(1795166427, 0xab12), "20261120-092027-ab12");
  EXPECT_LT(run_name(1795166427, 0xffff), run_name(1795166428, 0));
  EXPECT_TRUE(check_run_name(run_name(1795166427, 0)));
}

}  // namespace
}  // namespace bulkhead
