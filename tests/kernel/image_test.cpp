// Roots from images, below the verbs: who makes one, who uses one, and what a sandbox sees of it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <atomic>
#include <thread>
#include <vector>

#include "sandbox/launch/image_store.h"
#include "sandbox/launch/user_namespace.h"
#include "tests/support/sandbox_fixture.h"

namespace bulkhead::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kKey(64, 'a');

class RootImage : public RootSandboxTest {
 protected:
  std::string store() const { return scratch_ + "/images"; }
  std::string path() const { return store() + "/" + kKey; }
  static std::uint32_t owner(LauncherClient& client) {
    return client.acquire_range(RangeUse::store).value() + kInsideUserId;
  }
  static LauncherClient another() { return LauncherClient::start_private(launcher_path(), "").value(); }

  // A root of one program and nothing else.
  std::string make_tree() {
    const std::string tree = scratch_ + "/tree";
    for (const char* directory : {"", "/bin", "/etc"}) EXPECT_TRUE(make_directory(tree + directory, 0755));
    EXPECT_EQ(std::system(("cp $(command -v busybox) " + tree + "/bin/sh && chmod 755 " + tree + " " + tree + "/bin " +
                           tree + "/etc " + tree + "/bin/sh && echo image >" + tree + "/etc/hosts")
                              .c_str()),
              0);
    return tree;
  }
  Outcome run_in(const std::string& tree, const std::string& script, json mounts = json::object()) {
    const json policy = {
        {"version", 1}, {"root", {{"from", "image"}, {"path", "/srv/image"}}}, {"mounts", std::move(mounts)}};
    Placement place = placement();
    place.image_tree = tree;
    return run(spec_of(policy), {"/bin/sh", "-c", script}, place, "/");
  }
};

TEST_F(RootImage, IsMadeByOneAndFoundByAll) {
  EXPECT_FALSE(client_->find_image(store(), kKey).value());
  const auto tree = client_->begin_image(store(), kKey, owner(*client_));
  ASSERT_TRUE(tree) << tree.error().text();
  struct stat st{};
  ASSERT_EQ(::lstat(tree->tree.c_str(), &st), 0);
  EXPECT_GE(st.st_uid, kRangeFirst + (kRangeCount - kStoreRanges) * kRangeSize);
  LauncherClient other = another();
  EXPECT_EQ(other.begin_image(store(), kKey, owner(other)).error().code, EBUSY);
  EXPECT_FALSE(other.find_image(store(), kKey).value());
  EXPECT_EQ(lock_unused_image(path() + ".making").error().code, EBUSY);

  const auto made = client_->finish_image(store(), kKey, "facts");
  ASSERT_TRUE(made) << made.error().text();
  EXPECT_EQ(made->tree, path() + "/tree");
  const auto found = other.find_image(store(), kKey).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->tree, made->tree);
  EXPECT_EQ(found->facts, "facts");
  EXPECT_EQ(other.begin_image(store(), kKey, owner(other)).error().code, EEXIST);
  EXPECT_FALSE(exists(path() + ".making"));
  EXPECT_EQ(lock_unused_image(path()).error().code, EBUSY);  // in use
}

TEST_F(RootImage, OfAMakerThatDiedNothingIsUsed) {
  std::uint32_t dead = 0;
  {
    LauncherClient other = another();
    dead = owner(other);
    const auto begun = other.begin_image(store(), kKey, dead);
    ASSERT_TRUE(begun) << begun.error().text();
    EXPECT_EQ(begun->left, "");
    ASSERT_TRUE(write_file_atomic(begun->tree + "/half", "made"));
  }
  // Its launcher ends with it, and its lock.
  while (!lock_unused_image(path() + ".making")) ::poll(nullptr, 0, 5);
  EXPECT_FALSE(client_->find_image(store(), kKey).value());
  const auto begun = client_->begin_image(store(), kKey, dead);
  ASSERT_TRUE(begun) << begun.error().text();
  EXPECT_TRUE(list_directory(begun->tree).value().empty());
  // It is ours to empty, and of nobody else meanwhile.
  EXPECT_EQ(begun->left, path() + ".1.removed/tree");
  EXPECT_EQ(read_file(begun->left + "/half").value(), "made");
  EXPECT_EQ(lock_unused_image(path() + ".1.removed").error().code, EBUSY);
  ASSERT_EQ(::unlink((begun->left + "/half").c_str()), 0);
  EXPECT_TRUE(client_->discard_image(begun->left));
  EXPECT_EQ(client_->abandon_image(store(), kKey).value(), "");  // nothing was made: nothing to empty
  EXPECT_TRUE(list_directory(store()).value().empty());
  EXPECT_THAT(client_->finish_image(store(), kKey, "").error().text(), HasSubstr("it is not being made"));
}

