#include <asm/unistd.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <seccomp.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <stdexcept>

#include "sandbox/base/text.h"
#include "sandbox/spec/seccomp_profile.h"
#include "sandbox/spec/seccomp_ranges.h"
#include "tests/support/bpf_eval.h"

namespace bulkhead {
namespace {

using nlohmann::json;
using testing::evaluate_bpf;
using testing::verdict;

#if defined(__x86_64__)
constexpr std::uint32_t kArch = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif
constexpr std::uint64_t kHigh = 0x100000000;  // a bit that the kernel does not look at where it takes an int

std::string run(const std::vector<sock_filter>& program, int number, std::vector<std::uint64_t> arguments = {},
                std::uint32_t arch = kArch) {
  seccomp_data data{};
  data.nr = number;
  data.arch = arch;
  for (std::size_t i = 0; i < arguments.size(); ++i) data.args[i] = arguments[i];
  return verdict(evaluate_bpf(program, data));
}

SeccompProfile parse(const json& document, const std::set<std::string>& capabilities = {}) {
  return parse_seccomp_profile("test", document, capabilities).value();
}

std::string refusal(const std::string& text) {
  const auto profile = parse_seccomp_profile("test", json::parse(text), {});
  if (!profile) return profile.error().text() + (profile.error().hint.empty() ? "" : " | " + profile.error().hint);
  return "accepted";
}

json shipped(const std::string& name) {
  std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/" + name + ".json");
  return json::parse(file);
}

class DefaultProfile : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/default.json");
    program_ = compile_seccomp(parse(json::parse(file))).value();
  }
  static std::string call(int number, std::vector<std::uint64_t> arguments = {}, std::uint32_t arch = kArch) {
    return run(program_, number, std::move(arguments), arch);
  }
  static inline std::vector<sock_filter> program_;
};

// What our own compiler makes decides as libseccomp's does, for every number and on both sides of every comparison.
void expect_as_libseccomp(const SeccompProfile& profile) {
  const auto ours = compile_ranges(profile);
  ASSERT_TRUE(ours);
  const auto theirs = compile_with_libseccomp(profile).value();
  std::set<std::uint64_t> values{0, 1, kHigh, ~std::uint64_t{0}};
  for (const SeccompRule& rule : profile.rules)
    for (const SeccompCondition& c : rule.conditions)
      for (const std::uint64_t value : {c.value, c.value_two})
        for (const std::uint64_t near : {value - 1, value, value + 1, value ^ kHigh, value & ~kHigh})
          values.insert(near);
  const auto same = [&](int number, const std::vector<std::uint64_t>& arguments) {
    ASSERT_EQ(run(*ours, number, arguments), run(theirs, number, arguments))
        << number << " " << ::testing::PrintToString(arguments);
  };
  for (int number = 0; number < 700; ++number) same(number, {});
  for (const int number : {0x40000000, 0x40000001, 0x400001ff}) EXPECT_EQ(run(*ours, number), "kill process") << number;
  EXPECT_EQ(run(*ours, 1, {}, AUDIT_ARCH_I386), "kill process");
  for (const SeccompRule& rule : profile.rules) {
    if (rule.conditions.empty()) continue;
    for (const std::string& name : rule.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number < 0) continue;
      for (const std::uint64_t first : values)
        for (const std::uint64_t second : values)
          for (const auto& c : rule.conditions) {
            std::vector<std::uint64_t> arguments(6, second);
            arguments[c.index] = first;
            same(number, arguments);
          }
    }
  }
}

TEST(SeccompRanges, DecideAsLibseccompDoes) {
  for (const char* name : {"default", "strict", "permissive"}) {
    SCOPED_TRACE(name);
    expect_as_libseccomp(parse(shipped(name)));
  }
  for (const char* op : {"SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT", "SCMP_CMP_GE"})
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{7}, kHigh + 7, kHigh, ~std::uint64_t{0}}) {
      SCOPED_TRACE(std::string(op) + " " + std::to_string(value));
      expect_as_libseccomp(
          {.name = "one",
           .default_action = "SCMP_ACT_ERRNO",
           .default_errno = -1,
           .rules = {{.names = {"dup", "personality"}, .action = "SCMP_ACT_ALLOW", .conditions = {{1, value, 0, op}}},
                     {.names = {"dup"}, .action = "SCMP_ACT_ALLOW", .conditions = {{0, 3, 0, op}, {2, value, 0, op}}},
                     {.names = {"read", "write", "dup3"}, .action = "SCMP_ACT_ALLOW", .conditions = {}}}});
    }
  expect_as_libseccomp({.name = "masked",
                        .default_action = "SCMP_ACT_ALLOW",
                        .default_errno = -1,
                        .rules = {{.names = {"clone"},
                                   .action = "SCMP_ACT_ERRNO",
                                   .errno_return = 38,
                                   .conditions = {{0, kHigh | 0x7e020000, 0x20000, "SCMP_CMP_MASKED_EQ"}}}}});
}

