#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {
namespace {

using testing::HasSubstr;

using Base = AgentTest;

TEST_F(Base, OrdinaryGitWorksAndRereadsNothing) {
  // diff-files takes the index at its word: it lists whatever git would have to read again. First, since status would
  // refresh it.
  EXPECT_EQ(sh("ws", "git diff-files"), "");
  // Nor is any file as young as the index, which would make git read it again each time.
  EXPECT_EQ(sh("base", "find . -path ./.git -prune -o ! -type d -newermt '-30 seconds' -print"), "");
  EXPECT_EQ(sh("ws", "git status --porcelain"), "");
  EXPECT_EQ(sh("ws", "git rev-parse HEAD"), base);
  EXPECT_EQ(sh("ws", "git symbolic-ref HEAD"), "refs/heads/" + branch);
  EXPECT_EQ(sh("ws", "git log --format=%s"), "two\none");
  EXPECT_EQ(sh("ws", "readlink link; stat -c %a run.sh"), "d/f1\n755");
  EXPECT_EQ(sh("ws", "git fsck --no-dangling 2>&1"), "");
}

TEST_F(Base, AChangeOfTheSameSizeIsSeenAtOnce) {
  sh("ws", "printf 'LINE 2\\n' > d/f2");
  EXPECT_EQ(sh("ws", "git status --porcelain"), " M d/f2");
}

TEST_F(Base, HoldsOnlyWhatIsReachable) {
  sh("r", "git checkout -q -b hidden; echo secret > test; git add -A; git commit -qm hidden; git tag -a -m t t");
  const ObjectId secret = sh("r", "git rev-parse hidden:test");
  EXPECT_EQ(sh("r", "git cat-file -t " + secret), "blob");
  ASSERT_TRUE(work(PackRequest{.git_dir = path("r/.git"), .tip = base, .pack = path("p2")}));
  sh(".", "mkdir b2");
  const auto made =
      work(MakeBaseRequest{.pack = path("p2"), .base = base, .object_format = "sha1", .tree = path("b2")});
  ASSERT_TRUE(made) << error_of(made);
  EXPECT_EQ(made->files, 8U);
  EXPECT_NE(status_of("b2", "git cat-file -e " + secret), 0);
  EXPECT_EQ(sh("b2", "git for-each-ref; git remote"), "");
  EXPECT_EQ(std::to_string(made->objects), sh("b2", "git rev-list --objects HEAD | wc -l"));
}

TEST_F(Base, DeltasAreCopiedAndNotSearchedFor) {
  sh("r", "seq 1 20000 > big; git add big; git commit -qm big; echo more >> big; git commit -qam more");
  const ObjectId tip = sh("r", "git rev-parse HEAD");
  const auto loose = work(PackRequest{.git_dir = path("r/.git"), .tip = tip, .pack = path("loose.pack")});
  ASSERT_TRUE(loose) << error_of(loose);
  sh("r", "git gc -q");
  const auto packed = work(PackRequest{.git_dir = path("r/.git"), .tip = tip, .pack = path("packed.pack")});
  ASSERT_TRUE(packed) << error_of(packed);
  EXPECT_EQ(loose->objects, packed->objects);
  EXPECT_GT(loose->bytes, packed->bytes * 3 / 2);
}

TEST_F(Base, RefusesWhatIsNotABase) {
  sh(".", "mkdir t; touch t/x e; mkdir e1 e2 e3");
  const auto make = [&](const std::string& pack, const std::string& tree, const ObjectId& id) {
    return error_of(work(MakeBaseRequest{.pack = path(pack), .base = id, .object_format = "sha1", .tree = path(tree)}));
  };
  EXPECT_EQ(make("base.pack", "t", base), "make base " + path("t") + ": the directory is not empty");
  EXPECT_THAT(make("e", "e1", base), HasSubstr("check pack: early EOF"));
  const ObjectId tree = sh("r", "git rev-parse HEAD^{tree}");
  EXPECT_EQ(make("base.pack", "e2", tree), "make base " + tree + ": it is a tree, not a commit");
  sh(".", "head -c 400 base.pack > short.pack");
  EXPECT_THAT(make("short.pack", "e3", base), HasSubstr("check pack: "));
}

TEST_F(Base, Sha256ShallowAndSubmodules) {
  sh(".",
     "git init -q -b main --object-format=sha256 r256; cd r256; echo 1 > f; git add f; git commit -qm 1;"
     "git update-index --add --cacheinfo 160000," +
         std::string(64, '1') + ",lib; git commit -qm 2; cd ..; git clone -q --depth 1 file://$PWD/r256 s; mkdir b");
  const ObjectId tip = sh("s", "git rev-parse HEAD");
  const auto packed =
      work(PackRequest{.git_dir = path("s/.git"), .tip = tip, .pack = path("p"), .shallow = path("shallow")});
  ASSERT_TRUE(packed) << error_of(packed);
  const auto made = work(MakeBaseRequest{
      .pack = path("p"), .shallow = path("shallow"), .base = tip, .object_format = "sha256", .tree = path("b")});
  ASSERT_TRUE(made) << error_of(made);
  EXPECT_EQ(sh("b", "git log --format=%s"), "2");
  EXPECT_EQ(sh("b", "git status --porcelain; ls -A lib; git diff-files"), "");
}

TEST_F(Base, PacksGoThroughDescriptorsToo) {
  const auto argv = worker_argv(PackRequest{.git_dir = path("r/.git"), .tip = base, .pack = "fd:1"}, 2);
  const auto finished = run_worker(argv);
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->status, 0);
  EXPECT_EQ(finished->output, read("base.pack"));
  const auto facts = parse_worker_facts<PackFacts>(finished->errors);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->bytes, finished->output.size());
}

