#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Merge : public WorkerTest {
 protected:
  Merge() {
    sh(".",
       "git init -q -b main r; cd r; seq 9 > a; seq 9 > b; mkdir d; seq 20 > d/moves; git add -A; git commit -qm base;"
       "git branch target");
    base = at("main");
  }
  ObjectId at(const std::string& revision) const { return sh("r", "git rev-parse " + revision); }
  ObjectId branch(const std::string& name, const std::string& script) const {
    return sh("r", "git checkout -q -b " + name + " " + base + "; " + script + "; git add -A; git commit -qm " + name +
                       "; git rev-parse HEAD; git checkout -q main");
  }
  Result<MergeFacts> prepare(const ObjectId& ours, const ObjectId& tip) const {
    return work(MergePrepareRequest{.git_dir = path("r/.git"),
                                    .ours = ours,
                                    .tip = tip,
                                    .message = "Merge it\n\nbecause",
                                    .name = "Ann",
                                    .email = "ann@test",
                                    .time = 1700000000});
  }
  MergeCommitRequest commit_request(const ObjectId& old, const ObjectId& commit,
                                    const std::string& target = "target") const {
    return {.git_dir = path("r/.git"),
            .target = "refs/heads/" + target,
            .expect_old = old,
            .commit = commit,
            .reason = "bulkhead: merge",
            .name = "Ann",
            .email = "ann@test"};
  }
  ObjectId base;
};

TEST_F(Merge, FastForwardAndAlreadyMerged) {
  const ObjectId tip = branch("one", "sed -i 1d a");
  auto facts = prepare(base, tip);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (MergeFacts{.outcome = MergeOutcome::fast_forward, .commit = tip, .tree = at("one^{tree}")}));
  facts = prepare(tip, base);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (MergeFacts{.outcome = MergeOutcome::already_merged, .commit = tip, .tree = at("one^{tree}")}));
}

TEST_F(Merge, CleanMergesAreCommitsThatNothingPointsTo) {
  const ObjectId one = branch("one", "sed -i 1d a");
  const ObjectId two = branch("two", "sed -i 9d a");
  const std::string refs = sh("r", "git for-each-ref");
  const auto facts = prepare(one, two);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->outcome, MergeOutcome::merged);
  EXPECT_EQ(sh("r", "git rev-parse " + facts->commit + "^1 " + facts->commit + "^2 " + facts->commit + "^{tree}"),
            one + "\n" + two + "\n" + facts->tree);
  EXPECT_EQ(sh("r", "git log -1 --format='%an <%ae> %cn %ct%n%B' " + facts->commit),
            "Ann <ann@test> Ann 1700000000\nMerge it\n\nbecause");
  EXPECT_EQ(sh("r", "git show " + facts->commit + ":a"), "2\n3\n4\n5\n6\n7\n8");
  EXPECT_EQ(sh("r", "git for-each-ref; git status --porcelain"), refs);
  EXPECT_EQ(prepare(one, two)->commit, facts->commit) << "the same merge has the same id";
}

TEST_F(Merge, RenamesAreFollowed) {
  const ObjectId one = branch("one", "git mv d/moves moved");
  const ObjectId two = branch("two", "echo end >> d/moves");
  const auto facts = prepare(one, two);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->outcome, MergeOutcome::merged);
  EXPECT_EQ(sh("r", "git show " + facts->commit + ":moved | tail -1"), "end");
}

TEST_F(Merge, ConflictsAreNamed) {
  const ObjectId one = branch("one", "sed -i s/5/five/ a; git rm -q b; echo 1 > $'odd\\nname'");
  const ObjectId two = branch("two", "sed -i s/5/V/ a; echo x >> b; echo 2 > $'odd\\nname'");
  const auto facts = prepare(one, two);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->outcome, MergeOutcome::conflict);
  EXPECT_EQ(facts->commit, "");
  EXPECT_EQ(facts->conflicts_total, 3U);
  EXPECT_THAT(facts->conflicts, ElementsAre("a", "b", "odd\\x0aname"));
  EXPECT_THAT(facts->messages, ElementsAre("CONFLICT (content): Merge conflict in a",
                                           HasSubstr("CONFLICT (modify/delete): b deleted in "),
                                           "CONFLICT (add/add): Merge conflict in odd\\x0aname"));
}

TEST_F(Merge, ManyConflictsAreBounded) {
  const std::string names = "for i in $(seq 600); do echo X > $(printf 'n%.0s' $(seq 150))$i; done";
  const ObjectId one = branch("one", "x=1; " + std::string(names).replace(names.find('X'), 1, "1"));
  const ObjectId two = branch("two", "x=2; " + std::string(names).replace(names.find('X'), 1, "2"));
  const auto facts = prepare(one, two);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->conflicts_total, 600U);
  EXPECT_EQ(facts->conflicts.size(), 128U);
}

TEST_F(Merge, DriversAndAttributesDoNotRun) {
  sh("r", "git config merge.evil.driver 'touch " + path("ran") +
              "'; git config merge.default evil;"
              "echo '* merge=evil' > .git/info/attributes");
  const ObjectId one = branch("one", "sed -i s/5/five/ a; echo 'a merge=evil' > .gitattributes");
  const ObjectId two = branch("two", "sed -i s/5/V/ a; echo 'a merge=evil' > .gitattributes");
  EXPECT_EQ(prepare(one, two)->outcome, MergeOutcome::conflict);
  EXPECT_FALSE(exists("ran"));
}

