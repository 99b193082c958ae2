// Workspaces of agents that attack whoever reads them. Every one of these is answered at once, by facts or by an error
// that names what is wrong; nothing of the agent's runs and nothing outside is read.
#include "tests/unit/worker/worker_fixture.h"

namespace bulkhead {
namespace {

using testing::HasSubstr;

class Hostile : public AgentTest {
 protected:
  // The same refusal from everything that reads a workspace.
  void expect_refused(const std::string& expected) const {
    EXPECT_THAT(error_of(head()), HasSubstr(expected));
    EXPECT_THAT(error_of(finish()), HasSubstr(expected));
    EXPECT_THAT(error_of(export_to("out.pack")), HasSubstr(expected));
    EXPECT_FALSE(exists("out.pack"));
  }
  // Commits a tree of raw bytes on the branch.
  ObjectId commit_tree(const std::string& entries) const {
    const ObjectId tree = raw_object("ws", "tree", entries);
    const ObjectId made = sh("ws", "git commit-tree -m evil -p HEAD " + tree);
    write("ws/.git/refs/heads/" + branch, made + "\n");
    return made;
  }
  std::string blob() const { return sh("ws", "git rev-parse HEAD:d/f2"); }
  std::string evil_command() const { return "touch " + path("ran"); }
};

TEST_F(Hostile, GitDirectoryIsALinkAFileOrGone) {
  sh("ws", "mv .git ../elsewhere; ln -s ../elsewhere .git");
  expect_refused("open repository of the workspace: .git is a symbolic link, not a directory");
  sh("ws", "rm .git; echo 'gitdir: ../elsewhere' > .git");
  expect_refused("open repository of the workspace: .git is a file, not a directory");
  sh("ws", "rm .git; mkfifo .git");
  expect_refused("open repository of the workspace: .git is a fifo, not a directory");
  sh("ws", "rm .git");
  expect_refused("open repository of the workspace: the agent removed .git");
}

TEST_F(Hostile, HeadIsAnythingButAFile) {
  sh("ws", "rm .git/HEAD; mkfifo .git/HEAD");
  expect_refused("read .git/HEAD: it is a fifo");
  sh("ws", "rm .git/HEAD; mkdir .git/HEAD");
  expect_refused("read .git/HEAD: it is not there");
  sh("ws", "rmdir .git/HEAD; truncate -s 10G .git/HEAD");
  expect_refused("read .git/HEAD: it is larger than 4096 bytes");
  sh("ws", "rm .git/HEAD; ln -s /etc/hostname .git/HEAD");
  expect_refused("read .git/HEAD: a symbolic link is in the way");
  sh("ws", "rm .git/HEAD");
  expect_refused("read .git/HEAD: it is not there");
}

TEST_F(Hostile, HeadSaysAnything) {
  const ObjectId not_a_commit = blob();
  for (const char* text : {"", "x", "0123", "/etc/passwd"}) {
    write("ws/.git/HEAD", text);
    expect_refused("read .git/HEAD: neither a branch nor a commit");
  }
  for (const char* ref : {"../../etc/passwd", "refs/../../../etc/passwd", "refs/heads/../../HEAD", "refs//x",
                          "refs/heads/.x", "refs/heads/x.lock", "refs/heads/a b", "refs/heads/a\\b"}) {
    write("ws/.git/HEAD", std::string("ref: ") + ref + "\n");
    expect_refused("is not a name for a branch");
  }
  write("ws/.git/HEAD", std::string("ref: refs/heads/\x1b[2J\n"));
  expect_refused("read .git/HEAD: 'refs/heads/\\x1b[2J' is not a name for a branch");
  write("ws/.git/HEAD", std::string(40, '9') + "\n");
  expect_refused(std::string(40, '9') + " is not among the agent's objects");
  write("ws/.git/HEAD", not_a_commit + "\n");
  expect_refused(not_a_commit + " is not a commit");
}

TEST_F(Hostile, RefsAreLinksFifosOrHuge) {
  const std::string ref = ".git/refs/heads/" + branch;
  sh("ws", "rm " + ref + "; ln -s /etc/hostname " + ref);
  expect_refused("read " + ref + ": a symbolic link is in the way");
  sh("ws", "rm " + ref + "; mkfifo " + ref);
  expect_refused("read " + ref + ": it is a fifo");
  sh("ws", "rm " + ref + "; truncate -s 10G " + ref);
  expect_refused("read " + ref + ": it is larger than 4096 bytes");
  sh("ws", "rm " + ref + "; echo nonsense > " + ref);
  expect_refused("read " + ref + ": it does not hold an object id");
  sh("ws", "rm -r .git/refs; ln -s ../../r/.git/refs .git/refs");
  expect_refused("read " + ref + ": a symbolic link is in the way");
  sh("ws", "rm .git/refs; mkdir .git/refs; truncate -s 10G .git/packed-refs");
  expect_refused("read .git/packed-refs: it is larger than 67108864 bytes");
  sh("ws", "rm .git/packed-refs");
  expect_refused("read the agent's commits bulkhead/r1/a: neither HEAD nor the branch has a commit");
}

TEST_F(Hostile, ObjectsAreBorrowedOrNotFiles) {
  commit("echo x >> d/f2");
  sh("ws", "echo ../../../r/.git/objects > .git/objects/info/alternates");
  expect_refused("read objects of the workspace: .git/objects/info/alternates borrows objects from elsewhere");
  sh("ws",
     "rm .git/objects/info/alternates; mkdir -p .git/objects/ab; mkfifo .git/objects/ab/$(printf 'c%.0s' {1..38})");
  expect_refused("/ab/cccccccccccccccccccccccccccccccccccccc is a fifo");
  sh("ws", "rm -r .git/objects/ab; ln -s ../../../r/.git/objects/pack .git/objects/zz");
  expect_refused("read objects of the workspace: .git/objects/zz is a symbolic link");
  sh("ws", "rm .git/objects/zz; mv .git/objects .git/o; ln -s o .git/objects");
  expect_refused("read objects of the workspace: .git/objects is a symbolic link");
}

TEST_F(Hostile, NothingTheAgentConfiguredRuns) {
  const ObjectId tip = commit("echo '* filter=evil diff=evil merge=evil' > .gitattributes");
  sh("ws",
     "for k in core.fsmonitor core.sshCommand core.pager core.editor core.askPass filter.evil.clean"
     " filter.evil.smudge filter.evil.process diff.evil.command diff.evil.textconv diff.external"
     " merge.evil.driver gpg.program credential.helper core.alternateRefsCommand uploadpack.packObjectsHook;"
     " do git config $k '" +
         evil_command() +
         "'; done;"
         "git config core.hooksPath $PWD/.git/hooks; git config core.worktree /; git config core.excludesFile "
         "/dev/zero;"
         "git config commit.gpgSign true; git config include.path /dev/zero || true;"
         "mkdir -p .git/hooks; for h in pre-commit post-commit reference-transaction post-index-change"
         " pre-auto-gc fsmonitor-watchman; do printf '#!/bin/sh\\n" +
         evil_command() +
         "\\n' > .git/hooks/$h; chmod +x .git/hooks/$h; done; echo more >> d/f1; echo '* filter=evil' > "
         ".git/info/attributes");
  const auto finished = finish();
  ASSERT_TRUE(finished) << error_of(finished);
  EXPECT_TRUE(finished->committed);
  const auto facts = export_to("out.pack");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->commits, 2U);
  EXPECT_NE(facts->tip, tip);
  EXPECT_FALSE(exists("ran"));
}

TEST_F(Hostile, ANestedRepositoryRunsNothingEither) {
  // A submodule of the base with a repository of the agent's in it: git status would ask git inside.
  commit("git init -q module; (cd module; echo 1 > f; git add f; git commit -qm 1); git add module 2>/dev/null");
  sh("ws",
     "cd module; git config core.fsmonitor '" + evil_command() + "'; git config filter.e.clean '" + evil_command() +
         "'; echo '* filter=e' > .git/info/attributes; echo 2 > f; git -c core.fsmonitor=false commit -qam 2 || true");
  sh("ws", "echo 3 > module/f; git status --porcelain");
  ASSERT_TRUE(exists("ran")) << "git asked carelessly runs it";
  sh(".", "rm ran");
  const auto finished = finish();
  ASSERT_TRUE(finished) << error_of(finished);
  EXPECT_FALSE(exists("ran"));
}

TEST_F(Hostile, TheIndexOfTheAgentDoesNotMatter) {
  commit("echo x >> d/f2");
  sh("ws", "echo garbage > .git/index; echo y >> d/f2");
  auto facts = finish();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->changed, 1U);
  sh("ws", "rm .git/index; mkfifo .git/index; echo z >> d/f2");
  facts = finish();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_TRUE(facts->committed);
}

