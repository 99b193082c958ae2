// One cgroup as it is made and removed, without a launcher.
#include "sandbox/launch/cgroup.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/sys/files.h"

namespace bulkhead::test {
namespace {

class RootCgroup : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    layout_ = probe_host().value().cgroups;
    ASSERT_NE(layout_.mode, CgroupMode::none);
  }
  void TearDown() override {
    // EBUSY for a moment after the last one in it was reaped.
    for (int i = 0; i < 200 && !remove_cgroup_root(layout_, root_); ++i) ::poll(nullptr, 0, 5);
    EXPECT_TRUE(remove_cgroup_root(layout_, root_));
  }
  Result<Cgroup> create() { return Cgroup::create(layout_, root_, "run/agent", {"memory", "pids"}); }
  std::string value(const char* v1, const char* v2) const {
    const bool hybrid = layout_.mode == CgroupMode::hybrid;
    const std::string parent = hybrid ? layout_.v1.at("pids") : layout_.v2_parent;
    return read_file(parent + "/" + root_ + "/run/agent/" + (hybrid ? v1 : v2)).value_or("unreadable");
  }
  CgroupLayout layout_;
  std::string root_ = "bulkhead-t" + std::to_string(::getpid());
};

// A launcher that was killed left it; the next sandbox of that name starts with none of it.
TEST_F(RootCgroup, IsNewWhereOneOfThatNameWasLeft) {
  {
    auto left = create();
    ASSERT_TRUE(left) << left.error().text();
    ASSERT_TRUE(left->limit("pids", 3));
    ASSERT_TRUE(left->set_frozen(true));
  }
  auto cgroup = create();
  ASSERT_TRUE(cgroup) << cgroup.error().text();
  EXPECT_EQ(value("pids.max", "pids.max"), "max\n");
  const std::string node = layout_.v2_parent + "/" + root_ + "/run/agent";
  EXPECT_EQ(read_file(node + "/cgroup.freeze").value(), "0\n");
}

TEST_F(RootCgroup, IsRefusedWhereSomebodyLivesInIt) {
  auto cgroup = create();
  ASSERT_TRUE(cgroup) << cgroup.error().text();
  const pid_t inside = ::fork();
  if (inside == 0)
    for (;;) ::pause();
  const std::string node = layout_.v2_parent + "/" + root_ + "/run/agent";
  EXPECT_TRUE(write_kernel_file(node + "/cgroup.procs", std::to_string(inside)));
  const auto again = create();
  EXPECT_FALSE(again);
  if (!again) {
    EXPECT_EQ(again.error().code, EBUSY);
    EXPECT_EQ(again.error().object, node);
  }
  ::kill(inside, SIGKILL);
  ::waitpid(inside, nullptr, 0);
}

TEST_F(RootCgroup, OfOneThatCannotBeMadeNothingIsLeft) {
  CgroupLayout broken = layout_;
  broken.v1["pids"] = "/proc/self";  // where nobody makes a directory
  EXPECT_FALSE(Cgroup::create(broken, root_, "run/agent", {"memory", "pids"}));
  EXPECT_FALSE(exists(layout_.v2_parent + "/" + root_ + "/run/agent"));
  if (layout_.v1.contains("memory")) EXPECT_FALSE(exists(layout_.v1.at("memory") + "/" + root_ + "/run/agent"));
}

}  // namespace
}  // namespace bulkhead::test
