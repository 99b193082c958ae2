#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Inspect : public WorkerTest {
 protected:
  Result<InspectFacts> inspect(const std::string& repository, const std::string& base = "HEAD",
                               const std::string& target = "") const {
    return work(
        InspectRequest{.repository = path(repository), .base = base, .target = target, .config_home = path(".")});
  }
  void make(const std::string& name, const std::string& options = "") const {
    sh(".", "git init -q -b main " + options + " " + name + "; cd " + name +
                "; mkdir sub; echo 1 > sub/f; git add -A; git commit -qm one; echo 2 >> sub/f; git commit -qam two");
  }
};

TEST_F(Inspect, SaysWhereEverythingIs) {
  make("r");
  sh("r", "git branch other");
  const auto facts = inspect("r/sub", "HEAD~1", "other");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->git_dir, path("r/.git"));
  EXPECT_EQ(facts->common_dir, path("r/.git"));
  EXPECT_EQ(facts->top_level, path("r"));
  EXPECT_EQ(facts->object_format, "sha1");
  EXPECT_EQ(facts->head, sh("r", "git rev-parse HEAD"));
  EXPECT_EQ(facts->base, sh("r", "git rev-parse HEAD~1"));
  EXPECT_EQ(facts->head_branch, "main");
  EXPECT_FALSE(facts->bare || facts->shallow || facts->dirty);
  EXPECT_EQ(facts->target_ref, "refs/heads/other");
  EXPECT_EQ(facts->target, facts->head);
  EXPECT_EQ(facts->target_checked_out, "");
  EXPECT_THAT(facts->worktrees, ElementsAre(WorktreeFact{.path = path("r"), .branch = "main"}));
  EXPECT_EQ(facts->committer_name, "Bulkhead");
  EXPECT_EQ(facts->committer_email, "bulkhead@localhost");
}

TEST_F(Inspect, TheUsersIdentityIsTheUsers) {
  make("r");
  write(".gitconfig",
        "[user]\n\tname = Ann <x>\n\temail = ann@test\n[core]\n\tfsmonitor = touch " + path("ran") + "\n");
  auto facts = inspect("r");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->committer_name, "Ann x");
  EXPECT_EQ(facts->committer_email, "ann@test");
  sh("r", "git config user.email work@test");
  EXPECT_EQ(inspect("r")->committer_email, "work@test");
  EXPECT_FALSE(exists("ran"));
}

TEST_F(Inspect, NotARepository) {
  sh(".", "mkdir plain");
  EXPECT_EQ(error_of(inspect("plain")), "open repository " + path("plain") +
                                            ": not a git repository (nor is any directory above it)"
                                            " [stand in a git repository, or make this one: git init]");
  EXPECT_EQ(error_of(inspect("nowhere")), "open " + path("nowhere") + ": No such file or directory");
}

TEST_F(Inspect, AGitDirectoryHasNoCheckoutToLookAt) {
  make("r");
  sh("r", "echo x >> sub/f");
  const auto facts = inspect("r/.git", "main", "main");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->common_dir, path("r/.git"));
  EXPECT_EQ(facts->top_level, "");
  EXPECT_FALSE(facts->bare || facts->dirty);
  EXPECT_EQ(facts->target_checked_out, path("r"));
}

TEST_F(Inspect, Empty) {
  sh(".", "git init -q -b main r");
  EXPECT_EQ(error_of(inspect("r")), "open repository " + path("r") +
                                        ": it has no commit yet, so there is nothing to start from"
                                        " [make one: git commit --allow-empty -m 'Start']");
}

TEST_F(Inspect, ABranchWithoutACommitIsNotAnEmptyRepository) {
  make("r");
  sh("r", "git checkout -q --orphan fresh");
  EXPECT_EQ(
      error_of(inspect("r")),
      "read base HEAD: the branch 'fresh' has no commit yet [name a base that has: base: <branch, tag or commit>]");
  const auto facts = inspect("r", "main");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->head, "");
  EXPECT_EQ(facts->head_branch, "fresh");
}

TEST_F(Inspect, UnknownRevisions) {
  make("r");
  EXPECT_EQ(error_of(inspect("r", "HEAD~9")), "read base HEAD~9: the repository has no such branch, tag or commit");
  EXPECT_EQ(error_of(inspect("r", "--all")), "read base --all: the repository has no such branch, tag or commit");
  EXPECT_EQ(error_of(inspect("r", "main:sub")), "read base main:sub: it is a tree, not a commit");
  EXPECT_EQ(error_of(inspect("r", std::string(40, '1'))),
            "read base " + std::string(40, '1') + ": the repository has no such branch, tag or commit");
}

TEST_F(Inspect, AnAnnotatedTagIsItsCommit) {
  make("r");
  sh("r", "git tag -a -m t v1");
  EXPECT_EQ(inspect("r", "v1")->base, sh("r", "git rev-parse HEAD"));
}

TEST_F(Inspect, DetachedAndDirty) {
  make("r");
  sh("r", "git checkout -q --detach; echo x >> sub/f; echo y > untracked");
  const auto facts = inspect("r", "HEAD", "new/branch");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->head_branch, "");
  EXPECT_TRUE(facts->dirty);
  EXPECT_EQ(facts->dirty_files, 1U);
  EXPECT_EQ(facts->target, "");
  EXPECT_EQ(facts->target_ref, "refs/heads/new/branch");
}

