// head, finish and export on workspaces of agents that mean well; those that do not are in hostile_test.cpp.
#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Agent : public AgentTest {};

TEST_F(Agent, HeadIsTheBaseUntilSomethingIsCommitted) {
  auto facts = head();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (HeadFacts{.tip = base}));
  const ObjectId tip = commit("echo x >> d/f2");
  facts = head();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (HeadFacts{.tip = tip, .commits = 1}));
  sh("ws", "git pack-refs --all; git gc -q");
  facts = head();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (HeadFacts{.tip = tip, .commits = 1}));
}

TEST_F(Agent, ABranchOfItsOwnIsTaken) {
  sh("ws", "git checkout -q -b mine");
  const ObjectId tip = commit("echo x >> d/f2");
  const auto facts = head();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (HeadFacts{.tip = tip, .on_branch = false, .commits = 1}));
  sh("ws", "git checkout -q --detach");
  EXPECT_EQ(head()->tip, tip);
}

TEST_F(Agent, LookingAtAnOlderCommitLosesNothing) {
  const ObjectId tip = commit("echo x >> d/f2");
  sh("ws", "git checkout -q --detach HEAD~1");
  auto facts = head();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (HeadFacts{.tip = tip, .on_branch = true, .commits = 1}));
  auto finished = finish();
  ASSERT_TRUE(finished) << error_of(finished);
  EXPECT_EQ(*finished, (FinishFacts{.tip = tip}));
  sh("ws", "echo y >> d/f4");
  finished = finish();
  ASSERT_TRUE(finished) << error_of(finished);
  EXPECT_EQ(*finished, (FinishFacts{.tip = tip, .left_out = 1}));
}

TEST_F(Agent, FinishWithNothingToCommit) {
  const auto facts = finish();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (FinishFacts{.tip = base}));
  EXPECT_EQ(sh("ws", "git rev-parse HEAD; git status --porcelain"), base);
}

TEST_F(Agent, FinishCommitsWhatIsUncommitted) {
  const ObjectId tip = commit("echo x >> d/f2");
  sh("ws",
     "echo y >> d/f2; git add d/f2; echo z > new; ln -s /etc/passwd l2; rm d/f3; chmod -x run.sh; echo o > a.o;"
     "rm d/f4; mkdir d/f4; echo in > d/f4/x; mkfifo fifo");
  const auto facts = finish();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_TRUE(facts->committed);
  EXPECT_EQ(facts->changed, 7U);
  EXPECT_EQ(facts->left_out, 0U);
  EXPECT_EQ(sh("ws", "git rev-parse HEAD; git symbolic-ref HEAD"), facts->tip + "\nrefs/heads/" + branch);
  EXPECT_EQ(sh("ws", "git rev-parse HEAD~1"), tip);
  EXPECT_EQ(sh("ws", "git log -1 --format='%an <%ae> %cn: %s'"),
            "Bulkhead <b@test> Bulkhead: Uncommitted changes of a");
  EXPECT_EQ(sh("ws", "git diff-tree -r --name-status HEAD~1 HEAD"),
            "M\td/f2\nD\td/f3\nD\td/f4\nA\td/f4/x\nA\tl2\nA\tnew\nM\trun.sh");
  EXPECT_EQ(sh("ws", "git status --porcelain"), "") << "the agent's index must agree with the new commit";
  EXPECT_EQ(head()->commits, 2U);
  EXPECT_FALSE(finish()->committed);
}

TEST_F(Agent, FilesThatBecomeDirectoriesAndBack) {
  sh("ws", "rm d/f4 d/f5; mkdir d/f4 d/f5; echo o > d/f5/x.o");
  auto facts = finish();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(sh("ws", "git diff-tree -r --name-status HEAD~1 HEAD; git status --porcelain"), "D\td/f4\nD\td/f5");
  sh("ws", "rm -r d; echo file > d");
  facts = finish();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(sh("ws", "git ls-tree -r --name-only HEAD; git status --porcelain"), ".gitignore\nd\nlink\nrun.sh");
}

