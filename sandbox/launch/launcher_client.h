// The launcher, seen from its client (bulkheadd, or `bulkhead sandbox run`). Blocking calls over one seqpacket channel;
// one thread uses it. Exit records arrive unasked between replies: they queue and next_exit() hands them out.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/launch/disk.h"
#include "sandbox/launch/exit_record.h"
#include "sandbox/launch/image_store.h"
#include "sandbox/launch/uid_ranges.h"
#include "sandbox/launch/workspace_mount.h"
#include "sandbox/plan/plan.h"
#include "sandbox/sys/channel.h"

namespace bulkhead {

struct LaunchRequest {
  std::string id;  // unique among this launcher's sandboxes: "run/agent/1"
  LaunchPlan plan;
  int stdin_fd = -1;  // borrowed until launch() returns; -1: /dev/null
  int stdout_fd = -1;
  int stderr_fd = -1;
  bool capture_output = false;  // init copies at most plan.output_bytes of stdout and stderr into the descriptors above
                                // (regular files) and drops the rest; else the command gets them as they are
  int learn_fd = -1;            // of a plan that learns: a memory file that init writes the paths to
  std::vector<std::pair<int, int>> extra_fds;  // (ours, number inside): for workers of ours only
};

struct LiveSandbox {
  std::string id;
  int pid = 0;                   // of init, in our pid namespace
  std::uint64_t start_time = 0;  // clock ticks since boot
  std::string cgroup;            // relative to the launcher's root node
  int unseen_errno = 0;          // refused system calls are not seen (the wall refusals-seen), for this reason
  std::optional<ExitRecord> ended;
};

class LauncherClient {
 public:
  // Connects to the launcher that listens at `socket_path`.
  static Result<LauncherClient> connect(const std::string& socket_path);
  // Starts a launcher of our own, our child, which ends when we do (`bulkhead sandbox run`). `state_dir` may be empty.
  // `spare_networks`: how many network namespaces it makes ahead, for who starts many sandboxes.
  static Result<LauncherClient> start_private(const std::string& launcher_path, const std::string& state_dir,
                                              unsigned spare_networks = 0);
  // Starts a launcher that outlives us and listens at `socket_path`; returns when it does. It ends by shutdown(), or
  // when it has neither sandboxes nor clients for a minute.
  static Result<LauncherClient> start_detached(const std::string& launcher_path, const std::string& state_dir,
                                               const std::string& socket_path);

  Result<LiveSandbox> launch(const LaunchRequest& request);
  // Sandboxes (the whole cgroup of each) and further commands. Returns before they are gone: the exit records follow.
  // All are tried; the error is the first one's.
  Result<> kill(const std::vector<std::string>& ids, EndReason cause);
  Result<> kill(const std::string& id, EndReason cause) { return kill(std::vector{id}, cause); }
  Result<> signal(const std::string& id, int signal);  // to the command, through init
  Result<> freeze(const std::string& id);
  Result<> thaw(const std::string& id);
  Result<std::vector<LiveSandbox>> list();  // living, and ended ones whose record nobody acknowledged
  // The record is journaled: the launcher may forget it. Sent, not waited for.
  Result<> acknowledge(const std::string& id);
  // First uid of 65,536; ours until released or the launcher ends.
  Result<std::uint32_t> acquire_range(RangeUse use = RangeUse::sandbox);
  Result<> adopt_range(std::uint32_t base);  // the same for a range named by an earlier journal
  Result<> release_range(std::uint32_t base);
  Result<std::string> mount_workspace(const WorkspaceMount& mount);  // path, valid as a bind source in plans only
  Result<> unmount_workspace(const std::string& name);
  // Disks, see bounded_disks.h. How this host bounds one of that size: EINPROGRESS while that is found out, to be asked
  // again; kNoDiskBounds where it cannot, with what it lacks.
  Result<DiskMechanism> prepare_disk(const DiskLimits& limits);
  // An O_PATH descriptor of the root of the disk in `directory`, made if there is none and `limits` are given. Inside
  // plans it is DIRECTORY/disk. EWOULDBLOCK while a dead launcher's sandboxes have it: to be asked again.
  Result<Fd> attach_disk(const std::string& directory, std::uint32_t range, const DiskLimits& limits = {});
  enum class DiskFiles { remove, keep };
  Result<> drop_disk(const std::string& directory, DiskFiles files);
  // Unpacked images below the directory `store`: see ImageStore.
  Result<std::optional<UnpackedImage>> find_image(const std::string& store, const std::string& key);
  Result<BegunImage> begin_image(const std::string& store, const std::string& key, std::uint32_t owner);
  Result<UnpackedImage> finish_image(const std::string& store, const std::string& key, const std::string& facts);
  Result<std::string> abandon_image(const std::string& store, const std::string& key);
  Result<> discard_image(const std::string& tree);
  // Runs a further command inside a living sandbox (same namespaces, cgroup, filter, identity) on the given stdio; its
  // exit arrives as an exit record with id `exec_id`.
  Result<> exec(const std::string& id, const std::string& exec_id, const std::vector<std::string>& argv,
                const std::map<std::string, std::string>& environment, const std::string& cwd, int stdin_fd,
                int stdout_fd, int stderr_fd);
  Result<MissingWalls> try_walls(const WallSet& walls);       // by the launcher, which is root; also by one that failed
  Result<> shutdown();                                        // kills what lives, removes its cgroups, ends
  Result<> wait_for_end(std::chrono::milliseconds patience);  // after shutdown(); nothing of it is mounted then

  // Blocks until a sandbox ends. For an event loop: wait until fd() is readable, then call poll_exits().
  Result<ExitRecord> next_exit();
  int fd() const { return channel_.fd(); }
  Result<std::vector<ExitRecord>> poll_exits();  // what has arrived, without blocking; an error if the launcher is gone

 private:
  // What a private launcher makes while its client still reads a policy.
  struct FirstRange {
    bool expected = false;  // it has not told yet
    std::optional<std::uint32_t> base;
  };
  Result<Message> call(std::string request, const std::vector<int>& fds = {});
  bool take_unasked(const nlohmann::json& message);  // false: it is an answer
  Channel channel_;
  FirstRange first_range_;
  std::uint64_t serial_ = 0;
  std::deque<ExitRecord> exits_;
};

}  // namespace bulkhead
