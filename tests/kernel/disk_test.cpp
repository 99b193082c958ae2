// Disks: what the kernel bounds them by, who is not touched by a full one, and what is left of them when somebody dies.
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox/launch/disk_helper.h"
#include "sandbox/launch/disk_image.h"
#include "sandbox/launch/disk_leftovers.h"
#include "sandbox/launch/disk_quota.h"
#include "sandbox/launch/user_namespace.h"
#include "tests/support/launcher_fixture.h"

namespace bulkhead::test {
namespace {

using ::testing::HasSubstr;

constexpr DiskLimits kSmall{.bytes = 16ULL << 20, .inodes = 256};

class DiskTest : public DetachedLauncherTest {
 protected:
  void TearDown() override {
    DetachedLauncherTest::TearDown();
    if (!state_.empty()) EXPECT_TRUE(no_devices());
    EXPECT_TRUE(lift_abandoned(place()));
  }

  std::vector<std::string> devices() const { return loop_devices_of(state_); }
  bool no_devices() const {
    for (int i = 0; i < 1000; ++i) {
      if (devices().empty()) return true;
      ::poll(nullptr, 0, 10);
    }
    return false;
  }

  // An attempt's directory with a disk that has a home on it.
  std::string attempt(const std::string& name, std::uint32_t range, const DiskLimits& limits = kSmall) {
    const std::string directory = state_ + "/" + name;
    EXPECT_TRUE(make_directory(directory, 0711));
    EXPECT_EQ(::chmod(directory.c_str(), 0711), 0);
    const auto root = client_->attach_disk(directory, range, limits);
    EXPECT_TRUE(root) << root.error().text();
    if (!root) return directory;
    const std::string home = "/proc/self/fd/" + std::to_string(root->get()) + "/home";
    EXPECT_EQ(::mkdir(home.c_str(), 0700), 0);
    EXPECT_EQ(::lchown(home.c_str(), range + kInsideUserId, range + kInsideUserId), 0);
    return directory;
  }
  // One that is being unmounted is in use a moment longer.
  Result<Fd> attach_once_free(const std::string& directory) {
    auto root = client_->attach_disk(directory, range());
    for (int i = 0; i < 1000 && !root && root.error().code == EWOULDBLOCK; ++i) {
      ::poll(nullptr, 0, 10);
      root = client_->attach_disk(directory, range());
    }
    return root;
  }
  Placement on_disk(const std::string& directory, std::uint32_t range, const std::string& node) {
    Placement place = placement(node);
    place.range_base = range;
    place.disk = directory + "/disk";
    MountSpec mount;
    mount.target = *SandboxPath::parse("/home/agent");
    mount.source = directory + "/disk/home";
    mount.access = MountAccess::read_write;
    mount.origin = "test";
    place.mounts.push_back(mount);
    return place;
  }
  static SandboxSpec small_spec() {
    return spec_of(policy({{"limits", {{"disk", kSmall.bytes}, {"inodes", kSmall.inodes}}}}));
  }
  Outcome in(const std::string& directory, std::uint32_t range, const std::string& script) {
    return run(small_spec(), {"/bin/sh", "-c", script}, on_disk(directory, range, "agent" + std::to_string(++nodes_)),
               "/home/agent");
  }

  void fills_its_bytes_and_nobody_elses() {
    const std::uint32_t one = range(), two = client_->acquire_range().value();
    const std::string full = attempt("full", one), other = attempt("other", two);
    const auto r = in(full, one, "head -c 64M /dev/zero > big; echo $?; exit 1");
    EXPECT_EQ(r.out, "1\n");
    EXPECT_EQ(r.record.reason, EndReason::disk_full) << nlohmann::json(r.record).dump();
    EXPECT_THAT(r.record.detail, ::testing::MatchesRegex("disk full: used 1[0-9.]+Mi of limits.disk 16Mi"));
    EXPECT_EQ(r.record.origin, "/limits/disk");
    EXPECT_GT(r.record.disk_bytes, 14ULL << 20);
    EXPECT_LE(r.record.disk_bytes, 16ULL << 20);
    const auto neighbour = in(other, two, "head -c 8M /dev/zero > big && stat -c %s big");
    EXPECT_EQ(neighbour.out, "8388608\n") << neighbour.err;
    EXPECT_EQ(neighbour.record.exit_code, 0);
    EXPECT_FALSE(neighbour.record.disk_full);
    EXPECT_GE(neighbour.record.disk_bytes, 8ULL << 20);
    // What is removed is room again; a command that does well over a full disk does well.
    EXPECT_EQ(in(full, one, "rm big && head -c 8M /dev/zero > big && echo room").out, "room\n");
    const auto well = in(full, one, "head -c 64M /dev/zero > big; exit 0");
    EXPECT_EQ(well.record.reason, EndReason::exited);
    EXPECT_TRUE(well.record.disk_full);
  }