TEST_F(Agent, FinishLeavesOutWhatNobodyCouldCheckOut) {
  sh("ws", "git init -q nested; echo x > nested/f; echo ok > ok; echo secret > closed; chmod 0 closed");
  const auto facts = finish();
  ASSERT_TRUE(facts) << error_of(facts);
  const bool reads_everything = ::geteuid() == 0;
  EXPECT_EQ(facts->left_out, reads_everything ? 1U : 2U);
  EXPECT_EQ(facts->changed, reads_everything ? 2U : 1U);
}

TEST_F(Agent, FinishIsBounded) {
  sh("ws", "truncate -s 10T huge");
  EXPECT_EQ(error_of(finish()),
            "commit uncommitted changes: they are larger than 1Mi"
            " [name what is not to be kept in .gitignore]");
  EXPECT_EQ(sh("ws", "git rev-parse HEAD"), base);
  sh("ws", "echo huge >> .gitignore");
  EXPECT_TRUE(finish());
}

TEST_F(Agent, FinishOnABranchOfItsOwnMovesOurs) {
  sh("ws", "git checkout -q -b mine; echo x > n; git add n; git commit -qm mine; echo y > n");
  const auto facts = finish();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_TRUE(facts->committed);
  EXPECT_EQ(sh("ws", "git rev-parse " + branch + "; git symbolic-ref HEAD"), facts->tip + "\nrefs/heads/" + branch);
  EXPECT_EQ(sh("ws", "git log --format=%s"), "Uncommitted changes of a\nmine\ntwo\none");
}

TEST_F(Agent, ExportOfNothingWritesNoPack) {
  const auto facts = export_to("out.pack");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (ExportFacts{.tip = base}));
  EXPECT_FALSE(exists("out.pack"));
}

TEST_F(Agent, ExportSaysWhatChanged) {
  commit("echo x >> d/f2; git rm -q d/f3; ln -sf /etc/passwd link; printf 'a\\0b' > bin; chmod -x run.sh");
  const ObjectId tip = commit(
      "rm d/f4; ln -s ../../.. d/f4; printf q > $'odd\\n\\\\name'; git update-index --add"
      " --cacheinfo 160000," +
      base + ",module; mkdir module");
  const auto facts = export_to("out.pack");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->tip, tip);
  EXPECT_TRUE(facts->descends);
  EXPECT_EQ(facts->commits, 2U);
  EXPECT_EQ(facts->pack_bytes, read("out.pack").size());
  EXPECT_EQ(facts->paths_total, 8U);
  EXPECT_EQ(facts->added_total, 1U + 1 + 1 + 1 + 1);
  EXPECT_EQ(facts->removed_total, 1U + 1 + 1);
  EXPECT_THAT(facts->paths,
              ElementsAre(ChangedPath{.path = "bin", .status = "A", .mode = "100644", .binary = true},
                          ChangedPath{.path = "d/f2", .status = "M", .mode = "100644", .added = 1},
                          ChangedPath{.path = "d/f3", .status = "D", .mode = "100644", .removed = 1},
                          ChangedPath{.path = "d/f4", .status = "T", .mode = "120000", .added = 1, .removed = 1},
                          ChangedPath{.path = "link", .status = "M", .mode = "120000", .added = 1, .removed = 1},
                          ChangedPath{.path = "module", .status = "A", .mode = "160000", .added = 1},
                          ChangedPath{.path = "odd\\x0a\\\\name", .status = "A", .mode = "100644", .added = 1},
                          ChangedPath{.path = "run.sh", .status = "M", .mode = "100644"}));
  // The pack holds all that the base does not.
  sh(".", "cp -a base check");
  sh("check",
     "git index-pack --strict --stdin < ../out.pack >/dev/null; git checkout -q " + tip + "; git fsck --full 2>&1");
}

