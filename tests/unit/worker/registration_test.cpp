#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {
namespace {

using testing::HasSubstr;

class Registration : public AgentTest {
 protected:
  Result<RegisterFacts> enter(const std::string& agent = "a", const std::string& run = "r1") const {
    return work(
        RegisterRequest{.git_dir = path("r/.git"), .run = run, .agent = agent, .base = base, .stub = "/nowhere/stub"});
  }
  UnregisterRequest leaving() const {
    return {.git_dir = path("r/.git"), .run = "r1", .agent = "a", .stub = "/nowhere/stub"};
  }
};

TEST_F(Registration, HoldsTheBranchAgainstCheckoutPruneAndGc) {
  const auto facts = enter();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_TRUE(facts->created);
  EXPECT_EQ(facts->branch, base);
  EXPECT_EQ(facts->pin, base);
  sh("r", "git worktree prune --expire=now; git gc -q --prune=now");
  EXPECT_EQ(status_of("r", "git checkout -q " + branch), 128);
  EXPECT_EQ(status_of("r", "git branch -D " + branch), 1);
  EXPECT_THAT(sh("r", "git worktree list"), HasSubstr("locked"));
  EXPECT_EQ(sh("r", "git fsck 2>&1"), "");
  EXPECT_EQ(sh("r", "git rev-parse " + branch + " 2>&1"), base) << "the name must not be ambiguous";
  EXPECT_EQ(sh("r", "git status --porcelain"), "");
}

TEST_F(Registration, IsIdempotentByName) {
  ASSERT_TRUE(enter());
  const auto again = enter();
  ASSERT_TRUE(again) << error_of(again);
  EXPECT_FALSE(again->created);
  EXPECT_EQ(again->branch, base);
}

TEST_F(Registration, GoesOnWhereItWasKilled) {
  ASSERT_TRUE(enter());
  for (const char* file : {"HEAD", "gitdir", "commondir"}) {
    sh("r", "rm .git/worktrees/bulkhead-r1-a/" + std::string(file));
    const auto again = enter();
    ASSERT_TRUE(again) << file << error_of(again);
    EXPECT_TRUE(again->created);
    EXPECT_THAT(sh("r", "git worktree list"), HasSubstr("/nowhere/stub")) << file;
  }
  sh("r", "rm .git/worktrees/bulkhead-r1-a/*");
  EXPECT_TRUE(enter());
}

TEST_F(Registration, KeepsWhatIsSomebodyElses) {
  sh("r", "git branch " + branch);
  EXPECT_EQ(error_of(enter()),
            "make branch bulkhead/r1/a: it is there already"
            " [rename or delete it: git branch -m bulkhead/r1/a NEW-NAME]");
  EXPECT_FALSE(exists("r/.git/worktrees"));

  sh("r", "mkdir -p .git/worktrees/bulkhead-r2-b; echo x > .git/worktrees/bulkhead-r2-b/gitdir");
  EXPECT_EQ(error_of(enter("b", "r2")), "use worktree entry " + path("r/.git/worktrees/bulkhead-r2-b") +
                                            ": it is there and not Bulkhead's [remove it: git worktree prune]");
  // Two agents whose entries would have one name.
  ASSERT_TRUE(enter("y", "r1-x"));
  EXPECT_EQ(error_of(enter("x-y", "r1")),
            "use worktree entry " + path("r/.git/worktrees/bulkhead-r1-x-y") + ": it belongs to another agent");
}

TEST_F(Registration, ABranchInTheWayLeavesNothing) {
  sh("r", "git branch bulkhead");
  EXPECT_THAT(error_of(enter()), HasSubstr("move branch refs/heads/bulkhead/r1/a: "));
  EXPECT_FALSE(exists("r/.git/worktrees/bulkhead-r1-a"));
  EXPECT_EQ(sh("r", "git for-each-ref refs/bulkhead"), "");
}

TEST_F(Registration, PackedRefsCountToo) {
  sh("r", "git branch " + branch + "; git pack-refs --all");
  EXPECT_THAT(error_of(enter()), HasSubstr("make branch bulkhead/r1/a: it is there already"));
  EXPECT_FALSE(exists("r/.git/worktrees"));
  EXPECT_EQ(sh("r", "git for-each-ref refs/bulkhead"), "");

  ASSERT_TRUE(enter("b"));
  sh("r", "git pack-refs --all");
  const auto again = enter("b");
  ASSERT_TRUE(again) << error_of(again);
  EXPECT_FALSE(again->created);
  auto request = leaving();
  request.agent = "b";
  request.branch = request.pin = RefFate::remove;
  ASSERT_TRUE(work(request));
  EXPECT_EQ(sh("r", "git for-each-ref --format='%(refname)'"), "refs/heads/" + branch + "\nrefs/heads/main");
}

TEST_F(Registration, OneRefOfTheTwoIsCompleted) {
  ASSERT_TRUE(enter());
  const ObjectId before = sh("r", "git rev-parse " + branch + "~1");
  // As a killed import could not leave it, but a person could: the pin elsewhere, the branch and the entry gone.
  sh("r", "git update-ref refs/bulkhead/r1/a/tip " + before + "; rm -r .git/worktrees; git update-ref -d refs/heads/" +
              branch);
  const auto facts = enter();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (RegisterFacts{.branch = before, .pin = before, .created = true}));
  EXPECT_THAT(sh("r", "git worktree list"), HasSubstr("[" + branch + "] locked"));
}