TEST(SeccompRanges, AreShorter) {
  std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/default.json");
  const SeccompProfile profile = parse(json::parse(file));
  EXPECT_LT(compile_ranges(profile)->size() * 3, compile_with_libseccomp(profile)->size() * 2);
}

TEST(SeccompRanges, LeaveToLibseccompWhatTheyCannotDecide) {
  const SeccompProfile profile{
      .name = "two",
      .default_action = "SCMP_ACT_ERRNO",
      .default_errno = -1,
      .rules = {{.names = {"dup"}, .action = "SCMP_ACT_ALLOW", .conditions = {{0, 5, 0, "SCMP_CMP_GE"}}},
                {.names = {"dup"}, .action = "SCMP_ACT_LOG", .conditions = {{1, 2, 0, "SCMP_CMP_EQ"}}}}};
  EXPECT_FALSE(compile_ranges(profile));
  const auto program = compile_seccomp(profile).value();
  EXPECT_EQ(run(program, __NR_dup, {5, 0}), "allow");
  EXPECT_EQ(run(program, __NR_dup, {0, 2}), "log");
}

TEST_F(DefaultProfile, LetsOrdinaryProgramsLive) {
  for (const int number : {__NR_read,
                           __NR_write,
                           __NR_openat,
                           __NR_openat2,
                           __NR_close,
                           __NR_close_range,
                           __NR_mmap,
                           __NR_mprotect,
                           __NR_execve,
                           __NR_execveat,
                           __NR_exit_group,
                           __NR_wait4,
                           __NR_waitid,
                           __NR_rt_sigaction,
                           __NR_rt_sigtimedwait,
                           __NR_signalfd4,
                           __NR_ppoll,
                           __NR_pipe2,
                           __NR_dup3,
                           __NR_prctl,
                           __NR_writev,
                           __NR_getrusage,
                           __NR_clock_gettime,
                           __NR_setsid,
                           __NR_prlimit64,
                           __NR_futex,
                           __NR_rseq,
                           __NR_getrandom,
                           __NR_statx,
                           __NR_newfstatat,
                           __NR_epoll_pwait2,
                           __NR_memfd_create,
                           __NR_copy_file_range,
                           __NR_sched_getaffinity,
                           __NR_set_robust_list,
                           __NR_faccessat2,
                           __NR_pidfd_open,
                           __NR_landlock_create_ruleset,
                           __NR_bind,
                           __NR_listen,
                           __NR_accept4,
                           __NR_connect,
                           __NR_sendmsg,
                           __NR_recvmsg,
                           __NR_inotify_add_watch,
                           __NR_timerfd_create,
                           __NR_ioctl,
                           __NR_fcntl,
                           __NR_getdents64,
                           __NR_renameat2,
                           __NR_lsetxattr,
                           __NR_mremap,
                           __NR_membarrier,
                           __NR_seccomp,
                           __NR_kill,
                           __NR_tgkill,
                           __NR_setpriority,
                           __NR_fallocate})
    EXPECT_EQ(call(number), "allow") << number;
#if defined(__x86_64__)
  for (const int number :
       {__NR_open, __NR_fork, __NR_vfork, __NR_arch_prctl, __NR_pipe, __NR_rename, __NR_stat, __NR_poll})
    EXPECT_EQ(call(number), "allow") << number;
#endif
}

TEST_F(DefaultProfile, AnswersEpermToWhatIsDangerous) {
  for (const int number : {__NR_mount,
                           __NR_umount2,
                           __NR_pivot_root,
                           __NR_chroot,
                           __NR_fsopen,
                           __NR_fsconfig,
                           __NR_fsmount,
                           __NR_fspick,
                           __NR_open_tree,
                           __NR_move_mount,
                           __NR_mount_setattr,
                           __NR_unshare,
                           __NR_setns,
                           __NR_ptrace,
                           __NR_process_vm_readv,
                           __NR_process_vm_writev,
                           __NR_pidfd_getfd,
                           __NR_bpf,
                           __NR_perf_event_open,
                           __NR_keyctl,
                           __NR_add_key,
                           __NR_request_key,
                           __NR_io_uring_setup,
                           __NR_io_uring_enter,
                           __NR_io_uring_register,
                           __NR_userfaultfd,
                           __NR_open_by_handle_at,
                           __NR_kexec_load,
                           __NR_kexec_file_load,
                           __NR_init_module,
                           __NR_finit_module,
                           __NR_delete_module,
                           __NR_reboot,
                           __NR_syslog,
                           __NR_acct,
                           __NR_swapon,
                           __NR_swapoff,
                           __NR_quotactl,
                           __NR_quotactl_fd,
                           __NR_settimeofday,
                           __NR_clock_settime,
                           __NR_sethostname,
                           __NR_setdomainname,
                           __NR_fanotify_init,
                           __NR_vhangup,
                           __NR_kcmp})
    EXPECT_EQ(call(number), "errno 1") << number;
#if defined(__x86_64__)
  for (const int number : {__NR_iopl, __NR_ioperm, __NR_modify_ldt}) EXPECT_EQ(call(number), "errno 1") << number;
#endif
}