TEST_F(Agent, ExportIsBounded) {
  commit("for i in $(seq 2000); do echo $i > $(printf 'f%.0s' $(seq 200))$i; done");
  auto request = export_request("out.pack");
  request.max_paths = 1000;
  const auto facts = work(request);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->paths_total, 2000U);
  EXPECT_EQ(facts->added_total, 2000U);
  EXPECT_GT(facts->paths.size(), 50U);
  EXPECT_LT(facts->paths.size(), 300U);
  request.max_paths = 3;
  EXPECT_EQ(work(request)->paths.size(), 3U);
  request.max_bytes = 1000;
  EXPECT_EQ(error_of(work(request)), "write pack: it would be larger than 1000");
}

TEST_F(Agent, ExportOfNamesThatEscapeLongStillFits) {
  commit(
      "for i in $(seq 300); do touch \"$(printf '\\\\%.0s' $(seq 200))$i\" \"$(printf '\\001%.0s' $(seq 200))$i\"; "
      "done");
  const auto facts = export_to("out.pack");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->paths_total, 600U);
  EXPECT_GT(facts->paths.size(), 10U);
}

TEST_F(Agent, HistoryThatDoesNotDescendIsAFact) {
  sh("ws", "git checkout -q --orphan fresh; git commit -qm fresh");
  const ObjectId tip = sh("ws", "git rev-parse HEAD");
  const auto facts = export_to("out.pack");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (ExportFacts{.tip = tip, .on_branch = false, .descends = false}));
  EXPECT_FALSE(exists("out.pack"));
  EXPECT_FALSE(head()->descends);
}

TEST_F(Agent, ShallowAndSha256AllTheWay) {
  sh(".",
     "git init -q -b main --object-format=sha256 r256; cd r256; echo 1 > f; git add f; git commit -qm 1;"
     "echo 2 > f; git commit -qam 2; cd ..; git clone -q --depth 1 file://$PWD/r256 s; mkdir base256; cd s; git branch "
     "t");
  const ObjectId tip = sh("s", "git rev-parse HEAD");
  ASSERT_TRUE(work(PackRequest{.git_dir = path("s/.git"), .tip = tip, .pack = path("p"), .shallow = path("sh")}));
  ASSERT_TRUE(work(MakeBaseRequest{
      .pack = path("p"), .shallow = path("sh"), .base = tip, .object_format = "sha256", .tree = path("base256")}));
  ASSERT_TRUE(work(RegisterRequest{.git_dir = path("s/.git"), .run = "r1", .agent = "a", .base = tip, .stub = "/x"}));
  sh(".", "cp -a base256 w; cd w; git checkout -q -b " + branch + "; echo 3 > f; git commit -qam 3; echo 4 > f");
  const auto finished = work(FinishRequest{.workspace = path("w"),
                                           .base_tree = path("base256"),
                                           .branch = branch,
                                           .base = tip,
                                           .name = "N",
                                           .email = "e",
                                           .message = "last"});
  ASSERT_TRUE(finished) << error_of(finished);
  EXPECT_TRUE(finished->committed);
  const auto exported = work(ExportRequest{
      .workspace = path("w"), .base_tree = path("base256"), .branch = branch, .base = tip, .pack = path("out")});
  ASSERT_TRUE(exported) << error_of(exported);
  EXPECT_EQ(exported->commits, 2U);
  IngestRequest request = ingest_request("out", exported->tip);
  request.git_dir = path("s/.git");
  request.base = request.old = tip;
  const auto taken = work(request);
  ASSERT_TRUE(taken) << error_of(taken);
  EXPECT_EQ(sh("s", "git log --format=%s " + branch), "last\n3\n2");
  const auto moved = work(MergeCommitRequest{.git_dir = path("s/.git"),
                                             .target = "refs/heads/t",
                                             .expect_old = tip,
                                             .commit = exported->tip,
                                             .reason = "r",
                                             .name = "N",
                                             .email = "e"});
  ASSERT_TRUE(moved) << error_of(moved);
  EXPECT_EQ(sh("s", "git rev-parse t; git fsck 2>&1"), exported->tip);
}

}  // namespace
}  // namespace bulkhead
