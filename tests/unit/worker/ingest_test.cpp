#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {
namespace {

using testing::HasSubstr;

class Ingest : public AgentTest {
 protected:
  Ingest() { register_agent(); }
  std::string refs() const {
    return sh("r", "git for-each-ref --format='%(refname) %(objectname)' refs/heads/bulkhead refs/bulkhead");
  }
  std::string objects() const { return sh("r", "find .git/objects | sort"); }
  void expect_refused(const IngestRequest& request, const std::string& expected) const {
    const std::string refs_before = refs();
    const std::string objects_before = objects();
    EXPECT_THAT(error_of(work(request)), HasSubstr(expected));
    EXPECT_EQ(refs(), refs_before);
    EXPECT_EQ(objects(), objects_before);
  }
  // A pack of everything below `tip` that the base does not have, made in `repository`.
  void pack(const std::string& repository, const ObjectId& tip) const {
    sh(repository, "printf '%s\\n^%s\\n' " + tip + " " + base + " | git pack-objects -q --revs --stdout > ../p.pack");
  }
};

TEST_F(Ingest, TakesObjectsAndMovesBranchAndPin) {
  const ObjectId tip = commit("echo x >> d/f2");
  ASSERT_TRUE(export_to("p.pack"));
  const std::string untouched = sh("r", "sha1sum .git/config .git/index .git/HEAD; git status --porcelain");
  const auto facts = work(ingest_request("p.pack", tip));
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(*facts, (IngestFacts{.moved = true, .objects = 4}));
  EXPECT_EQ(refs(), "refs/bulkhead/r1/a/tip " + tip + "\nrefs/heads/bulkhead/r1/a " + tip);
  EXPECT_EQ(sh("r", "git fsck 2>&1; git show " + branch + ":d/f2"), "line 2\nx");
  EXPECT_EQ(sh("r", "ls .git/objects | grep tmp || true"), "");
  EXPECT_EQ(sh("r", "sha1sum .git/config .git/index .git/HEAD; git status --porcelain"), untouched);

  const auto again = work(ingest_request("p.pack", tip));
  ASSERT_TRUE(again) << error_of(again);
  EXPECT_FALSE(again->moved);
}

TEST_F(Ingest, StepByStepAndBack) {
  const ObjectId one = commit("echo 1 >> d/f2");
  ASSERT_TRUE(export_to("p1"));
  ASSERT_TRUE(work(ingest_request("p1", one)));
  const ObjectId two = commit("echo 2 >> d/f2");
  ASSERT_TRUE(export_to("p2"));
  auto request = ingest_request("p2", two);
  request.old = one;
  EXPECT_TRUE(work(request));
  auto back = ingest_request("", base);
  back.old = two;
  const auto facts = work(back);
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_TRUE(facts->moved);
  EXPECT_THAT(refs(), HasSubstr(base));
}

TEST_F(Ingest, ABranchThatStandsElsewhereIsLeftAlone) {
  const ObjectId tip = commit("echo x >> d/f2");
  ASSERT_TRUE(export_to("p.pack"));
  const ObjectId older = sh("r", "git rev-parse HEAD~1");
  sh("r", "git update-ref refs/heads/" + branch + " " + older);
  expect_refused(ingest_request("p.pack", tip), "move branch refs/heads/bulkhead/r1/a: it stands at " + older +
                                                    ", not at " + base +
                                                    " [somebody moved it meanwhile; nothing was changed]");
  sh("r", "git update-ref -d refs/heads/" + branch);
  expect_refused(ingest_request("p.pack", tip), "it stands nowhere, not at " + base);
}

TEST_F(Ingest, BadPacksLeaveNothing) {
  const ObjectId tip = commit("echo x >> d/f2");
  ASSERT_TRUE(export_to("p.pack"));
  expect_refused(ingest_request("", tip), "import " + tip + ": no pack was given");
  expect_refused(ingest_request("nowhere", tip), "open " + path("nowhere") + ": No such file or directory");
  sh(".", "head -c 100 p.pack > short; head -c -1 p.pack > cut; printf X >> cut; printf '' > empty");
  for (const char* name : {"short", "cut", "empty"}) expect_refused(ingest_request(name, tip), "check pack: ");
  expect_refused(ingest_request("p.pack", std::string(40, '5')), "read " + std::string(40, '5') + ": ");
  expect_refused(ingest_request("p.pack", sh("ws", "git rev-parse HEAD^{tree}")), "it is a tree, not a commit");
}

TEST_F(Ingest, TreesThatFsckRefusesLeaveNothing) {
  const ObjectId blob = sh("ws", "git rev-parse HEAD:d/f2");
  const ObjectId tree = raw_object("ws", "tree", tree_entry("100644", ".git", blob));
  const ObjectId tip = sh("ws", "git commit-tree -m evil -p HEAD " + tree);
  pack("ws", tip);
  expect_refused(ingest_request("p.pack", tip), "hasDotgit");
}

TEST_F(Ingest, HistoryThatDoesNotDescendIsRefused) {
  sh("ws", "git checkout -q --orphan fresh; echo 1 > only; git add only; git commit -qm fresh");
  const ObjectId tip = sh("ws", "git rev-parse HEAD");
  pack("ws", tip);
  expect_refused(ingest_request("p.pack", tip), "import " + tip + ": it does not descend from the base " + base);
}

// A worker in the agent's range that was taken over could send any pack. One whose tree names an object by its id alone
// would make the repository hand over what the agent was never given.
TEST_F(Ingest, ObjectsTheAgentWasNeverGivenAreRefused) {
  sh("r", "git checkout -q -b hidden; echo hidden test > t; git add t; git commit -qm hidden; git checkout -q main");
  const ObjectId secret = sh("r", "git rev-parse hidden:t");
  const ObjectId tree = raw_object("r", "tree", tree_entry("100644", "loot", secret));
  const ObjectId tip = sh("r", "git commit-tree -m evil -p " + base + " " + tree);
  sh("r", "printf '%s\\n' " + tip + " " + tree + " | git pack-objects -q --stdout > ../p.pack");
  sh("r", "rm -f .git/objects/" + tip.substr(0, 2) + "/" + tip.substr(2) + " .git/objects/" + tree.substr(0, 2) + "/" +
              tree.substr(2));
  expect_refused(ingest_request("p.pack", tip),
                 "import " + tip + ": it needs object " + secret + ", which is neither its own nor its base's");
}

TEST_F(Ingest, AnOlderVersionOfAFileIsTheAgentsToUse) {
  const ObjectId tip = commit("git checkout -q HEAD~1 -- d/f1");
  ASSERT_TRUE(export_to("p.pack"));
  const auto facts = work(ingest_request("p.pack", tip));
  EXPECT_TRUE(facts) << error_of(facts);
}

TEST_F(Ingest, RunsNoHookAndNoConfiguredCommand) {
  write("r/.git/hooks/reference-transaction", "#!/bin/sh\ntouch " + path("ran") + "\n");
  sh("r",
     "chmod +x .git/hooks/*; cp .git/hooks/reference-transaction .git/hooks/post-update;"
     "git config core.fsmonitor 'touch " +
         path("ran") + "'");
  const ObjectId tip = commit("echo x >> d/f2");
  ASSERT_TRUE(export_to("p.pack"));
  ASSERT_TRUE(work(ingest_request("p.pack", tip)));
  EXPECT_FALSE(exists("ran"));
}

TEST_F(Ingest, TheRepositorysPermissionsAreKept) {
  sh("r", "git config core.sharedRepository 0640");
  const ObjectId tip = commit("echo x >> d/f2");
  ASSERT_TRUE(export_to("p.pack"));
  ASSERT_TRUE(work(ingest_request("p.pack", tip)));
  EXPECT_EQ(sh("r", "stat -c %a .git/objects/pack/*.pack"), "440");
}

}  // namespace
}  // namespace bulkhead