TEST_F(Hostile, ReplacementsAndGraftsAreNotBelieved) {
  const ObjectId tip = commit("echo bad >> d/f2");
  sh("ws", "git replace " + tip + " " + base);
  auto facts = export_to("out.pack");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->paths_total, 1U);
  EXPECT_EQ(facts->commits, 1U);

  sh("ws", "git checkout -q --orphan fresh; git commit -qm fresh");
  const ObjectId orphan = sh("ws", "git rev-parse HEAD");
  write("ws/.git/info/grafts", orphan + " " + base + "\n");
  sh("ws", "echo " + base + " > .git/shallow");
  facts = export_to("out2.pack");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_FALSE(facts->descends);
}

TEST_F(Hostile, CommitGraphsMidxAndPackLeftoversAreNotBelieved) {
  commit("echo bad >> d/f2");
  sh("ws",
     "git commit-graph write --reachable 2>/dev/null; git multi-pack-index write 2>/dev/null;"
     "chmod -R u+w .git/objects; printf garbage > .git/objects/info/commit-graph;"
     "printf garbage > .git/objects/pack/multi-pack-index; printf garbage > .git/objects/pack/pack-x.idx;"
     "printf garbage > .git/objects/pack/pack-x.pack; printf garbage > .git/objects/pack/tmp_pack_x");
  const auto facts = export_to("out.pack");
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_EQ(facts->commits, 1U);
}

