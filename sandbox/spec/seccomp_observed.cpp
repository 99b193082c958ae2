#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <set>
#include <string_view>

#include "sandbox/init/path_calls.h"
#include "sandbox/spec/native_architecture.h"
#include "sandbox/spec/seccomp_observed.h"

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

// The flags of all clones of ours: of init's vfork and fork (clone(2)).
bool is_clone_of_ours(const SeccompRule& rule) {
  return std::ranges::all_of(rule.conditions, [](const SeccompCondition& c) {
    const auto holds = [&](std::uint64_t flags) { return (flags & c.value) == (c.value_two & c.value); };
    return c.op == "SCMP_CMP_MASKED_EQ" && c.index == 0 && holds(SIGCHLD) && holds(CLONE_VM | CLONE_VFORK | SIGCHLD);
  });
}

// The other uses of a call that is allowed under conditions alone are the default's, and cannot be told apart from all
// that the default refuses. Told to init, its own would wait for itself, and of calls with paths it would answer
// "continue".
bool tells_default(const SeccompProfile& profile, const std::set<std::string_view>& more) {
  std::set<std::string_view> always, sometimes;
  for (const SeccompRule& rule : profile.rules)
    for (const std::string& name : rule.names) {
      if (!is_needed(name) && !more.contains(name)) continue;
      if (rule.conditions.empty() || (name == "clone" && rule.action == "SCMP_ACT_ALLOW" && is_clone_of_ours(rule)))
        always.insert(name);
      else
        sometimes.insert(name);
    }
  return std::ranges::includes(always, sometimes);
}

// `more` are kept from the listener besides kNeeded.
SeccompProfile observed_but(SeccompProfile profile, const std::set<std::string_view>& more) {
  const auto needed = [&](std::string_view name) { return is_needed(name) || more.contains(name); };
  const bool tells = tells_default(profile, more);
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
  if (refuses(profile.default_action, profile.default_errno) && tells) {
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

bool tells_refusals(const SeccompProfile& profile) { return tells_default(profile, {}); }

SeccompProfile observed(SeccompProfile profile) { return observed_but(std::move(profile), {}); }

bool can_be_observed(const SeccompProfile& profile) {
  const auto allows = [&](std::string_view name) {
    const auto names = [&](const SeccompRule& rule) { return std::ranges::find(rule.names, name) != rule.names.end(); };
    const auto rule = std::ranges::find_if(profile.rules, names);
    return (rule == profile.rules.end() ? profile.default_action : rule->action) == "SCMP_ACT_ALLOW";
  };
  return allows("seccomp") && allows("sendmsg");
}

namespace {

// In front of a command's filter: what its listener is told of before anything else is asked.
std::vector<sock_filter> told_first(const Observing& observing) {
  // What a call is told of for, from a load on; jumps of it to `told` are marked with kTold, to what follows with kOn.
  constexpr std::uint8_t kTold = 255, kOn = 254;
  const auto low = [](unsigned argument) {
    return static_cast<std::uint32_t>(offsetof(seccomp_data, args) + argument * sizeof(std::uint64_t));
  };
  const auto high = [&](unsigned argument) { return low(argument) + 4; };  // of this machine's byte order
  std::vector<std::pair<int, std::vector<sock_filter>>> by_arguments{
      {SYS_sendto,
       {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low(4)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, kTold),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, high(4)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, kOn, kTold)}},
      {SYS_seccomp,
       {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low(1)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SECCOMP_FILTER_FLAG_NEW_LISTENER, kTold, kOn)}}};
  if (observing.terminal)
    by_arguments.push_back(
        {SYS_ioctl,
         {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low(1)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCSTI, kTold, 0),
          BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TIOCLINUX, kTold, kOn)}});

  std::vector<sock_filter> tails;
  std::vector<sock_filter> code{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
                                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNativeArchitecture, 1, 0),
                                BPF_STMT(BPF_JMP | BPF_JA, 0),  // another's numbers: on
                                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  const std::size_t foreign = 2, first = code.size(), calls = std::size(kPathCalls) + by_arguments.size();
  const std::size_t tail = first + calls + 1;  // behind the jump that nothing matched
  std::size_t told = tail;
  for (const auto& [number, part] : by_arguments) told += part.size();
  const auto jump = [&](std::size_t to) { return static_cast<std::uint8_t>(to - code.size() - 1); };
  for (const PathCall& call : kPathCalls)
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call.number), jump(told), 0));
  for (const auto& [number, part] : by_arguments) {
    code.push_back(
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), jump(tail + tails.size()), 0));
    tails.insert(tails.end(), part.begin(), part.end());
  }
  code.push_back(BPF_STMT(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(told - code.size())));
  for (sock_filter instruction : tails) {
    for (std::uint8_t* way : {&instruction.jt, &instruction.jf}) {
      if (*way == kTold) *way = jump(told);
      if (*way == kOn) *way = jump(told + 1);
    }
    code.push_back(instruction);
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  code[foreign].k = static_cast<std::uint32_t>(code.size() - foreign - 1);
  return code;
}

}  // namespace

Result<LearningPrograms> compile_learning(const SeccompProfile* profile, const Observing& observing) {
  // Beside the calls it tells of: what the command passes the listener on with, when nobody listens yet.
  std::set<std::string_view> kept{"sendmsg", "socketpair", kSendTo.name};
  for (const PathCall& call : kPathCalls) kept.insert(call.name);
  LearningPrograms programs;
  if (profile != nullptr) {
    BULKHEAD_ASSIGN(programs.base, compile_seccomp(observed_but(*profile, kept)));
  }
  // What follows is `base`, so that of what it tells the listener of this filter hears.
  std::vector<sock_filter>& code = programs.command;
  code = told_first(observing);
  code.insert(code.end(), programs.base.begin(), programs.base.end());
  if (profile == nullptr) code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  if (code.size() > BPF_MAXINSNS)
    return fail("compile learning filter", profile == nullptr ? "none" : profile->name,
                "is longer than the kernel takes", "name fewer conditions on arguments");
  return programs;
}

std::vector<sock_filter> told(std::vector<sock_filter> program) {
  for (sock_filter& instruction : program)
    if (instruction.code == (BPF_RET | BPF_K) && instruction.k == (SECCOMP_RET_ERRNO | EPERM))
      instruction.k = SECCOMP_RET_USER_NOTIF;
  return program;
}

}  // namespace bulkhead