TEST_F(DefaultProfile, AnswersEnosysToWhatItDoesNotKnow) {
  for (const int number : {600, 1023, 0x3fffffff}) EXPECT_EQ(call(number), "errno 38") << number;
  EXPECT_EQ(call(__NR_clone3), "errno 38");
#if defined(__x86_64__)
  EXPECT_EQ(call(__NR_tuxcall), "errno 38");
#endif
}

TEST_F(DefaultProfile, ClonesWithoutNamespaces) {
  EXPECT_EQ(call(__NR_clone, {SIGCHLD}), "allow");
  EXPECT_EQ(call(__NR_clone, {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                              CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID}),
            "allow");
  EXPECT_EQ(call(__NR_clone, {CLONE_VM | CLONE_VFORK | SIGCHLD}), "allow");
  for (const std::uint64_t flag :
       {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
    EXPECT_EQ(call(__NR_clone, {flag}), "errno 1") << flag;
    EXPECT_EQ(call(__NR_clone, {flag | SIGCHLD | CLONE_VM}), "errno 1") << flag;
    EXPECT_EQ(call(__NR_clone, {flag | CLONE_NEWUSER | SIGCHLD}), "errno 1") << flag;
    EXPECT_EQ(call(__NR_clone, {flag | SIGCHLD | kHigh}), "errno 1") << flag;
  }
  EXPECT_EQ(call(__NR_clone, {0xffffffff}), "errno 1");
}

TEST_F(DefaultProfile, OpensSocketsOfFourFamilies) {
  for (const std::uint64_t family : {AF_UNIX, AF_INET, AF_INET6}) {
    EXPECT_EQ(call(__NR_socket, {family, SOCK_STREAM, 0}), "allow") << family;
    EXPECT_EQ(call(__NR_socket, {family, SOCK_DGRAM | SOCK_CLOEXEC, 17}), "allow") << family;
    EXPECT_NE(call(__NR_socket, {family | kHigh, SOCK_STREAM, 0}), "allow") << family;
  }
  EXPECT_EQ(call(__NR_socket, {AF_NETLINK, SOCK_RAW, 0}), "allow");
  EXPECT_EQ(call(__NR_socket, {AF_NETLINK, SOCK_RAW, 9}), "errno 93");   // NETLINK_AUDIT
  EXPECT_EQ(call(__NR_socket, {AF_NETLINK, SOCK_RAW, 12}), "errno 93");  // NETLINK_NETFILTER
  for (const std::uint64_t family : {AF_PACKET, AF_ALG, AF_VSOCK, AF_XDP, AF_BLUETOOTH, AF_KEY, AF_RDS, AF_TIPC})
    EXPECT_NE(call(__NR_socket, {family, SOCK_RAW, 0}), "allow") << family;
  EXPECT_EQ(call(__NR_socket, {AF_VSOCK, SOCK_STREAM, 0}), "errno 97");
  for (std::uint64_t family = 0; family < 64; ++family)
    EXPECT_EQ(call(__NR_socket, {family, SOCK_STREAM, 0}) == "allow",
              family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK)
        << family;
  EXPECT_EQ(call(__NR_socketpair, {AF_UNIX, SOCK_STREAM, 0}), "allow");
  EXPECT_NE(call(__NR_socketpair, {AF_TIPC, SOCK_STREAM, 0}), "allow");
}

TEST_F(DefaultProfile, KeepsThePersonality) {
  for (const std::uint64_t persona : {0x0, 0x8, 0x20000, 0x20008})
    EXPECT_EQ(call(__NR_personality, {persona}), "allow") << persona;
  EXPECT_EQ(call(__NR_personality, {0xffffffff}), "allow");
  EXPECT_NE(call(__NR_personality, {0x40000}), "allow");   // ADDR_NO_RANDOMIZE
  EXPECT_NE(call(__NR_personality, {0x400000}), "allow");  // READ_IMPLIES_EXEC
}

TEST_F(DefaultProfile, KillsForeignArchitectures) {
  for (const std::uint32_t arch :
       std::initializer_list<std::uint32_t>{AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_PPC64LE})
    EXPECT_EQ(call(__NR_read, {}, arch), "kill process") << arch;
#if defined(__x86_64__)
  EXPECT_EQ(call(__NR_read, {}, AUDIT_ARCH_AARCH64), "kill process");
#endif
}

#if defined(__x86_64__)
TEST_F(DefaultProfile, KillsX32) {
  for (const int number : {__NR_read, __NR_execve, __NR_mount, __NR_unshare, 512, 547})
    EXPECT_EQ(call(__X32_SYSCALL_BIT | number), "kill process") << number;
  EXPECT_EQ(call(0x7fffffff), "kill process");
}
#endif

TEST_F(DefaultProfile, CompilesToTheSameProgramEachTime) {
  std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/default.json");
  const auto again = compile_seccomp(parse(json::parse(file))).value();
  ASSERT_EQ(again.size(), program_.size());
  EXPECT_EQ(std::memcmp(again.data(), program_.data(), again.size() * sizeof(sock_filter)), 0);
}

// No system call of this kernel's headers is decided by accident: it is allowed, or refused in a way that the profile
// chose.
TEST_F(DefaultProfile, NeverKillsOnTheNativeArchitecture) {
  for (int number = 0; number < 1024; ++number)
    for (const std::uint64_t argument : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}})
      EXPECT_NE(call(number, {argument, argument, argument, argument, argument, argument}), "kill process") << number;
}

