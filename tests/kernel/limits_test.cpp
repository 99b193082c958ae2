// Limits of disks, and pressure: on pure cgroup v2 and on hybrid hosts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>

#include "sandbox/launch/disks.h"
#include "tests/support/sandbox_fixture.h"

namespace bulkhead {
namespace {

using test::policy;
using test::spec_of;

class RootLimits : public test::RootSandboxTest {
 protected:
  // The first line of a file of a live sandbox's cgroup that starts with `beginning`.
  std::string line_of(const std::string& id, const char* controller, const std::string& file,
                      const std::string& beginning) const {
    const bool hybrid = host_.cgroups.mode == CgroupMode::hybrid;
    const std::string parent = hybrid ? host_.cgroups.v1.at(controller) : host_.cgroups.v2_parent;
    std::istringstream lines(read_file(parent + "/" + cgroup_root_ + "/" + id + "/" + file).value_or("unreadable"));
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with(beginning)) return line;
    return "no such line";
  }
  // "254:0", where the scratch directory lies on a block device.
  std::string disk_of_scratch() const {
    struct stat st{};
    if (::stat(scratch_.c_str(), &st) != 0) return {};
    const std::string number = std::to_string(major(st.st_dev)) + ":" + std::to_string(minor(st.st_dev));
    return exists("/sys/dev/block/" + number) ? number : std::string();
  }
};

TEST_F(RootLimits, DisksAreWholeAndHaveASize) {
  for (const auto& [name, dev, size] :
       {std::tuple{"sda", "8:0\n", "1000\n"}, {"loop0", "7:0\n", "0\n"}, {"nvme0n1", "259:3\n", "2000\n"}}) {
    const std::string directory = scratch_ + "/block/" + name;
    ASSERT_TRUE(make_directories(directory, 0755));
    ASSERT_TRUE(write_file_atomic(directory + "/dev", dev));
    ASSERT_TRUE(write_file_atomic(directory + "/size", size));
  }
  ASSERT_TRUE(make_directories(scratch_ + "/block/nvme0c0n1", 0755));  // a path of a multipath disk
  EXPECT_EQ(list_disks(scratch_), (std::vector<std::string>{"259:3", "8:0"}));
  EXPECT_TRUE(list_disks(scratch_ + "/nowhere").empty());
}

TEST_F(RootLimits, OfDisksAreWrittenForEach) {
  const auto disks = list_disks();
  if (disks.empty() || !host_.cgroups.io) GTEST_SKIP() << "this machine has no disk, or no controller for it";
  const auto plan = plan_for(spec_of(policy({{"limits", {{"io_read", "8Mi"}, {"io_write", "3Mi"}}}})),
                             {"sleep", "1000"}, placement("run/agent/io"));
  ASSERT_TRUE(plan) << plan.error().text();
  const auto live = client_->launch({.id = "io", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(live) << live.error().text();
  for (const std::string& disk : disks)
    if (host_.cgroups.mode == CgroupMode::v2) {
      EXPECT_EQ(line_of("run/agent/io", "io", "io.max", disk + " "),
                disk + " rbps=8388608 wbps=3145728 riops=max wiops=max");
    } else {
      EXPECT_EQ(line_of("run/agent/io", "io", "blkio.throttle.read_bps_device", disk + " "), disk + " 8388608");
      EXPECT_EQ(line_of("run/agent/io", "io", "blkio.throttle.write_bps_device", disk + " "), disk + " 3145728");
    }
}

// Nodes of others stand already, without the controller.
TEST_F(RootLimits, OfDisksComeToASiblingToo) {
  if (list_disks().empty() || !host_.cgroups.io) GTEST_SKIP() << "this machine has no disk, or no controller for it";
  const auto first = plan_for(spec_of(policy()), {"sleep", "1000"}, placement("run/agent/a"));
  ASSERT_TRUE(client_->launch({.id = "a", .plan = *first, .extra_fds = {}}));
  const auto second =
      plan_for(spec_of(policy({{"limits", {{"io_write", "3Mi"}}}})), {"sleep", "1000"}, placement("run/agent/b"));
  const auto live = client_->launch({.id = "b", .plan = *second, .extra_fds = {}});
  EXPECT_TRUE(live) << live.error().text();
}

TEST_F(RootLimits, OfDisksSlowDirectWrites) {
  const std::string disk = disk_of_scratch();
  if (disk.empty() || !host_.cgroups.io) GTEST_SKIP() << "the scratch directory lies on no block device";
  const std::string data = scratch_ + "/data";
  ASSERT_TRUE(make_directory(data, 0777));
  ASSERT_EQ(::chmod(data.c_str(), 0777), 0);
  ASSERT_EQ(::chmod(scratch_.c_str(), 0711), 0);
  const auto took = [&](const std::string& limit) {
    const auto r = sh("dd if=/dev/zero of=/data/x bs=256k count=12 oflag=direct 2>&1",
                      {{"allow", {"writable-host"}},
                       {"mounts", {{"/data", {{"source", data}, {"access", "read_write"}}}}},
                       {"limits", {{"io_write", limit}}}});
    EXPECT_EQ(r.record.exit_code, 0) << r.out << r.record.detail;
    return r;
  };
  const auto slow = took("1Mi");  // 3 MiB
  const auto free = took("unlimited");
  EXPECT_GT(slow.record.wall_ms, 1500) << slow.out;
  EXPECT_GT(slow.record.wall_ms, free.record.wall_ms + 1000) << slow.out << free.out;
}

TEST_F(RootLimits, PressureIsToldOfWhoeverWaited) {
  if (!exists(host_.cgroups.v2_parent + "/" + cgroup_root_ + "/cpu.pressure") && !exists("/proc/pressure/cpu"))
    GTEST_SKIP() << "this kernel tells no pressure";
  // Half a second of wanting the CPU, however fast it is: 2 ms of each 100 are its own.
  const auto waiting =
      sh("read a _ </proc/uptime; a=${a%.*}${a#*.}; while read b _ </proc/uptime; b=${b%.*}${b#*.}; "
         "[ $((b - a)) -lt 50 ]; do :; done",
         {{"limits", {{"cpu", "20m"}}}});
  EXPECT_GT(waiting.record.pressure.cpu_ms, 100) << waiting.record.wall_ms << waiting.err;
  const auto asleep = sh("exec sleep 0.3");
  EXPECT_LT(asleep.record.pressure.cpu_ms, asleep.record.wall_ms);
}

TEST_F(RootLimits, TheWholeSandboxEndsWithoutALimitOfItsOwnToo) {
  if (host_.cgroups.mode != CgroupMode::v2)
    GTEST_SKIP() << "cgroup v1 has no memory.oom.group; the launcher looks instead";
  const auto plan = plan_for(spec_of(policy({{"allow", {"unlimited-memory"}}, {"limits", {{"memory", "unlimited"}}}})),
                             {"sleep", "1000"}, placement("o"));
  ASSERT_TRUE(client_->launch({.id = "o", .plan = *plan, .extra_fds = {}}));
  EXPECT_EQ(line_of("o", "", "memory.oom.group", ""), "1");
}

// As on a host whose topmost node gives nothing to those below it until somebody asks: a container's, often.
TEST_F(RootLimits, ControllersAreAskedForAboveARootNodeThatIsASandboxItself) {
  if (host_.cgroups.mode != CgroupMode::v2) GTEST_SKIP() << "the v2 tree has no controllers here";
  CgroupLayout below = host_.cgroups;
  below.v2_parent += "/bulkhead-test-" + std::to_string(::getpid());
  ASSERT_EQ(::mkdir(below.v2_parent.c_str(), 0755), 0);
  EXPECT_EQ(read_file(below.v2_parent + "/cgroup.subtree_control").value(), "");
  {
    auto cgroup = Cgroup::create(below, "root", "", {"memory", "cpu", "pids"});
    EXPECT_TRUE(cgroup) << cgroup.error().text();
    for (const char* what : {"memory", "pids"})
      if (cgroup) EXPECT_TRUE(cgroup->limit(what, 1U << 20));
  }
  EXPECT_TRUE(remove_cgroup_root(below, "root"));
  EXPECT_EQ(::rmdir(below.v2_parent.c_str()), 0);
}

}  // namespace
}  // namespace bulkhead