TEST_F(RootImage, WhatIsLeftByAnotherRangeIsForWhoeverCleansUp) {
  {
    LauncherClient other = another();
    const auto begun = other.begin_image(store(), kKey, kRangeFirst + kRangeCount * kRangeSize - 1);
    ASSERT_TRUE(begun) << begun.error().text();
    ASSERT_TRUE(write_file_atomic(begun->tree + "/half", "made"));
  }
  while (!lock_unused_image(path() + ".making")) ::poll(nullptr, 0, 5);
  const auto begun = client_->begin_image(store(), kKey, owner(*client_));
  ASSERT_TRUE(begun) << begun.error().text();
  EXPECT_EQ(begun->left, "");
  EXPECT_TRUE(lock_unused_image(path() + ".1.removed"));
  EXPECT_TRUE(exists(path() + ".1.removed/tree/half"));
}

// Others wait for the launcher: it removes nothing that may be large.
TEST_F(RootImage, AbandonedItIsPutAwayAndEmptiedByOthers) {
  const auto begun = client_->begin_image(store(), kKey, owner(*client_));
  ASSERT_TRUE(begun) << begun.error().text();
  ASSERT_TRUE(write_file_atomic(begun->tree + "/half", "made"));
  const auto half = client_->abandon_image(store(), kKey);
  ASSERT_TRUE(half) << half.error().text();
  EXPECT_EQ(*half, path() + ".1.removed/tree");
  EXPECT_EQ(read_file(*half + "/half").value(), "made");
  EXPECT_EQ(lock_unused_image(path() + ".1.removed").error().code, EBUSY);
  // Another may begin at once; a second one that fails has a name of its own.
  const auto again = client_->begin_image(store(), kKey, owner(*client_));
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(again->left, "");
  ASSERT_TRUE(write_file_atomic(again->tree + "/half", "made"));
  EXPECT_EQ(client_->abandon_image(store(), kKey).value(), path() + ".2.removed/tree");
  // Not emptied, it stays, for whoever cleans up.
  EXPECT_THAT(client_->discard_image(*half).error().text(), HasSubstr("Directory not empty"));
  EXPECT_TRUE(lock_unused_image(path() + ".1.removed"));
  EXPECT_THAT(client_->discard_image(*half).error().text(), HasSubstr("it is not being removed"));
  EXPECT_THAT(client_->discard_image("/").error().text(), HasSubstr("it is not being removed"));
  EXPECT_TRUE(exists(*half + "/half"));
}

TEST_F(RootImage, ThatCannotBeFinishedIsNotBusyForEver) {
  const auto begun = client_->begin_image(store(), kKey, owner(*client_));
  ASSERT_TRUE(begun) << begun.error().text();
  ASSERT_TRUE(write_file_atomic(begun->tree + "/file", "made"));
  ASSERT_TRUE(make_directories(path() + "/x", 0700));  // in the way of its name
  EXPECT_EQ(client_->finish_image(store(), kKey, "facts").error().code, ENOTEMPTY);
  EXPECT_TRUE(lock_unused_image(path() + ".making"));
  EXPECT_EQ(client_->abandon_image(store(), kKey).value(), path() + ".1.removed/tree");
  const auto again = client_->begin_image(store(), kKey, owner(*client_));
  ASSERT_TRUE(again) << again.error().text();
  ASSERT_TRUE(remove_tree(path()));
  EXPECT_TRUE(client_->finish_image(store(), kKey, "facts"));
}

// One makes it, the others come again and again: whatever they meet between its steps is no error.
TEST_F(RootImage, OfManyStartersEachIsTheMakerOrComesAgain) {
  const std::uint32_t id = owner(*client_);
  std::vector<LauncherClient> launchers;
  for (int i = 0; i < 3; ++i) launchers.push_back(another());
  for (int round = 0; round < 100; ++round) {
    std::vector<std::jthread> starters;
    std::atomic<int> makers = 0;
    const std::string digits = std::to_string(round), key = std::string(64 - digits.size(), '0') + digits;
    for (LauncherClient& launcher : launchers)
      starters.emplace_back([&] {
        while (true) {
          const auto found = launcher.find_image(store(), key);
          ASSERT_TRUE(found) << found.error().text();
          if (*found) return;
          const auto begun = launcher.begin_image(store(), key, id);
          if (!begun) {
            ASSERT_TRUE(begun.error().code == EBUSY || begun.error().code == EEXIST) << begun.error().text();
            continue;
          }
          EXPECT_EQ(begun->left, "");
          ++makers;
          const auto made = launcher.finish_image(store(), key, "facts");
          ASSERT_TRUE(made) << made.error().text();
        }
      });
    starters.clear();
    EXPECT_EQ(makers, 1);
    if (HasFailure()) return;
  }
}