class StrictProfile : public DefaultProfile {
 protected:
  static void SetUpTestSuite() {
    DefaultProfile::SetUpTestSuite();
    std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/strict.json");
    strict_ = compile_seccomp(parse(json::parse(file))).value();
  }
  static inline std::vector<sock_filter> strict_;
};

TEST_F(StrictProfile, AllowsNothingThatTheDefaultDoesNot) {
  int narrower = 0;
  for (int number = 0; number < 1024; ++number)
    for (const std::uint64_t argument : {0ULL, 1ULL, 2ULL, 8ULL, 16ULL, 17ULL, 0x10000000ULL, ~0ULL}) {
      const std::vector<std::uint64_t> arguments(6, argument);
      const bool wide = run(program_, number, arguments) == "allow";
      const bool narrow = run(strict_, number, arguments) == "allow";
      EXPECT_TRUE(wide || !narrow) << number;
      narrower += wide && !narrow ? 1 : 0;
    }
  EXPECT_GT(narrower, 500);
}

TEST_F(StrictProfile, MakesNoSockets) {
  for (std::uint64_t family = 0; family < 64; ++family)
    EXPECT_EQ(run(strict_, __NR_socket, {family, SOCK_STREAM, 0}), "errno 1") << family;
  EXPECT_EQ(run(strict_, __NR_socketpair, {AF_UNIX, SOCK_STREAM, 0}), "allow");
  EXPECT_EQ(run(strict_, __NR_execve), "allow");
  EXPECT_EQ(run(strict_, __NR_rt_sigtimedwait), "allow");
  EXPECT_EQ(run(strict_, __NR_clone, {SIGCHLD}), "allow");
  EXPECT_EQ(run(strict_, __NR_clone, {CLONE_NEWUSER}), "errno 1");
  EXPECT_EQ(run(strict_, __NR_mknodat), "errno 38");
  EXPECT_EQ(run(strict_, __NR_read, {}, AUDIT_ARCH_I386), "kill process");
}

TEST(PermissiveProfile, AllowsWhatTheDefaultAllowsAndItsGroups) {
  const auto normal = compile_seccomp(parse(shipped("default"))).value();
  const auto permissive = compile_seccomp(parse(shipped("permissive"))).value();
  std::set<std::string> more;
  for (int number = 0; number < 1024; ++number)
    for (const std::uint64_t argument : {0ULL, 1ULL, 2ULL, 8ULL, 16ULL, 17ULL, 0x10000000ULL, ~0ULL}) {
      const std::vector<std::uint64_t> arguments(6, argument);
      const std::string before = run(normal, number, arguments), now = run(permissive, number, arguments);
      if (before == now) continue;
      EXPECT_EQ(now, "allow") << number << " " << argument;
      more.insert(group_of(system_call_name(number)));
    }
  EXPECT_EQ(more, (std::set<std::string>{"@aio", "@debug", "@mount", "@namespaces", "@numa", "@secret-memory"}));
  EXPECT_EQ(run(permissive, __NR_personality, {0x40000}), "allow");  // as debuggers start programs
  EXPECT_EQ(run(permissive, __NR_personality, {0x40001}), "errno 38");
  for (const int number : {__NR_bpf, __NR_kexec_load, __NR_kexec_file_load, __NR_init_module, __NR_finit_module,
                           __NR_delete_module, __NR_keyctl, __NR_add_key, __NR_request_key, __NR_io_uring_setup,
                           __NR_io_uring_enter, __NR_userfaultfd, __NR_open_by_handle_at, __NR_fanotify_init,
                           __NR_swapon, __NR_quotactl, __NR_settimeofday, __NR_syslog, __NR_reboot})
    EXPECT_EQ(run(permissive, number), "errno 1") << system_call_name(number);
  EXPECT_EQ(run(permissive, 1000), "errno 38");
  EXPECT_EQ(run(permissive, __NR_read, {}, AUDIT_ARCH_I386), "kill process");
}

// Whether nothing more is allowed with the group than without.
bool allows_group(const SeccompProfile& profile, const std::string& group) {
  const auto with = compile_seccomp(with_allowed(profile, {group}).value()).value();
  const auto without = compile_seccomp(profile).value();
  for (int number = 0; number < 1024; ++number)
    for (const std::uint64_t argument : {0ULL, 0x10000000ULL})
      if (run(with, number, {argument}) != run(without, number, {argument})) return false;
  return true;
}

