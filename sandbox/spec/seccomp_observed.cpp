#include <linux/filter.h>
#include <linux/seccomp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <set>
#include <string_view>

#include "sandbox/init/path_calls.h"
#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead {
namespace {

// What is called under the filter by the child before it executes init, by init, and by a static program's start. One
// of these told to the listener would wait for itself.
constexpr std::array<std::string_view, 54> kNeeded{"arch_prctl",
                                                   "brk",
                                                   "chdir",
                                                   "clock_gettime",
                                                   "clone",
                                                   "clone3",
                                                   "close",
                                                   "dup2",
                                                   "dup3",
                                                   "execve",
                                                   "execveat",
                                                   "exit",
                                                   "exit_group",
                                                   "fcntl",
                                                   "fork",
                                                   "futex",
                                                   "getpid",
                                                   "getrandom",
                                                   "gettid",
                                                   "ioctl",
                                                   "kill",
                                                   "mmap",
                                                   "mprotect",
                                                   "munmap",
                                                   "newfstatat",
                                                   "open",
                                                   "openat",
                                                   "pipe2",
                                                   "poll",
                                                   "ppoll",
                                                   "prctl",
                                                   "prlimit64",
                                                   "pwrite64",
                                                   "read",
                                                   "readlink",
                                                   "readlinkat",
                                                   "recvmsg",
                                                   "rseq",
                                                   "rt_sigaction",
                                                   "rt_sigprocmask",
                                                   "rt_sigreturn",
                                                   "sched_yield",
                                                   "seccomp",
                                                   "set_robust_list",
                                                   "set_tid_address",
                                                   "setsid",
                                                   "signalfd4",
                                                   "tgkill",
                                                   "uname",
                                                   "vfork",
                                                   "wait4",
                                                   "waitid",
                                                   "write",
                                                   "writev"};

bool is_needed(std::string_view name) { return std::ranges::find(kNeeded, name) != kNeeded.end(); }

bool refuses(std::string_view action, int errno_return) {
  return action == "SCMP_ACT_ERRNO" && (errno_return < 0 || errno_return == EPERM);
}

// `more` are kept from the listener besides kNeeded.
SeccompProfile observed_but(SeccompProfile profile, const std::set<std::string_view>& more) {
  const auto needed = [&](std::string_view name) { return is_needed(name) || more.contains(name); };
  std::set<std::string> ruled;
  std::vector<SeccompRule> rules;
  for (SeccompRule& rule : profile.rules) {
    ruled.insert(rule.names.begin(), rule.names.end());
    if (!refuses(rule.action, rule.errno_return)) {
      rules.push_back(std::move(rule));
      continue;
    }
    // A refused clone has flags that nobody of ours passes: conditions tell them apart.
    SeccompRule kept = rule, told = rule;
    const auto keeps = [&](const std::string& name) {
      return needed(name) && !(name == "clone" && !rule.conditions.empty());
    };
    std::erase_if(kept.names, [&](const std::string& name) { return !keeps(name); });
    std::erase_if(told.names, keeps);
    told.action = "SCMP_ACT_NOTIFY";
    told.errno_return = -1;
    for (SeccompRule* part : {&kept, &told})
      if (!part->names.empty()) rules.push_back(std::move(*part));
  }
  if (refuses(profile.default_action, profile.default_errno)) {
    SeccompRule kept{.names = {}, .action = "SCMP_ACT_ERRNO", .errno_return = EPERM, .conditions = {}};
    for (const std::string_view name : kNeeded)
      if (!ruled.contains(std::string(name))) kept.names.emplace_back(name);
    for (const std::string_view name : more)
      if (!ruled.contains(std::string(name)) && !is_needed(name)) kept.names.emplace_back(name);
    rules.push_back(std::move(kept));
    profile.default_action = "SCMP_ACT_NOTIFY";
    profile.default_errno = -1;
  }
  profile.rules = std::move(rules);
  return profile;
}

}  // namespace

SeccompProfile observed(SeccompProfile profile) { return observed_but(std::move(profile), {}); }

Result<LearningPrograms> compile_learning(const SeccompProfile* profile) {
  // Beside the calls it tells of: what the command passes the listener on with, when nobody listens yet.
  std::set<std::string_view> kept{"sendmsg", "socketpair"};
  for (const PathCall& call : kPathCalls) kept.insert(call.name);
  LearningPrograms programs;
  if (profile != nullptr) {
    BULKHEAD_ASSIGN(programs.base, compile_seccomp(observed_but(*profile, kept)));
  }
  // In front: the calls with paths. What follows is `base`, so that of what it tells the listener of this filter hears.
  // A number of another architecture's is killed by `base`, whatever is said of it here.
  std::vector<sock_filter>& code = programs.command;
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)));
  for (std::size_t i = 0; i < std::size(kPathCalls); ++i)
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(kPathCalls[i].number),
                            static_cast<std::uint8_t>(std::size(kPathCalls) - i), 0));
  code.push_back(BPF_STMT(BPF_JMP | BPF_JA, 1));
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  code.insert(code.end(), programs.base.begin(), programs.base.end());
  if (profile == nullptr) code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  if (code.size() > BPF_MAXINSNS)
    return fail("compile learning filter", profile == nullptr ? "none" : profile->name,
                "is longer than the kernel takes", "name fewer conditions on arguments");
  return programs;
}

}  // namespace bulkhead