TEST_F(RootImage, BelongsToARangeThatNoSandboxEverHas) {
  EXPECT_THAT(client_->begin_image(store(), kKey, range() + kInsideUserId).error().text(),
              HasSubstr("its owner must be of a store's uid range"));
  for (const char* key : {"", "../../etc", "aa", "/"})
    EXPECT_THAT(client_->begin_image(store(), key, owner(*client_)).error().text(), HasSubstr("is not the key of one"));
  for (int i = 0; i < 20; ++i)
    EXPECT_LT(client_->acquire_range().value(), kRangeFirst + (kRangeCount - kStoreRanges) * kRangeSize);
}

TEST_F(RootImage, IsARootInWhichTheRestIsMade) {
  const std::string tree = make_tree();
  const auto seen = run_in(tree, "for f in / /etc; do echo $f/*; done; read a </etc/hosts; echo $a");
  EXPECT_EQ(seen.record.detail, "exited with status 0") << seen.err;
  EXPECT_EQ(seen.out, "//bin //dev //etc //home //proc //tmp\n/etc/hosts\n127.0.0.1 localhost bulkhead\n");
  // Mounts, files among them, where the image has nothing.
  const auto mounted = run_in(tree, "read a </data/file; echo $a; echo x >/cache/x && echo written",
                              {{"/data/file", {{"source", "/etc/hostname"}}}, {"/cache", {{"tmpfs", "1Mi"}}}});
  EXPECT_THAT(mounted.out, HasSubstr("written")) << mounted.record.detail << mounted.err;
  // The tree itself is as it was.
  EXPECT_EQ(list_directory(tree).value(), (std::vector<std::string>{"bin", "etc"}));
  EXPECT_EQ(read_file(tree + "/etc/hosts").value(), "image\n");
}

TEST_F(RootImage, CannotBeWritten) {
  const std::string tree = make_tree();
  EXPECT_EQ(::chmod((tree + "/etc").c_str(), 0777), 0);
  for (const char* script : {"echo x >/etc/new", "echo x >/new", "echo x >>/etc/hosts", "echo x >/bin/sh"})
    EXPECT_NE(run_in(tree, script).record.exit_code, 0) << script;
  EXPECT_EQ(list_directory(tree + "/etc").value(), std::vector<std::string>{"hosts"});
}

// A second root below the first is a mount that stays between the old root and the new one: the old one would come
// back on top, and the command would stand on the host.
TEST_F(RootImage, ARootThatIsNotTheOneThatWasMadeStartsNothing) {
  const auto spec = spec_of(policy());
  auto plan = plan_for(spec, {"/bin/sh", "-c", "echo x >" + scratch_ + "/escaped"}, placement());
  ASSERT_TRUE(plan) << plan.error().text();
  const auto root =
      std::ranges::find_if(plan->operations, [](const Operation& op) { return op.step == Step::root_tmpfs; });
  ASSERT_NE(root, plan->operations.end());
  const Operation twice = *root;
  plan->operations.insert(root, twice);
  ASSERT_EQ(::chmod(scratch_.c_str(), 0777), 0);
  const auto live = client_->launch({.id = "test/twice", .plan = std::move(*plan)});
  std::string why = live ? "" : live.error().text();
  if (live) {
    const auto record = client_->next_exit();
    ASSERT_TRUE(record) << record.error().text();
    EXPECT_EQ(record->reason, EndReason::setup_failed);
    why = record->detail;
  }
  EXPECT_THAT(why, HasSubstr("the root is not the one that was made"));
  EXPECT_FALSE(exists(scratch_ + "/escaped"));
}

TEST_F(RootImage, AMissingTreeIsASetupFailure) {
  const auto r = run_in(scratch_ + "/none", "true");
  EXPECT_EQ(r.record.reason, EndReason::setup_failed);
  EXPECT_THAT(r.record.detail, HasSubstr("root_layer"));
  EXPECT_THAT(r.record.detail, HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace bulkhead::test
