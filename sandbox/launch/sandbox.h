// One live sandbox: the owner of its pidfd, its cgroup and init's exit record. Made by executing a plan; the launcher
// keeps it until its exit record is acknowledged.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/launch/cgroup.h"
#include "sandbox/launch/disk.h"
#include "sandbox/launch/exit_record.h"
#include "sandbox/plan/plan.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

using Clock = std::chrono::steady_clock;
class PreparedRoots;
class SpareNetworks;

// What the launcher has at hand for every launch.
struct LaunchSite {
  CgroupLayout cgroups;
  std::string cgroup_root;
  int init_fd = -1;  // sealed copy of bulkhead-init
  int last_capability = 40;
  bool end_with_launcher = false;
  PreparedRoots* roots = nullptr;
  SpareNetworks* networks = nullptr;
};

struct Stdio {
  int in = -1, out = -1, err = -1;  // borrowed; ours, not inside
  bool capture = false;
  int learn = -1;  // of a plan that learns: where init writes the paths
  std::vector<std::pair<int, int>> extra;
};

// Why the setup failed: an ExitRecord's step and errno, as one error.
struct SetupFailure {
  std::string step;
  Error error;
};

class Sandbox {
 public:
  // `user_namespace` is -1 for a plan with a host identity; `record` receives init's exit record.
  static std::expected<Sandbox, SetupFailure> launch(const LaunchSite& site, std::string id, LaunchPlan plan,
                                                     int user_namespace, const Stdio& stdio, Fd record);

  const std::string& id() const { return id_; }
  pid_t pid() const { return pid_; }
  std::uint64_t start_time() const { return start_time_; }
  int pidfd() const { return pidfd_.get(); }
  const LaunchPlan& plan() const { return plan_; }
  std::string cgroup_node() const { return cgroup_ ? cgroup_->node() : ""; }
  bool is_frozen() const { return frozen_; }
  int guests_fd() const { return guests_.get(); }  // to init, see init_protocol.h; -1: it takes no further commands
  void hang_up() { guests_.reset(); }
  int unseen_errno() const { return unseen_errno_; }  // refused system calls are not seen, for this reason; 0: they are

  Result<> kill(EndReason cause);  // the first cause stays
  Result<> signal(int number);
  Result<> set_frozen(bool frozen);

  // Limits that no cgroup enforces: kills when one is over. Both return when to look next; never where there are none.
  std::optional<Clock::time_point> first_look() const;
  std::optional<Clock::time_point> enforce(Clock::time_point now);

  // After the pidfd became readable: the record, from the status (not reaped yet), init's record and the cgroup.
  // `disk`: what it left on the disk of its plan.
  ExitRecord conclude(const std::optional<DiskUsage>& disk = {});
  void reap();               // the pidfd is closed
  Result<> remove_cgroup();  // EBUSY: try again

 private:
  static std::expected<Sandbox, SetupFailure> start(const LaunchSite& site, const LaunchPlan& plan,
                                                    const Cgroup* cgroup, int user_namespace, const Stdio& stdio,
                                                    int record);
  std::string id_;
  LaunchPlan plan_;
  pid_t pid_ = -1;
  std::uint64_t start_time_ = 0;
  Fd pidfd_, record_, guests_;
  std::optional<Cgroup> cgroup_;  // none: a plan without the wall `limits`
  int unseen_errno_ = 0;
  std::optional<EndReason> cause_;
  bool frozen_ = false;
  bool oom_kills_all_ = false;  // memory.oom.group
  Clock::time_point started_{};
  std::optional<Clock::time_point> wall_deadline_;
  std::uint64_t cpu_limit_us_ = 0;
};

}  // namespace bulkhead
