// What a policy may add to its profile by name, without writing a profile of its own.
#include <seccomp.h>

#include <algorithm>
#include <array>
#include <span>

#include "sandbox/base/json_node.h"
#include "sandbox/base/text.h"
#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead {
namespace {

struct Group {
  std::string_view name;
  std::vector<std::string> calls;
};

const std::vector<Group>& groups() {
  static const std::vector<Group> all{
      {"@debug",
       {"ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_getfd", "kcmp",
        "perf_event_open"}},
      {"@namespaces", {"unshare", "setns", "clone", "clone3"}},
      {"@mount",
       {"mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "open_tree",
        "open_tree_attr", "move_mount", "mount_setattr", "statmount", "listmount"}},
      {"@io-uring", {"io_uring_setup", "io_uring_enter", "io_uring_register"}},
      {"@aio", {"io_setup", "io_destroy", "io_submit", "io_getevents", "io_pgetevents", "io_cancel"}},
      {"@keyring", {"keyctl", "add_key", "request_key"}},
      {"@numa", {"mbind", "set_mempolicy", "set_mempolicy_home_node", "migrate_pages", "move_pages"}},
      {"@handles", {"open_by_handle_at", "name_to_handle_at"}},
      {"@bpf", {"bpf"}},
      {"@userfault", {"userfaultfd"}},
      {"@secret-memory", {"memfd_secret"}},
      {"@clock", {"settimeofday", "clock_settime", "clock_adjtime", "adjtimex"}},
      {"@fanotify", {"fanotify_init", "fanotify_mark"}},
  };
  return all;
}

bool known_call(const std::string& name) { return seccomp_syscall_resolve_name(name.c_str()) != __NR_SCMP_ERROR; }

}  // namespace

std::vector<std::string> seccomp_group_names() {
  std::vector<std::string> names;
  for (const Group& group : groups()) names.emplace_back(group.name);
  return names;
}

std::string group_of(std::string_view call) {
  for (const Group& group : groups())
    if (std::ranges::find(group.calls, call) != group.calls.end()) return std::string(group.name);
  return {};
}

Result<SeccompProfile> with_allowed(SeccompProfile profile, const std::vector<std::string>& names) {
  SeccompRule allow{.names = {}, .action = "SCMP_ACT_ALLOW", .errno_return = -1, .conditions = {}};
  for (const std::string& name : names) {
    if (name.starts_with('@')) {
      const auto group = std::ranges::find(groups(), name, &Group::name);
      if (group == groups().end())
        return fail("allow", "'" + printable(name, 80) + "'", "no such group of system calls",
                    suggest(name, seccomp_group_names(), "a group"));
      allow.names.insert(allow.names.end(), group->calls.begin(), group->calls.end());
    } else if (known_call(name)) {
      allow.names.push_back(name);
    } else {
      return fail("allow", "'" + printable(name, 80) + "'", "no such system call",
                  "system calls are named as in syscalls(2); groups begin with '@'");
    }
  }
  if (allow.names.empty()) return profile;
  for (SeccompRule& rule : profile.rules)
    std::erase_if(rule.names,
                  [&](const std::string& call) { return std::ranges::find(allow.names, call) != allow.names.end(); });
  std::erase_if(profile.rules, [](const SeccompRule& rule) { return rule.names.empty(); });
  if (profile.default_action != "SCMP_ACT_ALLOW") profile.rules.push_back(std::move(allow));
  return profile;
}

}  // namespace bulkhead
