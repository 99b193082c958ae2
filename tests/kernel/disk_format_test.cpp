// Who formats a disk's image.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "sandbox/launch/disk_image.h"
#include "sandbox/sys/files.h"

namespace bulkhead::test {
namespace {

constexpr DiskLimits kHuge{.bytes = 8ULL << 40, .inodes = 1'000'000};  // half a second's work

// The child of `parent` that is mke2fs by now.
pid_t mke2fs_of(pid_t parent) {
  const std::string process = std::to_string(parent);
  std::istringstream children(read_file("/proc/" + process + "/task/" + process + "/children").value_or(""));
  for (std::string child; children >> child;)
    if (read_file("/proc/" + child + "/comm").value_or("") == "mke2fs\n") return std::stoi(child);
  return -1;
}

// As long as it lived it would keep every mount of a dead launcher's.
TEST(RootDiskFormat, EndsWithWhoAskedForIt) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);  // mke2fs becomes our child
  const Fd file = std::move(*open_file("/tmp", O_TMPFILE | O_RDWR, 0600));
  const pid_t parent = ::fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) ::_exit(format_disk(file.get(), kHuge) ? 0 : 1);
  pid_t mke2fs = -1;
  int status = 0;
  while ((mke2fs = mke2fs_of(parent)) < 0) ASSERT_EQ(::waitpid(parent, &status, WNOHANG), 0) << "it ended too early";
  ASSERT_EQ(::kill(mke2fs, SIGSTOP), 0);
  ASSERT_EQ(::kill(parent, SIGKILL), 0);
  ASSERT_EQ(::waitpid(parent, &status, 0), parent);
  pid_t ended = 0;
  for (int i = 0; i < 1000 && ended == 0; ++i) {
    ended = ::waitpid(mke2fs, &status, WNOHANG);
    if (ended == 0) ::poll(nullptr, 0, 10);
  }
  EXPECT_EQ(ended, mke2fs) << "it lives on";
  if (ended == 0) {
    ::kill(mke2fs, SIGKILL);
    ::waitpid(mke2fs, &status, 0);
  }
  EXPECT_TRUE(WIFSIGNALED(status)) << status;
  EXPECT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
}

// From ext4's superblock, at 1024: its first number is that of inodes (ext4(5) of the kernel's documentation).
TEST(RootDiskFormat, HasNeverMoreInodesThanAPolicyGives) {
  constexpr std::uint64_t kMi = 1ULL << 20;
  for (std::uint64_t mebibytes = 16; mebibytes < 5000; mebibytes += mebibytes < 300 ? 1 : 37)
    for (const std::uint64_t inodes : {(mebibytes + 3) / 4, mebibytes, mebibytes * 31 + 7, mebibytes * 256}) {
      if (inodes < 64) continue;  // refused by every policy
      const DiskLimits limits{.bytes = mebibytes * kMi, .inodes = inodes};
      ASSERT_LE(disk_image_inodes(limits), inodes) << mebibytes;
      ASSERT_GE(disk_image_inodes(limits), std::max<std::uint64_t>(inodes / 2, 16)) << mebibytes << " " << inodes;
    }
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  for (const DiskLimits limits :
       {DiskLimits{.bytes = 32768 * kMi, .inodes = 8192}, DiskLimits{.bytes = 16 * kMi, .inodes = 64},
        DiskLimits{.bytes = 250 * kMi, .inodes = 1000}}) {
    const Fd file = std::move(*open_file("/tmp", O_TMPFILE | O_RDWR, 0600));
    const auto formatted = format_disk(file.get(), limits);
    ASSERT_TRUE(formatted) << formatted.error().text();
    std::uint32_t inodes = 0;
    ASSERT_EQ(::pread(file.get(), &inodes, sizeof inodes, 1024), static_cast<ssize_t>(sizeof inodes));
    EXPECT_LE(inodes, limits.inodes);
    EXPECT_EQ(inodes, disk_image_inodes(limits));
  }
}

TEST(RootDiskFormat, WhateverNumberItsDescriptorHas) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  Fd file = std::move(*open_file("/tmp", O_TMPFILE | O_RDWR, 0600));
  const pid_t maker = ::fork();
  ASSERT_GE(maker, 0);
  if (maker == 0) {
    if (file.get() != 3 && ::dup3(file.get(), 3, O_CLOEXEC) != 3) ::_exit(2);
    ::_exit(format_disk(3, {.bytes = 16ULL << 20, .inodes = 64}) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(maker, &status, 0), maker);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace bulkhead::test