TEST_F(Merge, UnrelatedHistoriesAndUnknownCommits) {
  const ObjectId other =
      sh("r", "git checkout -q --orphan o; git commit -qm o; git rev-parse HEAD; git checkout -q main");
  EXPECT_EQ(error_of(prepare(base, other)), "merge " + other + ": refusing to merge unrelated histories");
  const ObjectId nothing(40, '1');
  EXPECT_THAT(error_of(prepare(base, nothing)), HasSubstr("compare history of "));
}

TEST_F(Merge, TheResultIsPackedForVerification) {
  const ObjectId one = branch("one", "sed -i 1d a");
  const ObjectId two = branch("two", "sed -i 9d a");
  const auto facts = prepare(one, two);
  ASSERT_TRUE(facts);
  const auto packed =
      work(PackRequest{.git_dir = path("r/.git"), .tip = facts->commit, .exclude = {base}, .pack = path("m.pack")});
  ASSERT_TRUE(packed) << error_of(packed);
  EXPECT_EQ(packed->objects, 9U);  // three commits, trees and files
}

TEST_F(Merge, CommitMovesTheTargetAndItsLog) {
  const ObjectId tip = branch("one", "sed -i 1d a");
  const auto facts = work(commit_request(base, tip));
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_TRUE(facts->moved);
  EXPECT_EQ(at("target"), tip);
  EXPECT_EQ(sh("r", "git reflog -1 --format='%gn %gs' target"), "Ann bulkhead: merge");
  EXPECT_FALSE(work(commit_request(base, tip))->moved) << "a second time is the same";
}

TEST_F(Merge, CommitMakesANewTarget) {
  const ObjectId tip = branch("one", "sed -i 1d a");
  const auto facts = work(commit_request("", tip, "new/target"));
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(at("new/target"), tip);
  EXPECT_EQ(error_of(work(commit_request("", base, "new/target"))),
            "move branch refs/heads/new/target: it stands at " + tip +
                ", not nowhere [somebody moved it meanwhile; nothing was changed]");
}

TEST_F(Merge, CommitComparesBeforeItSwaps) {
  const ObjectId tip = branch("one", "sed -i 1d a");
  const ObjectId two = branch("two", "sed -i 9d a");
  sh("r", "git branch -f target " + two);
  EXPECT_EQ(error_of(work(commit_request(base, tip))), "move branch refs/heads/target: it stands at " + two +
                                                           ", not at " + base +
                                                           " [somebody moved it meanwhile; nothing was changed]");
  EXPECT_EQ(at("target"), two);
}

TEST_F(Merge, ATargetThatIsCheckedOutIsRefused) {
  const ObjectId tip = branch("one", "sed -i 1d a");
  const std::string hint = " [check out another branch there, or merge into a new one]";
  EXPECT_EQ(error_of(work(commit_request(base, tip, "main"))),
            "merge into refs/heads/main: it is checked out at " + path("r") + hint);
  sh("r", "git worktree add -q ../w target");
  EXPECT_EQ(error_of(work(commit_request(base, tip))),
            "merge into refs/heads/target: it is checked out at " + path("w") + hint);
  sh("w",
     "echo n > n; git add n; git commit -qm n; GIT_SEQUENCE_EDITOR='sed -i s/^pick/edit/' git rebase -q -i HEAD~1 "
     "2>/dev/null");
  EXPECT_EQ(error_of(work(commit_request(at("target"), tip))),
            "merge into refs/heads/target: it is checked out at " + path("w") + hint);
  EXPECT_EQ(at("main"), base);
}

TEST_F(Merge, WhatIsNoBranchIsRefused) {
  auto request = commit_request(base, base);
  request.target = "refs/tags/x";
  EXPECT_EQ(error_of(work(request)), "merge into refs/tags/x: not a branch");
  request.target = "refs/heads/../x";
  EXPECT_EQ(error_of(work(request)), "merge into refs/heads/../x: not a branch");
  sh("r", "git symbolic-ref refs/heads/alias refs/heads/main");
  const ObjectId tip = branch("one", "sed -i 1d a");
  EXPECT_EQ(error_of(work(commit_request(base, tip, "alias"))),
            "merge into refs/heads/alias: it is another name for refs/heads/main [name that one]");
}

TEST_F(Merge, RunsNoHook) {
  write("r/.git/hooks/reference-transaction", "#!/bin/sh\ntouch " + path("ran") + "\n");
  const ObjectId one = branch("one", "sed -i 1d a");
  const ObjectId two = branch("two", "sed -i 9d a");
  sh("r", "chmod +x .git/hooks/reference-transaction");
  const auto facts = prepare(one, two);
  ASSERT_TRUE(facts);
  ASSERT_TRUE(work(commit_request(base, facts->commit)));
  EXPECT_FALSE(exists("ran"));
}

}  // namespace
}  // namespace bulkhead