// What it takes does not depend on how large the repository is: of the objects only the commit is looked at.
TEST_F(Registration, ReadsNeitherIndexNorTrees) {
  sh("r",
     "keep=$(git rev-parse HEAD);"
     "find .git/objects -type f ! -path \"*/${keep:0:2}/${keep:2}\" -delete; echo garbage > .git/index");
  EXPECT_NE(status_of("r", "git status"), 0);
  const auto facts = enter();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->branch, base);
  auto request = leaving();
  request.branch = request.pin = RefFate::remove;
  const auto left = work(request);
  ASSERT_TRUE(left) << error_of(left);
  EXPECT_TRUE(left->branch_removed);
}

TEST_F(Registration, ABaseThatIsNotThereLeavesNothing) {
  const auto facts = work(RegisterRequest{
      .git_dir = path("r/.git"), .run = "r1", .agent = "a", .base = std::string(40, '7'), .stub = "/nowhere/stub"});
  EXPECT_THAT(error_of(facts), HasSubstr("move branch refs/heads/bulkhead/r1/a: "));
  EXPECT_FALSE(exists("r/.git/worktrees"));
  EXPECT_EQ(sh("r", "git for-each-ref --format='%(refname)'"), "refs/heads/main");
}

TEST_F(Registration, Sha256) {
  sh(".", "git init -q -b main --object-format=sha256 r256; cd r256; echo 1 > f; git add f; git commit -qm 1");
  const ObjectId tip = sh("r256", "git rev-parse HEAD");
  const auto facts = work(
      RegisterRequest{.git_dir = path("r256/.git"), .run = "r1", .agent = "a", .base = tip, .stub = "/nowhere/stub"});
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(sh("r256", "git rev-parse " + branch + " refs/bulkhead/r1/a/tip"), tip + "\n" + tip);
}

TEST_F(Registration, RunsNoHook) {
  write("r/.git/hooks/reference-transaction", "#!/bin/sh\ntouch " + path("ran") + "\n");
  sh("r", "chmod +x .git/hooks/reference-transaction; git branch probe");
  ASSERT_TRUE(exists("ran")) << "the hook would run";
  sh(".", "rm ran");
  ASSERT_TRUE(enter());
  ASSERT_TRUE(work(leaving()));
  EXPECT_FALSE(exists("ran"));
}

TEST_F(Registration, LeavingKeepsTheBranchUnlessAsked) {
  ASSERT_TRUE(enter());
  const auto facts = work(leaving());
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (UnregisterFacts{.entry_removed = true, .branch = base}));
  EXPECT_FALSE(exists("r/.git/worktrees"));
  EXPECT_EQ(sh("r", "git for-each-ref --format='%(refname)' '*bulkhead*' refs/bulkhead refs/heads/bulkhead"),
            "refs/bulkhead/r1/a/tip\nrefs/heads/bulkhead/r1/a");
  sh("r", "git checkout -q " + branch);

  const auto again = work(leaving());
  ASSERT_TRUE(again) << error_of(again);
  EXPECT_EQ(*again, (UnregisterFacts{.branch = base}));
}

