// Launches commands in sandboxes through a real launcher, as root. One launcher per test; nothing is left behind.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "sandbox/launch/cgroup.h"
#include "sandbox/launch/launcher_client.h"
#include "sandbox/sys/files.h"

namespace bulkhead::test {

struct Outcome {
  ExitRecord record;
  std::string out, err;
};

inline nlohmann::json read_json(const std::string& path) { return nlohmann::json::parse(read_file(path).value()); }

inline SandboxSpec spec_of(const nlohmann::json& policy) {
  const std::map<std::string, nlohmann::json> profiles{
      {"default", read_json(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/default.json")}};
  auto spec = SandboxSpec::from_policy(apply_defaults(policy), profiles);
  if (!spec) throw std::runtime_error(spec.error().text() + " " + spec.error().hint);
  return *spec;
}

inline nlohmann::json policy(nlohmann::json more = nlohmann::json::object()) {
  nlohmann::json base = {{"version", 1}, {"name", "test"}};
  base.update(more);
  return base;
}

class RootSandboxTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    char scratch[] = "/tmp/bulkhead-test-XXXXXX";
    ASSERT_NE(::mkdtemp(scratch), nullptr);
    scratch_ = scratch;
    auto facts = probe_host();
    ASSERT_TRUE(facts) << facts.error().text();
    host_ = *facts;
    start_launcher();
  }
  void TearDown() override {
    client_.reset();
    if (!scratch_.empty()) {
      const auto removed = remove_tree(scratch_);
      EXPECT_TRUE(removed) << removed.error().text();
    }
  }
  virtual void start_launcher() {
    const auto before = children();
    auto client = LauncherClient::start_private(launcher_path(), "");
    ASSERT_TRUE(client) << client.error().text();
    client_ = std::make_unique<LauncherClient>(std::move(*client));
    for (const int child : children())
      if (!before.contains(child)) cgroup_root_ = "bulkhead-p" + std::to_string(child);
    ASSERT_NE(cgroup_root_, "");
  }
  static std::string launcher_path() { return std::string(BULKHEAD_BIN_DIR) + "/bulkhead-launcher"; }

  std::uint32_t range() {
    if (range_ == 0) range_ = client_->acquire_range().value();
    return range_;
  }
  Placement placement(const std::string& node = "agent") {
    Placement place;
    place.cgroup = node;
    place.range_base = range();
    return place;
  }
  Result<LaunchPlan> plan_for(const SandboxSpec& spec, std::vector<std::string> argv, Placement place,
                              std::string directory = "/tmp") {
    CommandSpec command{.argv = std::move(argv),
                        .environment = compose_environment(spec, {}, {}),
                        .directory = *SandboxPath::parse(directory)};
    return compile_plan(spec, command, place, host_);
  }

  // Runs to its end with captured output.
  Outcome run(const SandboxSpec& spec, std::vector<std::string> argv, std::optional<Placement> place = {},
              std::string directory = "/tmp") {
    const std::string id = "test/" + std::to_string(++count_);
    Outcome outcome;
    auto plan = plan_for(spec, std::move(argv), place ? *place : placement(), std::move(directory));
    if (!plan) {
      outcome.record.detail = plan.error().text();
      return outcome;
    }
    const Fd out = std::move(*open_file(scratch_ + "/out", O_RDWR | O_CREAT | O_TRUNC, 0600));
    const Fd err = std::move(*open_file(scratch_ + "/err", O_RDWR | O_CREAT | O_TRUNC, 0600));
    LaunchRequest request{.id = id,
                          .plan = std::move(*plan),
                          .stdin_fd = -1,
                          .stdout_fd = out.get(),
                          .stderr_fd = err.get(),
                          .capture_output = true,
                          .extra_fds = {}};
    auto live = client_->launch(request);
    if (!live) {
      outcome.record.reason = EndReason::setup_failed;
      outcome.record.detail = live.error().text();
      return outcome;
    }
    auto record = client_->next_exit();
    if (!record) {
      outcome.record.detail = record.error().text();
      return outcome;
    }
    outcome.record = *record;
    EXPECT_TRUE(client_->acknowledge(id));
    outcome.out = read_file(scratch_ + "/out").value_or("");
    outcome.err = read_file(scratch_ + "/err").value_or("");
    return outcome;
  }
  Outcome sh(const std::string& script, const nlohmann::json& more = nlohmann::json::object()) {
    return run(spec_of(policy(more)), {"/bin/sh", "-c", script});
  }

  std::vector<int> cgroup_processes() const { return cgroup_root_processes(host_.cgroups, cgroup_root_); }
  // Whether no process of the launcher's sandboxes is left; waits for the kernel's last word on exits.
  bool cgroup_free() const {
    for (int i = 0; i < 200; ++i) {
      if (cgroup_processes().empty()) return true;
      ::poll(nullptr, 0, 10);
    }
    return false;
  }
  static std::set<int> children() { return children_of(::getpid()); }
  static std::set<int> children_of(pid_t parent) {
    const std::string process = std::to_string(parent);
    std::istringstream list(read_file("/proc/" + process + "/task/" + process + "/children").value_or(""));
    std::set<int> pids;
    for (int pid = 0; list >> pid;) pids.insert(pid);
    return pids;
  }

  std::string scratch_;
  std::string cgroup_root_;  // of our launcher
  HostFacts host_;
  std::unique_ptr<LauncherClient> client_;
  std::uint32_t range_ = 0;
  int count_ = 0;
};

}  // namespace bulkhead::test
