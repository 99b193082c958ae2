// What happens between clone and exec. The child shares the launcher's memory (CLONE_VM | CLONE_VFORK) and the launcher
// waits: arguments are plain and prepared beforehand, nothing allocates, nothing locks.
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "sandbox/launch/tree.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

struct DescriptorMove {
  int from = -1;  // at or above kFirstPrivateFd
  int to = -1;
};
inline constexpr int kFirstPrivateFd = 64;
// The launcher keeps from here on what it holds for each living sandbox. A child shares the table of descriptors until
// it has parted with all of these at once: copying and closing them would cost each start some for every sandbox alive.
inline constexpr int kFirstKeptFd = 1024;
Fd keep(Fd fd);  // moved there; as it was where the limit of open files is too low

struct ChildContext {
  const ChildOperation* operations = nullptr;
  std::size_t count = 0;
  const int* v1_tasks = nullptr;  // descriptors of `tasks` files to join
  std::size_t v1_count = 0;
  int user_namespace = -1;
  int network = -1;     // a namespace made ahead, with lo up; -1: the clone made one
  uid_t owner_uid = 0;  // host uid and gid of what the sandbox owns (tmpfs)
  gid_t owner_gid = 0;
  uid_t uid = 0;  // to become, as seen from the user namespace it is in by then
  gid_t gid = 0;
  const gid_t* groups = nullptr;
  std::size_t group_count = 0;
  std::uint64_t kept_capabilities = 0;
  int last_capability = 40;
  sock_fprog guard{};
  sock_fprog filter{};
  bool must_observe = false;      // no listener is an error
  bool observe_refusals = false;  // the filter has a listener, which init holds: its number is written there:
  char* listener_word = nullptr;  // 12 bytes, "-"
  int init_fd = -1;
  const DescriptorMove* moves = nullptr;
  std::size_t move_count = 0;
  char* const* argv = nullptr;
  char* const* environment = nullptr;

  // The answer, read by the launcher after the child has gone on or died.
  volatile int unseen_errno = 0;  // refusals are not seen, for this reason
  volatile int failed_errno = 0;
  volatile std::size_t failed_at = 0;  // index into operations; `count` where it was none of them
  const char* volatile failed_what = nullptr;
};

// Clones with `clone_flags` (CLONE_NEW…; into the cgroup v2 directory `cgroup_fd`, if ≥ 0) and runs the operations in
// the child. Returns the child's pid and its pidfd, or -1 with errno. Returns when the child has executed init or died.
pid_t clone_child(ChildContext& context, std::uint64_t clone_flags, int cgroup_fd, int& pidfd);

// Runs `function` in a process that shares our memory and our descriptors, while we go on: it makes its system calls
// without errno, allocates nothing, and has ended before the next one is made. Returns its pid, or -1 with errno.
pid_t clone_beside(int (*function)(void*), void* argument, int& pidfd);

int loopback_up();  // in the network namespace we are in

}  // namespace bulkhead