TEST_F(Registration, LeavingCanTakeEverythingAway) {
  ASSERT_TRUE(enter());
  auto request = leaving();
  request.branch = RefFate::remove;
  request.pin = RefFate::remove;
  const auto facts = work(request);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts,
            (UnregisterFacts{.entry_removed = true, .branch_removed = true, .pin_removed = true, .branch = base}));
  EXPECT_EQ(sh("r", "git for-each-ref --format='%(refname)'"), "refs/heads/main");
  EXPECT_EQ(*work(request), UnregisterFacts{});
}

TEST_F(Registration, ABranchThatMovedIsKept) {
  ASSERT_TRUE(enter());
  sh("r", "git update-ref refs/heads/" + branch + " HEAD~1");
  auto request = leaving();
  request.branch = RefFate::remove;
  request.only_if = base;
  const auto facts = work(request);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_FALSE(facts->branch_removed);
  EXPECT_EQ(facts->branch, sh("r", "git rev-parse HEAD~1"));
}

TEST_F(Registration, ABranchThatWasThereFirstIsKept) {
  sh("r", "git branch " + branch);
  EXPECT_THAT(error_of(enter()), HasSubstr("it is there already"));
  auto request = leaving();
  request.branch = request.pin = RefFate::remove;
  request.only_if = base;
  const auto facts = work(request);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (UnregisterFacts{.branch = base}));
  EXPECT_EQ(sh("r", "git rev-parse " + branch), base);
}

TEST_F(Registration, AnEntryThatIsNotOursStays) {
  sh("r", "git worktree add -q -b bulkhead/r1/a ../bulkhead-r1-a");
  EXPECT_THAT(error_of(work(leaving())), HasSubstr("it is there and not Bulkhead's"));
  EXPECT_TRUE(exists("r/.git/worktrees/bulkhead-r1-a/gitdir"));
}

TEST_F(Registration, AnotherSupervisorsRunOfTheSameNameIsLeftAlone) {
  ASSERT_TRUE(enter());
  const std::string before = sh("r", "git worktree list; git for-each-ref; cat .git/worktrees/*/*");
  EXPECT_EQ(error_of(work(RegisterRequest{
                .git_dir = path("r/.git"), .run = "r1", .agent = "a", .base = base, .stub = "/else/where"})),
            "make branch bulkhead/r1/a: another supervisor has a run of that name in this repository"
            " [choose another name with --name]");
  auto request = leaving();
  request.stub = "/else/where";
  request.branch = RefFate::remove;
  request.pin = RefFate::remove;
  EXPECT_EQ(*work(request), UnregisterFacts{});
  EXPECT_EQ(sh("r", "git worktree list; git for-each-ref; cat .git/worktrees/*/*"), before);
}

TEST_F(Registration, ABranchWithoutAPinIsNotOursToRemove) {
  sh("r", "git branch " + branch);
  auto request = leaving();
  request.branch = RefFate::remove;
  request.pin = RefFate::remove;
  request.only_if = base;
  EXPECT_EQ(*work(request), UnregisterFacts{.branch = base});
  EXPECT_EQ(sh("r", "git rev-parse " + branch), base);
}

TEST_F(Registration, WorksInABareRepositoryAndBesideOtherWorktrees) {
  sh(".", "git clone -q --bare r b.git; cd b.git; git worktree add -q ../w main");
  const RegisterRequest request{
      .git_dir = path("b.git"), .run = "r1", .agent = "a", .base = base, .stub = "/nowhere/stub"};
  ASSERT_TRUE(work(request));
  EXPECT_THAT(sh("b.git", "git worktree list"), HasSubstr("/nowhere/stub"));
  const auto left =
      work(UnregisterRequest{.git_dir = path("b.git"), .run = "r1", .agent = "a", .stub = "/nowhere/stub"});
  ASSERT_TRUE(left) << error_of(left);
  EXPECT_TRUE(exists("b.git/worktrees/w"));
}

}  // namespace
}  // namespace bulkhead