// gitformat-commit-graph(5): header "CGPH", version, hash version, number of chunks, of base graphs; a table of chunks
// (id, offset); fan-out OIDF, sorted ids OIDL, commit data CDAT (tree, first parent's position, second's, generation
// and time). Nothing but its own checksum, which git does not verify when it reads, speaks for it.
TEST_F(Hostile, AForgedCommitGraphMakesNoAncestor) {
  sh("ws",
     "git checkout -q --orphan fresh; git commit -qm fresh; git commit -q --allow-empty -m child; git -c "
     "commitGraph.generationVersion=1 commit-graph write "
     "--reachable 2>/dev/null;"
     "chmod u+w .git/objects/info/commit-graph");
  // Git reads the commits it is asked for themselves, and their ancestors from the graph.
  const ObjectId orphan = sh("ws", "git rev-parse HEAD~1");
  ASSERT_EQ(status_of("ws", "git merge-base --is-ancestor " + base + " HEAD"), 1);

  std::string graph = read("ws/.git/objects/info/commit-graph");
  const auto number = [&](std::size_t at, std::size_t bytes) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(graph.at(at + i));
    return value;
  };
  const auto chunk = [&](std::string_view id) {
    for (std::size_t at = 8; at < 8 + 12 * 8; at += 12) {
      if (graph.compare(at, 4, id) == 0) return number(at + 4, 8);
    }
    return std::string::npos;
  };
  const std::size_t commits = number(chunk("OIDF") + 255 * 4, 4);
  const auto position = [&](const ObjectId& id) {
    const std::string raw = tree_entry("", "", id).substr(2);
    for (std::size_t i = 0; i < commits; ++i) {
      if (graph.compare(chunk("OIDL") + i * 20, 20, raw) == 0) return i;
    }
    return commits;
  };
  ASSERT_LT(position(orphan), commits);
  ASSERT_LT(position(base), commits);
  const std::size_t data = chunk("CDAT") + position(orphan) * 36;
  graph.replace(data + 20, 4, std::string{0, 0, 0, static_cast<char>(position(base))});
  for (const ObjectId& id : {orphan, sh("ws", "git rev-parse HEAD")}) {  // generations above the base's
    graph[chunk("CDAT") + position(id) * 36 + 28 + 3] = static_cast<char>((id == orphan ? 9 : 10) << 2);
  }
  write("ws/.git/objects/info/commit-graph", graph);
  ASSERT_EQ(status_of("ws", "git -c commitGraph.generationVersion=1 merge-base --is-ancestor " + base + " HEAD"), 0)
      << "git that trusts the graph believes it";

  const auto facts = head();
  ASSERT_TRUE(facts) << error_of(facts);
  EXPECT_FALSE(facts->descends);
  EXPECT_FALSE(export_to("out.pack")->descends);
}

