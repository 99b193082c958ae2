// The cgroup of one sandbox, on pure cgroup v2 and on hybrid hosts (limits on v1 hierarchies, kill, freeze and
// population on the v2 tree). Kernel docs: admin-guide/cgroup-v2.rst, admin-guide/cgroup-v1/.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/host/host_facts.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

struct CgroupUsage {
  std::uint64_t cpu_us = 0;
  std::uint64_t memory_peak = 0;  // 0 where the kernel does not tell (memory.peak is from 5.19)
  std::uint64_t oom_kills = 0;
  std::uint64_t pids_refusals = 0;  // forks refused by pids.max
  // Pressure stall information (accounting/psi.rst, "some"): time in which at least one process waited for it. Told by
  // the v2 tree, which has it on hybrid hosts too; 0 where the kernel does not tell.
  std::uint64_t cpu_stalled_us = 0, memory_stalled_us = 0, io_stalled_us = 0;
};

// Names the root node of a state directory: two state directories never share one. Private launchers use their pid.
std::string cgroup_root_name(const std::string& state_dir);

class Cgroup {
 public:
  // Makes `node` ("run/agent/agent", safe path components; "": the root itself, for a launcher with one sandbox only)
  // below the root node `root`, with its parents, empty and new: one that was left there is replaced, or refused with
  // EBUSY while somebody lives in it. On hybrid hosts in the v2 tree and in the v1 hierarchies of `controllers`:
  // joining one costs a grace period. Of one that could not be made nothing is left but its parents.
  static Result<Cgroup> create(const CgroupLayout& layout, const std::string& root, const std::string& node,
                               const std::set<std::string>& controllers);
  // The same object for a node that exists already.
  static Result<Cgroup> open(const CgroupLayout& layout, const std::string& root, const std::string& node);

  Result<> limit(const std::string& what,
                 std::uint64_t number);  // memory, memory_high, swap: bytes; cpu: milli; cpu_weight; pids;
                                         // io_read, io_write: bytes a second on each disk
  // The entrances, open from create() and open() until close_entrances(): they are for a process being born.
  int v2_fd() const { return v2_.get(); }                        // for CLONE_INTO_CGROUP
  const std::vector<Fd>& v1_tasks() const { return v1_tasks_; }  // a thread joins by writing "0"
  void close_entrances();
  const std::string& node() const { return node_; }

  CgroupUsage usage() const;
  std::uint64_t cpu_us() const;
  std::uint64_t oom_kills() const;
  Result<> kill() const;  // cgroup.kill: every process, also ones being forked
  Result<> set_frozen(bool frozen) const;
  // Postcondition on success: no process of it lives and the node is gone; its parents are left to remove_cgroup_root.
  // EBUSY while processes are still being reaped: try again.
  Result<> remove();

 private:
  std::string directory(const std::string& controller) const;
  Result<> limit_io(bool read, std::uint64_t number);
  CgroupLayout layout_;
  std::string root_, node_;
  std::uint64_t memory_limit_ = 0;  // v1 counts swap on top of it
  Fd v2_;
  std::vector<Fd> v1_tasks_;
};

// Every node below `root` and `root` itself, where no process lives in them; what could not be removed is the error.
Result<> remove_cgroup_root(const CgroupLayout& layout, const std::string& root);
// The nodes above `node`, up to `root`, as far as nothing is in them. Those named in `kept` stay: nodes of sandboxes,
// which look empty to the kernel as soon as all in them are dead, and still count what they used.
void remove_empty_parents(const CgroupLayout& layout, const std::string& root, const std::string& node,
                          const std::set<std::string>& kept);
// The root nodes of Bulkhead on this host: names below the layout's parents that start with "bulkhead-".
std::vector<std::string> list_cgroup_roots(const CgroupLayout& layout);
// Kills everything below `root` (cgroup.kill on the v2 tree).
Result<> kill_cgroup_root(const CgroupLayout& layout, const std::string& root);
// Processes living below `root`.
std::vector<int> cgroup_root_processes(const CgroupLayout& layout, const std::string& root);

}  // namespace bulkhead
