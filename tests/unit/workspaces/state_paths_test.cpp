#include "supervisor/core/workspaces/state_paths.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace bulkhead {
namespace {

const std::string commit(40, 'a');

TEST(StatePaths, NamesEveryPathOfTheTree) {
  const StatePaths state;
  EXPECT_EQ(state.root(), "/var/lib/bulkhead");
  EXPECT_EQ(state.lock(), "/var/lib/bulkhead/lock");
  EXPECT_EQ(state.journal(), "/var/lib/bulkhead/journal.db");
  EXPECT_EQ(state.blobs(), "/var/lib/bulkhead/blobs");
  EXPECT_EQ(state.control_socket(), "/var/lib/bulkhead/control.sock");
  EXPECT_EQ(state.launcher_socket(), "/var/lib/bulkhead/launcher.sock");
  EXPECT_EQ(state.mounts(), "/var/lib/bulkhead/mnt");

  const BasePaths base = StatePaths("/s").base("repo-0123456789abcdef", commit);
  EXPECT_EQ(base.directory(), "/s/bases/repo-0123456789abcdef/" + commit);
  EXPECT_EQ(base.tree(), base.directory() + "/tree");
  EXPECT_EQ(base.ready(), base.directory() + "/ready");

  const AgentPaths agent = StatePaths("/s").agent("20260102-1", "fix.a");
  EXPECT_EQ(agent.directory(), "/s/runs/20260102-1/fix.a");
  EXPECT_EQ(agent.stub(), "/s/runs/20260102-1/fix.a/stub");
  EXPECT_EQ(agent.attempt(1).upper(), "/s/runs/20260102-1/fix.a/1/disk/upper");
  EXPECT_EQ(agent.attempt(2).work(), "/s/runs/20260102-1/fix.a/2/disk/work");
  EXPECT_EQ(agent.attempt(12).resume_report(), "/s/runs/20260102-1/fix.a/12/resume.json");
  EXPECT_EQ(agent.verification("result").upper(), "/s/runs/20260102-1/fix.a/verify-result/disk/upper");
  EXPECT_EQ(agent.checkpoint(3).upper(), "/s/runs/20260102-1/fix.a/checkpoints/3/upper");
  EXPECT_EQ(agent.checkpoint(3).home(), "/s/runs/20260102-1/fix.a/checkpoints/3/home");
}

TEST(StatePaths, WhatWouldLeaveTheTreeIsABug) {
  const StatePaths state;
  for (const char* bad : {"", ".", "..", "a/b", "../x", "A", "-a", "a..b", "a.lock", "a.", "a\nb"}) {
    EXPECT_THROW(state.run(bad), std::invalid_argument) << bad;
    EXPECT_THROW(state.agent("run", bad), std::invalid_argument) << bad;
    EXPECT_THROW(state.base(bad, commit), std::invalid_argument) << bad;
  }
  EXPECT_THROW(state.base("repo", "HEAD"), std::invalid_argument);
  EXPECT_THROW(state.base("repo", std::string(40, 'A')), std::invalid_argument);
  EXPECT_THROW(state.agent("run", "a").attempt(0), std::invalid_argument);
  EXPECT_THROW(state.agent("run", "a").verification("../x"), std::invalid_argument);
  EXPECT_THROW(state.agent("run", "a").checkpoint(0), std::invalid_argument);
  for (const char* bad : {"", "/", "relative", "/a/", "/a//b", "/a/../b", "/a/.", "/a/.."}) {
    EXPECT_THROW(StatePaths{bad}, std::invalid_argument) << bad;
  }
}

TEST(StatePaths, NamesFitAPathACgroupAndARef) {
  for (const char* good : {"a", "0", "issue-41", "a.b_c-d", "a.locked"}) EXPECT_TRUE(is_state_name(good)) << good;
  EXPECT_TRUE(is_state_name(std::string(63, 'a')));
  EXPECT_FALSE(is_state_name(std::string(64, 'a')));
  EXPECT_FALSE(is_state_name(std::string("a\0b", 3)));
}

TEST(StatePaths, RepositoryKeysAreReadableDistinctNames) {
  const std::string key = repository_key("/home/u/My Project/.git");
  EXPECT_TRUE(key.starts_with("my-project-")) << key;
  EXPECT_TRUE(is_state_name(key)) << key;
  EXPECT_NE(key, repository_key("/home/v/My Project/.git"));
  EXPECT_EQ(key, repository_key("/home/u/My Project/.git"));
  for (const char* odd : {"/", "/.git", "/..", "/-x", "/\xff\xfe", "/a..b.lock/.git", "/srv/bare.git"}) {
    EXPECT_TRUE(is_state_name(repository_key(odd))) << repository_key(odd);
  }
  EXPECT_TRUE(is_state_name(repository_key("/" + std::string(4000, 'x'))));
}

TEST(StatePaths, ObjectIdsAreFullAndLowerCase) {
  EXPECT_TRUE(is_object_id(std::string(40, '0')));
  EXPECT_TRUE(is_object_id(std::string(64, 'f')));
  EXPECT_FALSE(is_object_id(std::string(39, '0')));
  EXPECT_FALSE(is_object_id(std::string(40, 'g')));
  EXPECT_FALSE(is_object_id(std::string(40, 'F')));
}

}  // namespace
}  // namespace bulkhead