// docs/policy.md says which groups each profile has; this is what the profiles say.
TEST(Profiles, HaveTheGroupsThatTheManualSays) {
  const std::vector<std::string> profiles{"strict", "default", "permissive"};
  std::ifstream manual(std::string(BULKHEAD_SOURCE_DIR) + "/docs/policy.md");
  std::map<std::string, std::string> told;  // group -> its three cells
  for (std::string line; std::getline(manual, line);)
    if (line.starts_with("| `@")) {
      const auto cells = split(line, '|');
      ASSERT_GE(cells.size(), 6U) << line;
      for (std::size_t at = 0, end = 0; (at = cells[1].find('`', end)) != std::string::npos; ++end) {
        end = cells[1].find('`', at + 1);
        told[cells[1].substr(at + 1, end - at - 1)] = cells[3] + "|" + cells[4] + "|" + cells[5];
      }
    }
  std::map<std::string, std::string> found;
  for (const std::string& group : seccomp_group_names())
    for (const std::string& name : profiles) {
      const SeccompProfile profile = parse(shipped(name));
      found[group] += (found[group].empty() ? "" : "|") + std::string(allows_group(profile, group) ? " yes " : " – ");
    }
  EXPECT_EQ(told, found);
}

// The profiles that the two best known container tools ship, unchanged; scripts/setup unpacks them from their packages.
class ForeignProfile : public ::testing::TestWithParam<const char*> {
 protected:
  static json document() {
    const std::string path = std::string(BULKHEAD_SOURCE_DIR) + "/.cache/profiles/" + GetParam() + ".json";
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path + " is not there: run scripts/setup");
    return json::parse(file);
  }
};

// What a profile says by itself: the first rule all of whose conditions hold. None of these has two that contradict.
std::string said_by(const SeccompProfile& profile, const std::string& call,
                    const std::vector<std::uint64_t>& arguments) {
  const auto holds = [&](const SeccompCondition& c) {
    const std::uint64_t value = arguments[c.index];
    if (c.op == "SCMP_CMP_EQ") return value == c.value;
    if (c.op == "SCMP_CMP_NE") return value != c.value;
    if (c.op == "SCMP_CMP_MASKED_EQ") return (value & c.value) == c.value_two;
    throw std::runtime_error(c.op + " is new here");
  };
  const auto answer = [](const std::string& action, int number) {
    return action == "SCMP_ACT_ALLOW" ? std::string("allow") : "errno " + std::to_string(number < 0 ? 1 : number);
  };
  for (const SeccompRule& rule : profile.rules)
    if (std::ranges::find(rule.names, call) != rule.names.end() && std::ranges::all_of(rule.conditions, holds))
      return answer(rule.action, rule.errno_return);
  return answer(profile.default_action, profile.default_errno);
}

TEST_P(ForeignProfile, LoadsUnchangedAndDecidesAsItSays) {
  for (const std::set<std::string>& capabilities :
       {std::set<std::string>{}, {"CAP_SYS_ADMIN"}, {"CAP_SYS_PTRACE", "CAP_AUDIT_WRITE", "CAP_SYS_CHROOT"}}) {
    const SeccompProfile profile = parse(document(), capabilities);
    const auto program = compile_seccomp(profile).value();
    std::set<std::uint64_t> values{0, 1, kHigh, ~std::uint64_t{0}};
    for (const SeccompRule& rule : profile.rules)
      for (const SeccompCondition& c : rule.conditions)
        for (const std::uint64_t value : {c.value - 1, c.value, c.value + 1, c.value | kHigh}) values.insert(value);
    int allowed = 0;
    for (int number = 0; number < 700; ++number) {
      const std::string call = system_call_name(number);
      for (const std::uint64_t first : values)
        for (const std::uint64_t third : values) {
          const std::vector<std::uint64_t> arguments{first, first, third, third, third, third};
          const std::string verdict = run(program, number, arguments);
          ASSERT_EQ(verdict, said_by(profile, call, arguments)) << call << " " << first << " " << third;
          allowed += verdict == "allow" ? 1 : 0;
        }
    }
    EXPECT_GT(allowed, 250 * static_cast<int>(values.size() * values.size()));
    for (const std::uint32_t arch : {std::uint32_t{AUDIT_ARCH_I386}, std::uint32_t{AUDIT_ARCH_ARM}})
      EXPECT_EQ(run(program, __NR_read, {}, arch), "kill process");  // stricter than they: their archMap names some
    EXPECT_EQ(run(program, 0x40000000 | __NR_read), "kill process");
  }
}

// The other's rules for one call contradict each other, which is left to libseccomp itself.
TEST_P(ForeignProfile, DecidesAsLibseccompDoes) {
  const SeccompProfile profile = parse(document());
  if (GetParam() == std::string("docker"))
    expect_as_libseccomp(profile);
  else
    EXPECT_EQ(compile_seccomp(profile)->size(), compile_with_libseccomp(profile)->size());
}

TEST_P(ForeignProfile, LeavesItsCapabilitiesCallsToThem) {
  const auto plain = compile_seccomp(parse(document())).value();
  const auto admin = compile_seccomp(parse(document(), {"CAP_SYS_ADMIN"})).value();
  EXPECT_EQ(run(plain, __NR_bpf), "errno 1");
  EXPECT_EQ(run(admin, __NR_bpf), "allow");
  EXPECT_EQ(run(plain, __NR_personality, {0x20008}), "allow");
  EXPECT_NE(run(plain, __NR_personality, {0x40000}), "allow");
  EXPECT_NE(run(plain, __NR_kexec_load), "allow");
}