TEST_F(Inspect, LeavesTheIndexAloneAndRunsNothing) {
  make("r");
  sh("r", "git config filter.x.clean 'touch " + path("ran") + "'; git config core.fsmonitor 'touch " + path("ran") +
              "'; git config filter.x.required true; echo 'sub/f filter=x' > .git/info/attributes");
  sh("r", "touch -d 2001-01-01 sub/f");
  const std::string before = sh("r", "sha1sum .git/index; stat -c %y .git/index");
  const auto facts = inspect("r");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_FALSE(facts->dirty);
  EXPECT_EQ(sh("r", "sha1sum .git/index; stat -c %y .git/index"), before);
  EXPECT_FALSE(exists("ran"));
}

TEST_F(Inspect, BareWorks) {
  make("r");
  sh(".", "git clone -q --bare r b.git");
  const auto facts = inspect("b.git", "main", "main");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_TRUE(facts->bare);
  EXPECT_EQ(facts->top_level, "");
  EXPECT_EQ(facts->common_dir, path("b.git"));
  EXPECT_EQ(facts->target_checked_out, "");
}

TEST_F(Inspect, ShallowWorks) {
  make("r");
  sh(".", "git clone -q --depth 1 file://$PWD/r s");
  const auto facts = inspect("s");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_TRUE(facts->shallow);
}

TEST_F(Inspect, Sha256Works) {
  make("r", "--object-format=sha256");
  const auto facts = inspect("r");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->object_format, "sha256");
  EXPECT_EQ(facts->base.size(), 64U);
}

TEST_F(Inspect, APartialCloneIsRefusedOnlyWhileObjectsAreMissing) {
  make("r");
  sh("r", "git config uploadpack.allowFilter true");
  sh(".", "git clone -q --filter=blob:none --no-checkout file://$PWD/r p");
  EXPECT_EQ(error_of(inspect("p")), "open repository " + path("p") +
                                        ": a partial clone: 2 objects of the base are not here"
                                        " [fetch them: git fetch --refetch --no-filter]");
  sh("p", "git fetch -q --refetch --no-filter");
  EXPECT_EQ(error_of(inspect("p")), "no error");
}

TEST_F(Inspect, SubmodulesAreCounted) {
  make("r");
  make("lib");
  sh("r", "git -c protocol.file.allow=always submodule --quiet add $PWD/../lib vendor/lib; git commit -qm sub");
  EXPECT_EQ(inspect("r")->submodules, 1U);
}

TEST_F(Inspect, BorrowedObjectsAreNamed) {
  make("r");
  sh(".", "git clone -q --shared r s1; git clone -q --shared s1 s2");
  EXPECT_THAT(inspect("s2")->object_directories, ElementsAre(path("s1/.git/objects"), path("r/.git/objects")));
  sh(".", "mv r gone");
  EXPECT_EQ(error_of(inspect("s1")), "open borrowed objects " + path("r/.git/objects") + ": No such file or directory");
}

TEST_F(Inspect, LinkedWorktreesAndWhoHoldsTheTarget) {
  make("r");
  sh("r", "git worktree add -q -b held ../w; git worktree lock ../w");
  auto facts = inspect("w", "HEAD", "main");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->common_dir, path("r/.git"));
  EXPECT_EQ(facts->git_dir, path("r/.git/worktrees/w"));
  EXPECT_EQ(facts->worktrees_total, 2U);
  EXPECT_EQ(facts->target_checked_out, path("r"));
  EXPECT_FALSE(facts->target_dirty);
  EXPECT_EQ(inspect("r", "HEAD", "held")->target_checked_out, path("w"));
  sh("r", "echo x >> sub/f");
  EXPECT_TRUE(inspect("r", "HEAD", "main")->target_dirty);
}

TEST_F(Inspect, ABranchThatIsRebasedOrBisectedIsHeld) {
  make("r");
  sh("r", "git branch other HEAD~1; echo x > n; git add n; git commit -qm three");
  sh("r", "GIT_SEQUENCE_EDITOR='sed -i s/^pick/edit/' git rebase -q -i HEAD~1 2>/dev/null");
  EXPECT_EQ(inspect("r", "HEAD", "main")->target_checked_out, path("r"));
  sh("r", "git rebase --abort; git bisect start -q HEAD HEAD~2 >/dev/null");
  EXPECT_EQ(inspect("r", "HEAD", "main")->target_checked_out, path("r"));
}

TEST_F(Inspect, TargetsThatCannotBe) {
  make("r");
  sh("r", "git branch a; git branch b/c; git symbolic-ref refs/heads/alias refs/heads/a");
  EXPECT_EQ(error_of(inspect("r", "HEAD", "a b")), "merge into a b: not a name that git accepts for a branch");
  EXPECT_EQ(error_of(inspect("r", "HEAD", "-x")), "merge into -x: not a name that git accepts for a branch");
  EXPECT_EQ(error_of(inspect("r", "HEAD", "a/x")),
            "merge into a/x: git cannot have it beside the branch 'a' [choose another name for the target]");
  EXPECT_EQ(error_of(inspect("r", "HEAD", "b")),
            "merge into b: git cannot have it beside the branch 'b/c' [choose another name for the target]");
  EXPECT_EQ(error_of(inspect("r", "HEAD", "alias")),
            "merge into alias: it is another name for refs/heads/a [name that one]");
  sh("r", "git branch bulkhead");
  EXPECT_EQ(error_of(inspect("r")),
            "use branch bulkhead: agents' branches are named bulkhead/<run>/<agent>, and git cannot have both"
            " [rename it: git branch -m bulkhead NEW-NAME]");
}

TEST_F(Inspect, PathsThatCannotBeShownAreRefused) {
  make("'od\x1b[31md'");
  EXPECT_THAT(error_of(inspect("od\x1b[31md")), HasSubstr("its path holds characters that cannot be shown"));
}

}  // namespace
}  // namespace bulkhead
