// The launcher: one thread, one loop. Executes plans, is parent of every sandbox, enforces the limits that no cgroup
// does, and records each exit before it reaps. Its clients come and go; it stays while a sandbox lives.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "sandbox/launch/bounded_disks.h"
#include "sandbox/launch/exit_records.h"
#include "sandbox/launch/guests.h"
#include "sandbox/launch/image_store.h"
#include "sandbox/launch/prepared_root.h"
#include "sandbox/launch/sandbox.h"
#include "sandbox/launch/spare_networks.h"
#include "sandbox/launch/uid_ranges.h"
#include "sandbox/launch/workspace_mount.h"
#include "sandbox/sys/channel.h"

namespace bulkhead {

struct LauncherOptions {
  std::string state_dir;  // exit records and workspace mount points; empty: neither (a private launcher)
  std::string cgroup_root;
  std::string init_path;
  std::string uid_lock_file;
  std::string socket_path;  // of the listener: removed before the last answer, so that nobody finds a dying launcher
  Fd listener;              // clients connect here; invalid for a private launcher
  Channel only_client;      // a private launcher's; it ends with it
  std::chrono::seconds linger{60};
  std::size_t spare_networks = 0;  // network namespaces made ahead
};

class LauncherServer {
 public:
  static Result<std::unique_ptr<LauncherServer>> create(LauncherOptions options);
  ~LauncherServer();
  Result<> run();  // until shut down, or nobody needs it any more

 private:
  struct Client {
    Channel channel;
    bool gone = false;
  };
  explicit LauncherServer(LauncherOptions options) : options_(std::move(options)) {}

  Result<> prepare();
  Result<> make_ready();
  Result<> end_forerunners_sandboxes();
  void stop_listening();
  void accept_clients();
  void serve(Client& client);
  nlohmann::json handle(const nlohmann::json& request, std::string_view rest, std::vector<Fd> fds);
  nlohmann::json launch(const nlohmann::json& request, std::string_view encoded, std::vector<Fd> fds);
  nlohmann::json exec(const nlohmann::json& request, std::vector<Fd> fds);
  template <class OnSandbox, class OnGuest>
  Result<> on_sandbox_or_guest(const std::string& id, OnSandbox on_sandbox, OnGuest on_guest);
  Result<> kill(const nlohmann::json& request);
  Result<int> namespace_for(const LaunchPlan& plan);
  nlohmann::json image(const std::string& op, const nlohmann::json& request);
  nlohmann::json list(const std::string& after) const;
  Result<std::string> mount_workspace(const WorkspaceMount& mount);
  Result<> unmount_workspace(const std::string& name);
  nlohmann::json handle_disk(const std::string& op, const nlohmann::json& request);
  void unmount_everything();
  Result<> register_sandbox(Sandbox sandbox);
  void conclude(const std::string& id);
  void conclude_guests(Sandbox& host);
  void stop_guests(Sandbox& host);
  void keep_and_tell(std::vector<ExitRecord> records);
  void tell(const ExitRecord& record);
  void tell_all_again();
  void tick();
  int wait_milliseconds() const;
  void remove_cgroups();
  void prune_above(std::string node);
  void prune_cgroups();
  void kill_everything();
  Result<> watch(int fd);
  void unwatch(int fd);
  void handle_event(int fd);
  Sandbox* find(const std::string& id);

  LauncherOptions options_;
  LaunchSite site_;
  Fd init_, epoll_;
  std::optional<PreparedRoots> roots_;
  std::optional<SpareNetworks> networks_;
  std::optional<Disks> disks_;  // none without a state directory
  Fd answered_;                 // goes with the answer to the request at hand
  ImageStore images_;
  std::unique_ptr<UidRanges> ranges_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<std::string, Sandbox> living_;
  std::unordered_map<int, std::string> by_pidfd_;      // of the living
  std::unordered_map<int, std::string> by_guests_fd_;  // of those that have had guests
  Guests guests_;
  ExitRecords ended_;
  std::set<std::string> untold_;  // of the ended: whose records no client has been sent
  std::vector<Sandbox> cgroups_to_remove_;
  std::set<std::string> nodes_gone_;  // cgroups: the nodes above them may hold nothing now
  std::vector<std::string> workspaces_;
  std::set<std::pair<Clock::time_point, std::string>> looks_;  // when to look at whose limits; ids may have ended
  std::optional<Clock::time_point> prune_at_, drop_roots_at_;
  std::optional<Clock::time_point> accept_at_;  // the listener is not watched until then
  Clock::time_point idle_since_{};
  bool private_ = false;  // has one client and ends with it
  bool stop_ = false;
};

// For a private launcher that could not get ready: tells its client why, in answer to whatever it asks, and which walls
// are missing, until it goes.
void tell_failure(Channel& client, const Error& why);

}  // namespace bulkhead