INSTANTIATE_TEST_SUITE_P(As, ForeignProfile, ::testing::Values("docker", "podman"),
                         [](const auto& info) { return std::string(info.param); });

TEST(TerminalGuard, StopsInjectionWhateverTheHighBits) {
  const auto guard = compile_guard(true, true).value();
  for (const std::uint64_t request : {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}}) {
    EXPECT_EQ(run(guard, __NR_ioctl, {0, request}), "errno 1");
    EXPECT_EQ(run(guard, __NR_ioctl, {0, request | kHigh}), "errno 1");
    EXPECT_EQ(run(guard, __NR_ioctl, {0, request | 0xdeadbeef00000000}), "errno 1");
  }
  EXPECT_EQ(run(guard, __NR_ioctl, {0, TIOCGWINSZ}), "allow");
  EXPECT_EQ(run(guard, __NR_ioctl, {0, TCGETS}), "allow");
  EXPECT_EQ(run(guard, __NR_ioctl, {TIOCSTI, TCGETS}), "allow");
  EXPECT_EQ(run(guard, __NR_read), "allow");
  EXPECT_EQ(run(guard, __NR_ioctl, {0, TIOCSTI}, AUDIT_ARCH_I386), "kill process");
#if defined(__x86_64__)
  EXPECT_EQ(run(guard, __X32_SYSCALL_BIT | __NR_ioctl, {0, TIOCSTI}), "kill process");
#endif
}

TEST(CoreGuard, LetsNobodyLowerTheOneThatKeepsTheHostsHandlerAway) {
  const auto guard = compile_guard(false, true).value();
  for (const std::uint64_t resource : {std::uint64_t{RLIMIT_CORE}, RLIMIT_CORE | kHigh}) {
    EXPECT_EQ(run(guard, __NR_setrlimit, {resource, 1}), "errno 0");
    EXPECT_EQ(run(guard, __NR_prlimit64, {0, resource, 1}), "errno 0");
    EXPECT_EQ(run(guard, __NR_prlimit64, {0, resource, 0}), "allow");
    EXPECT_EQ(run(guard, __NR_getrlimit, {resource, 1}), "allow");
  }
  EXPECT_EQ(run(guard, __NR_setrlimit, {RLIMIT_NOFILE, 1}), "allow");
  EXPECT_EQ(run(guard, __NR_prlimit64, {0, RLIMIT_NOFILE, 1}), "allow");
  EXPECT_EQ(run(guard, __NR_ioctl, {0, TIOCSTI}), "allow");
  EXPECT_EQ(run(compile_guard(true, false).value(), __NR_setrlimit, {RLIMIT_CORE, 1}), "allow");
  EXPECT_TRUE(compile_guard(false, false).value().empty());
}

