// The process that makes a user namespace for its launcher, and what becomes of it.
#include "sandbox/launch/user_namespace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox/sys/files.h"

namespace bulkhead::test {
namespace {

bool is_readable_within(int fd, int milliseconds) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, milliseconds) == 1;
}

// A launcher that is killed half way leaves nobody: the holder has its listening socket and its locks open too.
TEST(RootUserNamespace, ItsHolderEndsWithAMakerThatIsKilled) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  std::string scratch = "/tmp/bulkhead-test-XXXXXX";
  ASSERT_NE(::mkdtemp(scratch.data()), nullptr);
  // Where the holder would write the limit it waits for a reader who never comes, whichever way it has come so far.
  const std::string user = scratch + "/sys/user";
  ASSERT_TRUE(make_directories(user, 0755));
  for (const std::string& directory : {scratch, scratch + "/sys", user}) ASSERT_EQ(::chmod(directory.c_str(), 0755), 0);
  ASSERT_EQ(::mkfifo((user + "/max_user_namespaces").c_str(), 0622), 0);
  ASSERT_EQ(::chmod((user + "/max_user_namespaces").c_str(), 0622), 0);
  const Fd proc = std::move(*open_file(scratch, O_PATH | O_DIRECTORY));

  const pid_t maker = ::fork();
  if (maker == 0) {
    (void)make_range_namespace(kRangeFirst, proc.get());
    ::_exit(0);
  }
  ASSERT_GT(maker, 0);
  const std::string its = "/proc/" + std::to_string(maker) + "/task/" + std::to_string(maker) + "/children";
  const auto holder = [&] { return std::atoi(read_file(its).value_or("0").c_str()); };
  const auto is_mapped = [&] {
    return read_file("/proc/" + std::to_string(holder()) + "/uid_map").value_or("").find(std::to_string(kRangeFirst)) !=
           std::string::npos;
  };
  for (int i = 0; i < 5000 && !is_mapped(); ++i) ::poll(nullptr, 0, 1);
  EXPECT_TRUE(is_mapped());
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, holder(), 0)));
  EXPECT_TRUE(pidfd.valid());
  EXPECT_FALSE(is_readable_within(pidfd.get(), 0));

  ASSERT_EQ(::kill(maker, SIGKILL), 0);
  ASSERT_EQ(::waitpid(maker, nullptr, 0), maker);
  EXPECT_TRUE(is_readable_within(pidfd.get(), 3000));
  (void)::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  EXPECT_TRUE(remove_tree(scratch));
}

}  // namespace
}  // namespace bulkhead::test