using Materialize = AgentTest;

TEST_F(Materialize, HoldsTheCommitOfAnAgent) {
  const ObjectId tip = commit("echo x >> d/f2; git rm -q d/f3; mkdir n; echo new > n/file; chmod -x run.sh");
  ASSERT_TRUE(export_to("out.pack"));
  make_workspace("fresh");
  const auto facts = work(MaterializeRequest{
      .workspace = path("fresh"), .base_tree = path("base"), .pack = path("out.pack"), .commit = tip});
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->changed, 4U);
  EXPECT_EQ(facts->tree, sh("ws", "git rev-parse HEAD^{tree}"));
  EXPECT_EQ(sh("fresh", "git status --porcelain; git rev-parse HEAD"), tip);
  EXPECT_EQ(status_of("fresh", "git symbolic-ref -q HEAD"), 1);
  EXPECT_EQ(sh(".", "diff -r --no-dereference --exclude=.git ws fresh"), "");
}

TEST_F(Materialize, OnABranchForAnotherAttempt) {
  const ObjectId tip = commit("echo x >> d/f2");
  ASSERT_TRUE(export_to("out.pack"));
  make_workspace("fresh");
  const auto facts = work(MaterializeRequest{.workspace = path("fresh"),
                                             .base_tree = path("base"),
                                             .pack = path("out.pack"),
                                             .commit = tip,
                                             .branch = branch});
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(sh("fresh", "git symbolic-ref HEAD; git rev-parse HEAD; git status --porcelain"),
            "refs/heads/" + branch + "\n" + tip);
}

TEST_F(Materialize, TheBaseItselfNeedsNoPack) {
  make_workspace("fresh");
  const auto facts = work(MaterializeRequest{.workspace = path("fresh"), .base_tree = path("base"), .commit = base});
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->changed, 0U);
  EXPECT_EQ(error_of(work(MaterializeRequest{
                .workspace = path("fresh"), .base_tree = path("base"), .commit = std::string(40, '7')})),
            "check out " + std::string(40, '7') + ": failed to unpack tree object " + std::string(40, '7'));
}

}  // namespace
}  // namespace bulkhead
