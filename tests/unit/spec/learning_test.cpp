// What the two filters of a learning sandbox say together: the kernel takes the stricter, of equals the later one.
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cerrno>
#include <fstream>

#include "sandbox/init/path_calls.h"
#include "sandbox/spec/seccomp_observed.h"
#include "tests/support/bpf_eval.h"

namespace bulkhead {
namespace {

using nlohmann::json;

constexpr std::uint32_t kRefused = SECCOMP_RET_ERRNO | EPERM;

SeccompProfile profile(const std::string& name) {
  std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/" + name + ".json");
  return parse_seccomp_profile(name, json::parse(file), {}).value();
}

std::uint32_t verdict(const std::vector<sock_filter>& program, int number, std::uint32_t arch = AUDIT_ARCH_X86_64) {
  seccomp_data data{};
  data.nr = number;
  data.arch = arch;
  return testing::evaluate_bpf(program, data);
}

TEST(Learning, TheCommandIsToldOfPathsAndOfWhatIsRefused) {
  const SeccompProfile given = profile("default");
  const LearningPrograms programs = compile_learning(&given).value();
  for (const PathCall& call : kPathCalls) {
    EXPECT_EQ(verdict(programs.command, call.number), SECCOMP_RET_USER_NOTIF) << call.name;
    EXPECT_EQ(verdict(programs.base, call.number), SECCOMP_RET_ALLOW) << call.name;
  }
  for (const int refused : {SYS_unshare, SYS_mount, SYS_keyctl}) {
    EXPECT_EQ(verdict(programs.command, refused), SECCOMP_RET_USER_NOTIF) << refused;
    EXPECT_EQ(verdict(programs.base, refused), SECCOMP_RET_USER_NOTIF) << refused;
  }
  for (const int allowed : {SYS_read, SYS_write, SYS_sendmsg, SYS_close})
    EXPECT_EQ(verdict(programs.command, allowed), SECCOMP_RET_ALLOW) << allowed;
}

// Init answers a call with a path by "continue": so a refusal must never wait for init's answer.
TEST(Learning, ARefusedCallWithAPathIsRefusedByTheFilterBelow) {
  SeccompProfile nothing{.name = "p", .default_action = "SCMP_ACT_ERRNO", .default_errno = -1, .rules = {}};
  const LearningPrograms by_default = compile_learning(&nothing).value();
  for (const PathCall& call : kPathCalls) EXPECT_EQ(verdict(by_default.base, call.number), kRefused) << call.name;
  SeccompProfile by_rule{.name = "p", .default_action = "SCMP_ACT_ALLOW", .default_errno = -1, .rules = {}};
  for (const PathCall& call : kPathCalls)
    by_rule.rules.push_back({.names = {call.name}, .action = "SCMP_ACT_ERRNO", .errno_return = -1, .conditions = {}});
  const LearningPrograms ruled = compile_learning(&by_rule).value();
  for (const PathCall& call : kPathCalls) EXPECT_EQ(verdict(ruled.base, call.number), kRefused) << call.name;
  // Nor must what the command tells init of the listener with: nobody would answer.
  for (const int own : {SYS_sendmsg, SYS_seccomp, SYS_write}) EXPECT_EQ(verdict(by_default.base, own), kRefused) << own;
}

std::uint32_t verdict_of(const std::vector<sock_filter>& program, int number, unsigned index, std::uint64_t value);

// Under a default that refuses, the other uses of a call that is allowed under conditions are the default's to refuse:
// left to the listener, init would wait for itself, or answer "continue".
TEST(Learning, WhatIsAllowedUnderConditionsIsRefusedOtherwise) {
  for (const auto& [name, number] : {std::pair{"prctl", SYS_prctl},
                                     {"execveat", SYS_execveat},
                                     {"openat", SYS_openat},
                                     {"clone", SYS_clone},
                                     {"sendto", SYS_sendto}}) {
    SeccompProfile given{.name = "p", .default_action = "SCMP_ACT_ERRNO", .default_errno = -1, .rules = {}};
    given.rules.push_back({.names = {name},
                           .action = "SCMP_ACT_ALLOW",
                           .errno_return = -1,
                           .conditions = {{.index = 2, .value = 7, .value_two = 0, .op = "SCMP_CMP_EQ"}}});
    const LearningPrograms learning = compile_learning(&given).value();
    const bool told = name == std::string("openat") || name == std::string("sendto");  // of observed() by its listener
    if (!told) {
      EXPECT_FALSE(tells_refusals(given)) << name;
      const auto program = compile_seccomp(observed(given)).value();
      EXPECT_EQ(verdict_of(program, number, 2, 7), SECCOMP_RET_ALLOW) << name;
      EXPECT_EQ(verdict_of(program, number, 2, 8), kRefused) << name;
    }
    EXPECT_EQ(verdict_of(learning.base, number, 2, 7), SECCOMP_RET_ALLOW) << name;
    EXPECT_EQ(verdict_of(learning.base, number, 2, 8), kRefused) << name;
  }
  // A clone with flags that nobody of ours passes is told all the same, as in most profiles.
  SeccompProfile usual{.name = "p", .default_action = "SCMP_ACT_ERRNO", .default_errno = -1, .rules = {}};
  usual.rules.push_back({.names = {"clone"},
                         .action = "SCMP_ACT_ALLOW",
                         .errno_return = -1,
                         .conditions = {{.index = 0, .value = 0x7e020000, .op = "SCMP_CMP_MASKED_EQ"}}});
  EXPECT_TRUE(tells_refusals(usual));
  EXPECT_EQ(verdict_of(compile_seccomp(observed(usual)).value(), SYS_clone, 0, 0x10000000), SECCOMP_RET_USER_NOTIF);
}

std::uint32_t verdict_of(const std::vector<sock_filter>& program, int number, unsigned index, std::uint64_t value) {
  seccomp_data data{};
  data.nr = number;
  data.arch = AUDIT_ARCH_X86_64;
  data.args[index] = value;
  return testing::evaluate_bpf(program, data);
}

TEST(Learning, SomeCallsAreToldByTheirArguments) {
  const SeccompProfile given = profile("default");
  const LearningPrograms told = compile_learning(&given, {.terminal = true}).value();
  const LearningPrograms untold = compile_learning(&given).value();
  for (const std::uint64_t address : {1ULL, 1ULL << 32, ~0ULL})
    EXPECT_EQ(verdict_of(told.command, SYS_sendto, 4, address), SECCOMP_RET_USER_NOTIF) << address;
  EXPECT_EQ(verdict_of(told.command, SYS_sendto, 4, 0), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict_of(told.base, SYS_sendto, 4, 1), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict_of(told.command, SYS_seccomp, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER | 1), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(verdict_of(told.command, SYS_seccomp, 1, 1), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict_of(told.base, SYS_seccomp, 1, SECCOMP_FILTER_FLAG_NEW_LISTENER), SECCOMP_RET_ALLOW);
  // The kernel looks at the low half.
  for (const std::uint64_t request :
       {std::uint64_t{TIOCSTI}, std::uint64_t{TIOCLINUX}, std::uint64_t{1} << 32 | TIOCSTI}) {
    EXPECT_EQ(verdict_of(told.command, SYS_ioctl, 1, request), SECCOMP_RET_USER_NOTIF) << request;
    EXPECT_EQ(verdict_of(untold.command, SYS_ioctl, 1, request), SECCOMP_RET_ALLOW) << request;
  }
  EXPECT_EQ(verdict_of(told.command, SYS_ioctl, 1, TCGETS), SECCOMP_RET_ALLOW);
}

// The guard's refusals are told by leaving them to a listener: without one the kernel refuses what is left so.
TEST(Learning, WhatTheGuardRefusesIsNeverAllowed) {
  const auto guard = compile_guard(true, true).value();
  EXPECT_EQ(verdict_of(guard, SYS_ioctl, 1, TIOCSTI), kRefused);
  const auto by_listener = told(guard);
  EXPECT_EQ(verdict_of(by_listener, SYS_ioctl, 1, TIOCSTI), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(verdict_of(by_listener, SYS_ioctl, 1, TCGETS), SECCOMP_RET_ALLOW);
  EXPECT_EQ(verdict_of(by_listener, SYS_setrlimit, 0, RLIMIT_CORE), SECCOMP_RET_ERRNO | 0u);
}

TEST(Learning, NeedsTheCallsThatBringTheListenerToInit) {
  EXPECT_TRUE(can_be_observed(profile("default")));
  EXPECT_FALSE(can_be_observed(profile("strict")));
}

TEST(Learning, ForeignCallsAreKilledWhateverTheirNumber) {
  for (const char* name : {"default", "strict", "permissive"}) {
    const SeccompProfile given = profile(name);
    const LearningPrograms programs = compile_learning(&given).value();
    EXPECT_EQ(verdict(programs.base, SYS_openat, AUDIT_ARCH_I386), SECCOMP_RET_KILL_PROCESS) << name;
  }
}

TEST(Learning, WithoutAProfileNothingIsRefused) {
  const LearningPrograms programs = compile_learning(nullptr).value();
  EXPECT_TRUE(programs.base.empty());
  EXPECT_EQ(verdict(programs.command, SYS_openat), SECCOMP_RET_USER_NOTIF);
  EXPECT_EQ(verdict(programs.command, SYS_mount), SECCOMP_RET_ALLOW);
}

}  // namespace
}  // namespace bulkhead
