// bulkhead-init by itself, as it is before it is anybody's pid 1.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/init/init_protocol.h"
#include "sandbox/sys/channel.h"
#include "sandbox/sys/files.h"

namespace bulkhead::test {
namespace {

// Its exit status, as a child whose launcher's end of the socket is open or not. The command ends with 5.
int run_init(const char* mode, bool launcher_lives) {
  auto ends = Channel::pair().value();
  Fd launchers = ends.first.take();
  const Fd inits = ends.second.take();
  if (!launcher_lives) launchers.reset();
  const std::string program = std::string(BULKHEAD_BIN_DIR) + "/bulkhead-init";
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (::dup2(inits.get(), kInitGuestsFd) < 0) ::_exit(99);
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {kInitRecordFd, kInitStdoutFd, kInitStderrFd})
      if (::dup2(null, fd) < 0) ::_exit(99);
    ::execl(program.c_str(), program.c_str(), mode, "0", "-", "sh", "-c", "exit 5", nullptr);
    ::_exit(98);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// One that is to end with its launcher asks to be told of that end, and may have missed it by then.
TEST(Init, RunsNothingForALauncherThatHasGone) {
  EXPECT_EQ(run_init("id", true), 5);
  EXPECT_EQ(run_init("id", false), 125);
  EXPECT_EQ(run_init("i", false), 5);  // what outlives its launcher
}

}  // namespace
}  // namespace bulkhead::test