  void fills_its_inodes() {
    const std::string full = attempt("full", range());
    const auto r = in(full, range(), "i=0; while true > f$i; do i=$((i+1)); done 2>/dev/null; ls | wc -l; exit 1");
    EXPECT_EQ(r.record.reason, EndReason::disk_full) << nlohmann::json(r.record).dump();
    EXPECT_EQ(r.record.detail, "disk full: used " + std::to_string(r.record.disk_inodes) + " of limits.inodes 256");
    EXPECT_EQ(r.record.origin, "/limits/inodes");
    EXPECT_LE(std::stoi(r.out), 256);
    EXPECT_GT(std::stoi(r.out), 230);
  }

  void cannot_be_left(const std::string& said) {
    const std::string directory = attempt("one", range());
    // Everything that is writable on disk counts, whatever it is.
    const auto r = in(directory, range(),
                      "mkdir -p a/b && cd a/b; python3 - <<'P'\n"
                      "import fcntl, os, struct\n"
                      "try:\n"
                      "    for i in range(1000): os.symlink('x', f'l{i}')\n"
                      "except OSError: pass\n"
                      "fd = os.open('.', os.O_RDONLY)\n"
                      "mine = bytearray(28)\n"
                      "project = 0\n"
                      "try:\n"
                      "    fcntl.ioctl(fd, 0x801c581f, mine)\n"  // FS_IOC_FSGETXATTR
                      "    project = struct.unpack_from('IIIII', mine)[3]\n"
                      "except OSError: pass\n"
                      // Another project; and its own, which what is made here from now on would not get.
                      "for wanted in [7] + [project] * (project != 0):\n"
                      "    try:\n"
                      "        fcntl.ioctl(fd, 0x401c5820, struct.pack('IIIII8x', 0, 0, 0, wanted, 0))\n"  // …SETXATTR
                      "        print('left')\n"
                      "    except OSError as e: print('kept')\n"
                      "P\n"
                      "touch more 2>/dev/null && echo more; exit 1");
    EXPECT_EQ(r.out, said);
    EXPECT_EQ(r.record.reason, EndReason::disk_full) << r.out << r.err;
  }

