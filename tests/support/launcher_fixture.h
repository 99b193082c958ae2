// A launcher as bulkheadd has one: detached, with a named socket and a state directory. It is told to end after each
// test, and its end is waited for: then nothing of it is left.
#pragma once

#include <signal.h>
#include <sys/socket.h>

#include "tests/support/sandbox_fixture.h"

namespace bulkhead::test {

class DetachedLauncherTest : public RootSandboxTest {
 protected:
  // Where the state directory is made. An overlay's upper directory cannot stand on an overlay: a machine whose / is
  // one names another place.
  virtual std::string place() const {
    const char* scratch = ::getenv("BULKHEAD_TEST_SCRATCH");
    return scratch != nullptr ? scratch : "/tmp";
  }
  void start_launcher() override {
    std::string name = place() + "/bulkhead-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    ASSERT_TRUE(remove_tree(scratch_));
    scratch_ = name;
    state_ = scratch_ + "/state";
    ASSERT_TRUE(make_directory(state_, 0700));
    start();
  }
  void start() {
    auto client = LauncherClient::start_detached(launcher_path(), state_, state_ + "/launcher.sock");
    ASSERT_TRUE(client) << client.error().text();
    client_ = std::make_unique<LauncherClient>(std::move(*client));
    cgroup_root_ = cgroup_root_name(state_);
  }
  void TearDown() override {
    if (client_) {
      EXPECT_TRUE(client_->shutdown());
      EXPECT_TRUE(client_->wait_for_end(kPatience));
    }
    for (const auto& root : list_cgroup_roots(host_.cgroups)) EXPECT_NE(root, cgroup_root_name(state_));
    RootSandboxTest::TearDown();
  }
  // Its socket's peer is the launcher (SO_PEERCRED, unix(7)).
  pid_t launcher_pid() const {
    ucred peer{};
    socklen_t length = sizeof peer;
    EXPECT_EQ(::getsockopt(client_->fd(), SOL_SOCKET, SO_PEERCRED, &peer, &length), 0);
    return peer.pid;
  }
  // Gone when this returns. start() starts the next.
  void kill_launcher() {
    ASSERT_EQ(::kill(launcher_pid(), SIGKILL), 0);
    ASSERT_TRUE(client_->wait_for_end(kPatience));
    client_.reset();
  }

  static constexpr std::chrono::seconds kPatience{60};
  std::string state_;
};

}  // namespace bulkhead::test