TEST(Profile, ReadsTheOciFormat) {
  const SeccompProfile profile = parse(json::parse(R"({
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    "syscalls": [{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
                 {"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 25,
                  "args": [{"index": 1, "value": 255, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}]})"));
  EXPECT_EQ(profile.name, "test");
  EXPECT_EQ(profile.default_action, "SCMP_ACT_ERRNO");
  EXPECT_EQ(profile.default_errno, 38);
  ASSERT_EQ(profile.rules.size(), 2U);
  EXPECT_EQ(
      profile.rules[0],
      (SeccompRule{.names = {"read", "write"}, .action = "SCMP_ACT_ALLOW", .errno_return = -1, .conditions = {}}));
  EXPECT_EQ(profile.rules[1],
            (SeccompRule{.names = {"ioctl"},
                         .action = "SCMP_ACT_ERRNO",
                         .errno_return = 25,
                         .conditions = {{.index = 1, .value = 255, .value_two = 3, .op = "SCMP_CMP_MASKED_EQ"}}}));
  const auto program = compile_seccomp(profile).value();
  EXPECT_EQ(run(program, __NR_ioctl, {0, 0x103}), "errno 25");
  EXPECT_EQ(run(program, __NR_ioctl, {0, 0x102}), "errno 38");
  EXPECT_EQ(run(program, __NR_read), "allow");
}

TEST(Profile, ReadsDockersExtensions) {
  const json document = json::parse(R"({
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
                {"architecture": "SCMP_ARCH_LOONGARCH64", "subArchitectures": null}],
    "syscalls": [
      {"names": ["read", "a_call_of_tomorrow"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}, "excludes": {}},
      {"name": "write", "action": "SCMP_ACT_ALLOW", "args": []},
      {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
      {"names": ["mseal"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
      {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
      {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390", "s390x"]},
       "args": [{"index": 0, "value": 2114060288, "op": "SCMP_CMP_MASKED_EQ"}]},
      {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
      {"names": ["getpid"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "arm64"]}},
      {"names": ["getppid"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390x"]}},
      {"names": ["gettid"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64", "arm64"]}}]})");
  const auto plain = compile_seccomp(parse(document)).value();
  EXPECT_EQ(run(plain, __NR_read), "allow");
  EXPECT_EQ(run(plain, __NR_write), "allow");
  EXPECT_EQ(run(plain, __NR_ptrace), "allow");
  EXPECT_EQ(run(plain, __NR_mount), "errno 1");
  EXPECT_EQ(run(plain, __NR_clone, {SIGCHLD}), "allow");
  EXPECT_EQ(run(plain, __NR_clone, {CLONE_NEWUSER}), "errno 1");
  EXPECT_EQ(run(plain, __NR_clone3), "errno 38");
  EXPECT_EQ(run(plain, __NR_getpid), "allow");
  EXPECT_EQ(run(plain, __NR_getppid), "errno 1");
  EXPECT_EQ(run(plain, __NR_gettid), "errno 1");
  EXPECT_EQ(run(plain, __NR_read, {}, AUDIT_ARCH_I386), "kill process");  // whatever archMap says

  const auto admin = compile_seccomp(parse(document, {"CAP_SYS_ADMIN"})).value();
  EXPECT_EQ(run(admin, __NR_mount), "allow");
  EXPECT_EQ(run(admin, __NR_clone, {SIGCHLD}), "errno 1");
  EXPECT_EQ(run(admin, __NR_clone3), "errno 1");
}

TEST(Profile, ReadsPodmansExtensions) {
  const SeccompProfile profile = parse(json::parse(R"({
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS",
    "syscalls": [{"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errno": "EPERM"},
                 {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "errno": "EIO"}]})"));
  EXPECT_EQ(profile.default_errno, 38);
  EXPECT_EQ(profile.rules[0].errno_return, 1);
  EXPECT_EQ(profile.rules[1].errno_return, 5);
}

TEST(Profile, TakesTwoConditionsOnOneArgumentAsEitherOf) {
  const auto program = compile_seccomp(parse(json::parse(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
    {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"},
                                                                     {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]})")))
                           .value();
  EXPECT_EQ(run(program, __NR_personality, {0}), "allow");
  EXPECT_EQ(run(program, __NR_personality, {8}), "allow");
  EXPECT_EQ(run(program, __NR_personality, {9}), "errno 1");
}

TEST(Profile, ComparesEveryWay) {
  const auto answer = [](const std::string& op, std::uint64_t value) {
    const json document = {
        {"defaultAction", "SCMP_ACT_ERRNO"},
        {"syscalls",
         {{{"names", {"dup"}}, {"action", "SCMP_ACT_ALLOW"}, {"args", {{{"index", 0}, {"value", 10U}, {"op", op}}}}}}}};
    return run(compile_seccomp(parse(document)).value(), __NR_dup, {value}) == "allow";
  };
  EXPECT_TRUE(answer("SCMP_CMP_EQ", 10) && !answer("SCMP_CMP_EQ", 11));
  EXPECT_TRUE(answer("SCMP_CMP_NE", 11) && !answer("SCMP_CMP_NE", 10));
  EXPECT_TRUE(answer("SCMP_CMP_LT", 9) && !answer("SCMP_CMP_LT", 10));
  EXPECT_TRUE(answer("SCMP_CMP_LE", 10) && !answer("SCMP_CMP_LE", 11));
  EXPECT_TRUE(answer("SCMP_CMP_GT", 11) && !answer("SCMP_CMP_GT", 10));
  EXPECT_TRUE(answer("SCMP_CMP_GE", 10) && !answer("SCMP_CMP_GE", 9));
}

TEST(Profile, HasEveryAction) {
  const std::map<std::string, std::string> verdicts{{"SCMP_ACT_KILL", "kill thread"},
                                                    {"SCMP_ACT_KILL_THREAD", "kill thread"},
                                                    {"SCMP_ACT_KILL_PROCESS", "kill process"},
                                                    {"SCMP_ACT_TRAP", "trap"},
                                                    {"SCMP_ACT_ERRNO", "errno 1"},
                                                    {"SCMP_ACT_TRACE", "trace 1"},
                                                    {"SCMP_ACT_LOG", "log"}};
  for (const auto& [action, expected] : verdicts) {
    const json document = {{"defaultAction", "SCMP_ACT_ALLOW"},
                           {"syscalls", {{{"names", {"dup"}}, {"action", action}}}}};
    EXPECT_EQ(run(compile_seccomp(parse(document)).value(), __NR_dup), expected) << action;
  }
}

TEST(Profile, IsRefusedWithItsPlace) {
  EXPECT_EQ(refusal("[]"), "seccomp profile: expected a map, got a list");
  EXPECT_EQ(refusal("{}"), "seccomp profile: needs the key 'defaultAction'");
  EXPECT_EQ(refusal(R"({"defaultAction": "SCMP_ACT_ALOW"})"),
            "seccomp profile /defaultAction: expected 'SCMP_ACT_KILL', 'SCMP_ACT_KILL_THREAD', "
            "'SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_TRAP', "
            "'SCMP_ACT_ERRNO', 'SCMP_ACT_TRACE', 'SCMP_ACT_ALLOW', 'SCMP_ACT_LOG' or 'SCMP_ACT_NOTIFY', got "
            "'SCMP_ACT_ALOW' | did you mean "
            "'SCMP_ACT_ALLOW'?");
  EXPECT_EQ(refusal(R"({"defaultAction": "SCMP_ACT_NOTIFY"})"),
            "seccomp profile /defaultAction: 'SCMP_ACT_NOTIFY' needs a listener, which a profile cannot bring | use "
            "'SCMP_ACT_ERRNO'");
  EXPECT_EQ(refusal(R"({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1})"),
            "seccomp profile /defaultErrnoRet: 'SCMP_ACT_ALLOW' returns no errno");
  EXPECT_EQ(refusal(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096})"),
            "seccomp profile /defaultErrnoRet: expected a whole number from 0 to 4095, got number 4096");
  EXPECT_EQ(refusal(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSENSE"})"),
            "seccomp profile /defaultErrno: expected the name of an error such as 'EPERM', got 'ENOSENSE'");
  EXPECT_EQ(refusal(R"({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrno": "EPERM"})"),
            "seccomp profile /defaultErrno: 'SCMP_ACT_ALLOW' returns no errno");
  EXPECT_EQ(refusal(R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "defaultErrno": "ENOSYS"})"),
            "seccomp profile /defaultErrno: is 38, and the number beside it is 1 | drop one of them");
  EXPECT_EQ(refusal(R"({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_S390X"]})"),
            "seccomp profile: is not for this machine: it does not name SCMP_ARCH_X86_64");
  EXPECT_EQ(refusal(R"({"defaultAction": "SCMP_ACT_ERRNO", "listenerPath": "/x"})").substr(0, 66),
            "seccomp profile /listenerPath: unknown key 'listenerPath' | a key ");
  EXPECT_EQ(refusal(R"({"defaultAction": "SCMP_ACT_ERRNO", "flags": ["SECCOMP_FILTER_FLAG_LOG"]})"),
            "seccomp profile /flags/0: the flag 'SECCOMP_FILTER_FLAG_LOG' is not supported | drop it");
}

TEST(Profile, RulesAreRefusedWithTheirPlace) {
  const auto rule = [](const std::string& text) {
    return refusal(R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [)" + text + "]}");
  };
  EXPECT_EQ(rule(R"({"names": ["read"]})"), "seccomp profile /syscalls/0: needs the key 'action'");
  EXPECT_EQ(rule(R"({"action": "SCMP_ACT_ALLOW"})"), "seccomp profile /syscalls/0: needs the key 'names'");
  EXPECT_EQ(rule(R"({"names": [], "action": "SCMP_ACT_ALLOW"})"),
            "seccomp profile /syscalls/0/names: names no system call");
  EXPECT_EQ(rule(R"({"names": ["read"], "name": "write", "action": "SCMP_ACT_ALLOW"})"),
            "seccomp profile /syscalls/0: has both 'name' and 'names' | drop 'name'");
  EXPECT_EQ(rule(R"({"names": ["read"], "name": 3, "action": "SCMP_ACT_ALLOW"})"),
            "seccomp profile /syscalls/0: has both 'name' and 'names' | drop 'name'");
  EXPECT_EQ(rule(R"({"names": ["read", 3], "action": "SCMP_ACT_ALLOW"})"),
            "seccomp profile /syscalls/0/names/1: expected a string, got number 3 | put it in quotes");
  EXPECT_EQ(rule(R"({"names": ["read"], "acton": "SCMP_ACT_ALLOW"})"),
            "seccomp profile /syscalls/0/acton: unknown key 'acton' | did you mean 'action'?");
  EXPECT_EQ(
      rule(
          R"({"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]})"),
      "seccomp profile /syscalls/0/args/0/index: expected a whole number from 0 to 5, got number 6");
  EXPECT_EQ(rule(R"({"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0}]})"),
            "seccomp profile /syscalls/0/args/0: needs the key 'op'");
  EXPECT_EQ(
      rule(
          R"({"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EG"}]})"),
      "seccomp profile /syscalls/0/args/0/op: expected 'SCMP_CMP_NE', 'SCMP_CMP_LT', 'SCMP_CMP_LE', 'SCMP_CMP_EQ', "
      "'SCMP_CMP_GE', "
      "'SCMP_CMP_GT' or 'SCMP_CMP_MASKED_EQ', got 'SCMP_CMP_EG' | did you mean 'SCMP_CMP_EQ'?");
  EXPECT_EQ(rule(R"({"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "four"}})"),
            "seccomp profile /syscalls/0/includes/minKernel: expected a kernel version such as '4.8', got 'four'");
  EXPECT_EQ(rule(R"({"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"cap": []}})"),
            "seccomp profile /syscalls/0/includes/cap: unknown key 'cap' | did you mean 'caps'?");
}

}  // namespace
}  // namespace bulkhead