  int nodes_ = 0;
};

bool quota_at(const std::string& directory) {
  const auto fd = open_file(directory, O_RDONLY | O_DIRECTORY);
  return fd && enforces_project_quota(fd->get());
}

class RootDiskImage : public DiskTest {
 protected:
  std::string place() const override {
    if (const char* scratch = ::getenv("BULKHEAD_TEST_SCRATCH")) return scratch;
    return quota_at("/tmp") ? "/dev/shm" : "/tmp";
  }
};

TEST_F(RootDiskImage, FillsItsBytesAndNobodyElses) { fills_its_bytes_and_nobody_elses(); }
TEST_F(RootDiskImage, FillsItsInodes) { fills_its_inodes(); }
TEST_F(RootDiskImage, CannotBeLeft) { cannot_be_left("kept\n"); }

TEST_F(RootDiskImage, IsSeenByNobodyButTheLauncherAndItsSandboxes) {
  const std::string directory = attempt("one", range());
  EXPECT_EQ(in(directory, range(), "echo mine > file; cat file").out, "mine\n");
  EXPECT_FALSE(exists(directory + "/disk/home"));
  EXPECT_THAT(read_file("/proc/self/mountinfo").value(), ::testing::Not(HasSubstr(state_)));
  struct stat st{};
  ASSERT_EQ(::stat(disk_image_path(directory).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  EXPECT_EQ(st.st_uid, 0u);
  // Asked for again it is the same one.
  const auto root = client_->attach_disk(directory, range());
  ASSERT_TRUE(root);
  EXPECT_EQ(read_file("/proc/self/fd/" + std::to_string(root->get()) + "/home/file").value(), "mine\n");
}

TEST_F(RootDiskImage, GoesWhenItIsDroppedUnlessItIsKept) {
  const std::string gone = attempt("gone", range()), kept = attempt("kept", range());
  ASSERT_TRUE(client_->drop_disk(gone, LauncherClient::DiskFiles::remove));
  EXPECT_FALSE(exists(disk_image_path(gone)));
  ASSERT_TRUE(client_->drop_disk(kept, LauncherClient::DiskFiles::keep));
  EXPECT_TRUE(exists(disk_image_path(kept)));
  const auto again = attach_once_free(kept);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_TRUE(exists("/proc/self/fd/" + std::to_string(again->get()) + "/home"));
  EXPECT_TRUE(client_->drop_disk(state_ + "/never", LauncherClient::DiskFiles::remove));
}

TEST_F(RootDiskImage, IsNotMountedTwice) {
  const std::string directory = attempt("one", range());
  auto plan = plan_for(small_spec(), {"sh", "-c", "echo before > file; sync; exec sleep 1000"},
                       on_disk(directory, range(), "agent"), "/home/agent");
  ASSERT_TRUE(plan);
  const auto live = client_->launch({.id = "agent", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(live) << live.error().text();
  const auto root = client_->attach_disk(directory, range());
  ASSERT_TRUE(root);
  const std::string file = "/proc/self/fd/" + std::to_string(root->get()) + "/home/file";
  while (read_file(file).value_or("") != "before\n") ::poll(nullptr, 0, 5);
  kill_launcher();
  start();
  const auto again = client_->attach_disk(directory, range());
  // Our own descriptor keeps the old mount: no image is mounted twice.
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, EWOULDBLOCK);
}

TEST_F(RootDiskImage, OfAKilledLauncherIsMountedByTheNext) {
  const std::string directory = attempt("one", range());
  EXPECT_EQ(in(directory, range(), "echo before > file").record.exit_code, 0);
  auto plan = plan_for(small_spec(), {"sleep", "1000"}, on_disk(directory, range(), "agent"), "/home/agent");
  const auto live = client_->launch({.id = "agent", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(live) << live.error().text();
  EXPECT_FALSE(devices().empty());
  kill_launcher();
  start();  // ends what the dead one left, whose mounts go a moment later
  const auto again = attach_once_free(directory);
  ASSERT_TRUE(again) << again.error().text();
  EXPECT_EQ(read_file("/proc/self/fd/" + std::to_string(again->get()) + "/home/file").value(), "before\n");
  ASSERT_TRUE(client_->drop_disk(directory, LauncherClient::DiskFiles::remove));
}

TEST_F(RootDiskImage, AKilledLauncherLeavesNoDevice) {
  (void)attempt("one", range());
  ASSERT_FALSE(devices().empty());
  kill_launcher();
  EXPECT_TRUE(no_devices());
}

// Its path in sysfs is of no namespace any more; on a file system that is not / it never was one from here.
TEST_F(RootDiskImage, ADeviceIsFoundAndWaitedForAsLongAsSomebodyUsesIt) {
  const std::string directory = attempt("one", range());
  auto root = client_->attach_disk(directory, range());
  ASSERT_TRUE(root);
  kill_launcher();
  for (int i = 0; i < 1000 && devices().size() > 1; ++i) ::poll(nullptr, 0, 10);  // those made ahead go by themselves
  ASSERT_EQ(devices().size(), 1u);
  const std::string device = devices().front();
  const auto busy = wait_for_loop_device(device, state_, std::chrono::milliseconds(20));
  ASSERT_FALSE(busy);
  EXPECT_EQ(busy.error().text(),
            "wait for " + device + ": it is in use by a process that holds it, or a file on it, open");
  // Of another state directory it is not looked at.
  EXPECT_TRUE(wait_for_loop_device(device, state_ + "-other", std::chrono::milliseconds(0)));
  EXPECT_TRUE(loop_devices_of(state_ + "-other").empty());
  root->reset();
  EXPECT_TRUE(wait_for_loop_device(device, state_, std::chrono::seconds(10)));
  EXPECT_TRUE(devices().empty());
}

TEST_F(RootDiskImage, WhoUsesADeviceIsSaid) {
  const std::string directory = attempt("one", range());
  auto plan = plan_for(small_spec(), {"sleep", "1000"}, on_disk(directory, range(), "agent"), "/home/agent");
  const auto live = client_->launch({.id = "agent", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(live) << live.error().text();
  kill_launcher();
  for (int i = 0; i < 1000 && devices().size() > 1; ++i) ::poll(nullptr, 0, 10);
  std::string users;
  for (const std::string& device : devices())
    if (const auto busy = wait_for_loop_device(device, state_, std::chrono::milliseconds(20)); !busy)
      users += busy.error().text();
  EXPECT_THAT(users, ::testing::MatchesRegex("wait for /dev/loop[0-9]+: it is in use by process [0-9]+ \\(.*\\)"));
  ASSERT_TRUE(kill_cgroup_root(host_.cgroups, cgroup_root_));
  EXPECT_TRUE(no_devices());
  start();  // removes the cgroups
}

TEST_F(RootDiskImage, OfAnotherBootIsNotMounted) {
  const std::string directory = attempt("one", range());
  ASSERT_TRUE(client_->drop_disk(directory, LauncherClient::DiskFiles::keep));
  const std::string other = directory + "/disk-00000000-0000-0000-0000-000000000000.img";
  ASSERT_EQ(::rename(disk_image_path(directory).c_str(), other.c_str()), 0);
  const auto refused = client_->attach_disk(directory, range());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text(), "attach disk " + directory +
                                        ": it was made before this machine was started anew, and may be torn: the work "
                                        "goes on from the last checkpoint");
  EXPECT_TRUE(client_->drop_disk(directory, LauncherClient::DiskFiles::remove));
  EXPECT_FALSE(exists(other));
}

TEST_F(RootDiskImage, NothingStartsOnADiskThatIsNotAttached) {
  const std::string directory = attempt("one", range());
  auto place = on_disk(directory, range(), "agent");
  place.disk = state_ + "/elsewhere/disk";
  const auto r = run(small_spec(), {"true"}, place, "/home/agent");
  EXPECT_EQ(r.record.reason, EndReason::setup_failed);
  EXPECT_EQ(r.record.detail, "bound disk " + place.disk + ": it is not attached");
  // Nor on a directory that has taken a disk's place.
  place.disk = directory + "/disk";
  ASSERT_TRUE(remove_tree(directory));
  ASSERT_TRUE(make_directories(directory + "/disk/home", 0755));
  EXPECT_EQ(run(small_spec(), {"true"}, place, "/home/agent").record.detail,
            "bound disk " + place.disk + ": it is not attached");
  const auto outside = client_->attach_disk("/tmp", range(), kSmall);
  ASSERT_FALSE(outside);
  EXPECT_EQ(outside.error().text(), "use disk /tmp: is not below the state directory");
}

TEST_F(RootDiskImage, ManySizesAtOnce) {
  const std::uint32_t base = range();
  for (int i = 0; i < 9; ++i) {
    const DiskLimits limits{.bytes = (16ULL + 16 * (i % 3)) << 20, .inodes = 256};
    (void)attempt("d" + std::to_string(i), base, limits);
  }
  const auto usage = in(state_ + "/d1", base, "df --output=size -m . | tail -n 1").out;
  EXPECT_GE(std::stoi(usage), 30);
  EXPECT_LE(std::stoi(usage), 32);
}

// What it cannot unmount it still knows: the next drop does it. And it removes nothing elsewhere.
TEST_F(RootDiskImage, IsDroppedByThePlaceItHas) {
  const std::string outside = scratch_ + "/outside";
  ASSERT_TRUE(make_directory(outside, 0700));
  const Fd made = std::move(*open_file(disk_image_path(outside), O_RDWR | O_CREAT, 0600));
  for (const std::string& place : {outside, state_ + "/../outside"}) {
    const auto refused = client_->drop_disk(place, LauncherClient::DiskFiles::remove);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().text(), "use disk " + place + ": is not below the state directory");
  }
  EXPECT_TRUE(exists(disk_image_path(outside)));
  // A directory that somebody removed took its mount along.
  const std::string gone = attempt("gone", range());
  ASSERT_TRUE(remove_tree(gone));
  EXPECT_TRUE(client_->drop_disk(gone, LauncherClient::DiskFiles::remove));
}

TEST_F(RootDiskImage, IsUnmountedWhenItsLauncherHasEnded) {
  const std::string directory = attempt("one", range());
  EXPECT_EQ(in(directory, range(), "head -c 12M /dev/zero > big").record.exit_code, 0);
  ASSERT_TRUE(client_->shutdown());
  ASSERT_TRUE(client_->wait_for_end(kPatience));
  EXPECT_TRUE(devices().empty());
  client_.reset();
}

// Whoever asks for a size that was never made waits; the launcher, and whoever else asks it for something, does not.
TEST_F(RootDiskImage, ASizeIsMadeBesideAllElse) {
  const DiskLimits huge{.bytes = 8ULL << 40, .inodes = 3'000'000};  // a second's work
  const auto asked = client_->prepare_disk(huge);
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code, EINPROGRESS);
  const auto another = client_->prepare_disk(kSmall);
  ASSERT_FALSE(another);
  EXPECT_EQ(another.error().code, EINPROGRESS);
  EXPECT_TRUE(client_->list());
  EXPECT_TRUE(list_directory(state_ + "/disks").value().empty());
  // Ended half way it leaves nothing: TearDown looks.
}

TEST_F(RootDiskImage, OfManySizesTheLatestAreKept) {
  const auto made = [&](std::uint64_t inodes) {
    auto how = client_->prepare_disk({.bytes = kSmall.bytes, .inodes = inodes});
    while (!how && how.error().code == EINPROGRESS) {
      ::poll(nullptr, 0, 2);
      how = client_->prepare_disk({.bytes = kSmall.bytes, .inodes = inodes});
    }
    return how;
  };
  for (std::uint64_t i = 1; i <= DiskMaker::kMostForms + 2; ++i) EXPECT_EQ(made(64 * i).value(), DiskMechanism::image);
  const auto names = list_directory(state_ + "/disks").value();
  EXPECT_EQ(names.size(), DiskMaker::kMostForms);
  EXPECT_THAT(names, ::testing::Not(::testing::Contains(::testing::EndsWith("-64.img"))));
  EXPECT_THAT(names, ::testing::Contains(::testing::EndsWith("-640.img")));
  // One that went is made anew.
  const std::uint32_t base = range();
  (void)attempt("first", base, {.bytes = kSmall.bytes, .inodes = 64});
}

TEST_F(RootDiskImage, WhyASizeCannotBeMadeIsTold) {
  const DiskLimits never{.bytes = 1ULL << 50, .inodes = 64};  // no file is as large
  auto told = client_->prepare_disk(never);
  for (int i = 0; i < 1000 && !told && told.error().code == EINPROGRESS; ++i) {
    ::poll(nullptr, 0, 10);
    told = client_->prepare_disk(never);
  }
  ASSERT_FALSE(told);
  EXPECT_THAT(told.error().text(), ::testing::ContainsRegex("format disk|disk image"));
  EXPECT_NE(told.error().code, kNoDiskBounds);
}

// Another's disk waits for the one that is made, and not for what becomes of it.
TEST_F(RootDiskImage, ASizeThatCannotBeMadeIsNobodyElsesTrouble) {
  ASSERT_EQ(client_->prepare_disk({.bytes = 8ULL << 40, .inodes = 3'000'000}).error().code, EINPROGRESS);
  const pid_t launcher = launcher_pid();
  pid_t mke2fs = -1;
  while (mke2fs < 0)
    for (const int helper : children_of(launcher))
      for (const int child : children_of(helper))
        if (read_file("/proc/" + std::to_string(child) + "/comm").value_or("") == "mke2fs\n") mke2fs = child;
  ASSERT_EQ(::kill(mke2fs, SIGSTOP), 0);
  const pid_t killer = ::fork();
  ASSERT_GE(killer, 0);
  if (killer == 0) {  // once the launcher waits for its helper's answer
    const std::string waits = std::to_string(SYS_recvmsg) + " ";
    while (!read_file("/proc/" + std::to_string(launcher) + "/syscall").value_or(waits).starts_with(waits))
      ::poll(nullptr, 0, 1);
    ::_exit(::kill(mke2fs, SIGKILL) == 0 ? 0 : 1);
  }
  (void)attempt("one", range());
  int status = 0;
  ASSERT_EQ(::waitpid(killer, &status, 0), killer);
  EXPECT_EQ(status, 0);
}

class RootProjectQuota : public DiskTest {
 protected:
  std::string place() const override { return "/tmp"; }
  void SetUp() override {
    if (!quota_at("/tmp")) GTEST_SKIP() << "the file system of /tmp enforces no project quota";
    DiskTest::SetUp();
  }
};

TEST_F(RootProjectQuota, FillsItsBytesAndNobodyElses) { fills_its_bytes_and_nobody_elses(); }
TEST_F(RootProjectQuota, FillsItsInodes) { fills_its_inodes(); }
TEST_F(RootProjectQuota, CannotBeLeft) { cannot_be_left("kept\nkept\n"); }

TEST_F(RootProjectQuota, IsWhatIsUsedWhereThereIsOneAndGoesWithTheDisk) {
  EXPECT_EQ(client_->prepare_disk(kSmall).value(), DiskMechanism::quota);
  const std::string directory = attempt("one", range());
  EXPECT_TRUE(exists(directory + "/disk/home"));
  EXPECT_TRUE(devices().empty());
  const Fd root = std::move(*open_file(directory + "/disk", O_RDONLY | O_DIRECTORY));
  const std::uint32_t project = project_of(root.get()).value();
  EXPECT_GE(project, range());
  EXPECT_LT(project, range() + kRangeSize);
  EXPECT_EQ(project_limits(root.get(), project).value(), kSmall);
  // A second disk of the agent has a project of its own.
  const std::string second = attempt("two", range());
  Fd other = std::move(*open_file(second + "/disk", O_RDONLY | O_DIRECTORY));
  EXPECT_EQ(project_of(other.get()).value(), project + 1);
  ASSERT_TRUE(client_->drop_disk(directory, LauncherClient::DiskFiles::remove));
  EXPECT_EQ(project_limits(root.get(), project).value(), DiskLimits{});
  // A launcher that ends leaves the bounds of what is still there; once the files are gone they are of nothing, and
  // found.
  const std::uint32_t left = project_of(other.get()).value();
  EXPECT_THAT(abandoned_projects(root.get()), ::testing::Not(::testing::Contains(left)));
  const Fd state = std::move(*open_file(state_, O_RDONLY | O_DIRECTORY));
  other.reset();  // what is open still counts, here and in the launcher
  ASSERT_TRUE(client_->shutdown());
  ASSERT_TRUE(client_->wait_for_end(kPatience));
  client_.reset();
  ASSERT_TRUE(remove_tree(second));
  EXPECT_THAT(abandoned_projects(state.get()), ::testing::Contains(left));
  EXPECT_TRUE(lift_abandoned(state_));
  EXPECT_THAT(abandoned_projects(state.get()), ::testing::Not(::testing::Contains(left)));
}

TEST_F(RootProjectQuota, OfALauncherThatDiedIsLiftedWhenItIsDropped) {
  const std::string directory = attempt("one", range());
  const Fd root = std::move(*open_file(directory + "/disk", O_RDONLY | O_DIRECTORY));
  const std::uint32_t project = project_of(root.get()).value();
  kill_launcher();
  start();
  EXPECT_EQ(project_limits(root.get(), project).value(), kSmall);
  ASSERT_TRUE(client_->drop_disk(directory, LauncherClient::DiskFiles::keep));
  EXPECT_EQ(project_limits(root.get(), project).value(), DiskLimits{});
}

// Whoever cleans up has looked before a launcher took the range, and lifts after it.
TEST_F(RootProjectQuota, ABoundInALaunchersRangeIsNotLifted) {
  const std::uint32_t mine = range();
  ASSERT_TRUE(client_->release_range(mine));
  {
    const std::string directory = scratch_ + "/bounded";
    ASSERT_TRUE(make_directory(directory, 0700));
    const Fd fd = std::move(*open_file(directory, O_RDONLY | O_DIRECTORY));
    ASSERT_TRUE(bound_by_project(fd.get(), mine, kSmall));
    ASSERT_TRUE(remove_tree(directory));
  }
  EXPECT_THAT(abandoned_bounds(state_), ::testing::Contains(mine));
  const Fd state = std::move(*open_file(state_, O_RDONLY | O_DIRECTORY));
  ASSERT_TRUE(client_->adopt_range(mine));
  EXPECT_THAT(abandoned_bounds(state_), ::testing::Not(::testing::Contains(mine)));
  EXPECT_TRUE(lift_abandoned(state_));
  EXPECT_EQ(project_limits(state.get(), mine).value(), kSmall);
  ASSERT_TRUE(client_->release_range(mine));
  EXPECT_TRUE(lift_abandoned(state_));
  EXPECT_EQ(project_limits(state.get(), mine).value(), DiskLimits{});
}

}  // namespace
}  // namespace bulkhead::test