TEST_F(Hostile, BrokenAndMissingObjectsAreRefused) {
  const ObjectId tip = commit("echo unique content >> d/f2");
  const ObjectId lost = sh("ws", "git rev-parse HEAD:d/f2");
  sh("ws", "rm -f .git/objects/" + lost.substr(0, 2) + "/" + lost.substr(2));
  EXPECT_THAT(error_of(export_to("out.pack")), HasSubstr("pack " + tip + ": "));
  sh("ws", "printf garbage > .git/objects/" + lost.substr(0, 2) + "/" + lost.substr(2));
  EXPECT_THAT(error_of(export_to("out.pack")), HasSubstr("pack " + tip + ": "));
  EXPECT_FALSE(exists("out.pack"));
}

TEST_F(Hostile, TreesThatWouldBreakOutAreRefused) {
  struct Attack {
    const char* mode;
    const char* name;
    const char* said;
  };
  const ObjectId inner = raw_object("ws", "tree", tree_entry("100644", "config", blob()));
  for (const Attack& attack :
       {Attack{"100644", ".git", "hasDotgit"}, Attack{"40000", ".git", "hasDotgit"}, Attack{"40000", "..", "hasDotdot"},
        Attack{"40000", ".", "hasDot"}, Attack{"40000", ".GIT", "hasDotgit"}, Attack{"40000", "git~1", "hasDotgit"},
        Attack{"40000", ".g\u200cit", "hasDotgit"}, Attack{"100644", "a/b", "fullPathname"},
        Attack{"120000", ".gitmodules", "gitmodulesSymlink"}, Attack{"0100644", "x", "zeroPaddedFilemode"}}) {
    const bool is_tree = std::string(attack.mode) == "40000";
    const ObjectId tip = commit_tree(tree_entry(attack.mode, attack.name, is_tree ? inner : blob()));
    EXPECT_THAT(error_of(export_to("out.pack")), HasSubstr(std::string("check the agent's commits: "))) << attack.name;
    EXPECT_THAT(error_of(export_to("out.pack")), HasSubstr(attack.said)) << attack.name;
    EXPECT_FALSE(exists("out.pack"));
    write("ws/.git/refs/heads/" + branch, base + "\n");
    EXPECT_NE(tip, base);
  }
  commit_tree(tree_entry("100644", "x", blob()) + tree_entry("100644", "x", blob()));
  EXPECT_THAT(error_of(export_to("out.pack")), HasSubstr("duplicateEntries"));
}

TEST_F(Hostile, CommitsThatAreNotCommitsAreRefused) {
  const std::string tree = sh("ws", "git rev-parse HEAD^{tree}");
  const ObjectId made = raw_object(
      "ws", "commit", "tree " + tree + "\nparent " + base + "\nauthor no one\ncommitter x <x> 1 +0000\n\nm\n");
  write("ws/.git/refs/heads/" + branch, made + "\n");
  EXPECT_THAT(error_of(export_to("out.pack")), HasSubstr("missingEmail"));
}

TEST_F(Hostile, FinishThroughLinkedDirectoriesStaysInside) {
  // refs/heads becomes a link between reading and writing only if the agent lives; here it is one from the start.
  sh("ws",
     "echo x > n; rm -r .git/refs/heads; mkdir ../target; ln -s ../../../target .git/refs/heads;"
     "echo " +
         base + " refs/heads/" + branch + " > .git/packed-refs");
  EXPECT_THAT(error_of(finish()), HasSubstr("a symbolic link is in the way"));
  EXPECT_EQ(sh("target", "ls -A"), "");
}

}  // namespace
}  // namespace bulkhead
