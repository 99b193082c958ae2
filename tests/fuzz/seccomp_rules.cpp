#include <array>

#include "tests/fuzz/seccomp_oracle.h"
#include "tests/fuzz/targets.h"

namespace bulkhead::fuzz {
namespace {

constexpr std::array<const char*, 7> kCalls{"read", "write", "open", "ioctl", "clone", "socket", "unshare"};
constexpr std::array<const char*, 8> kActions{"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_ERRNO",
                                              "SCMP_ACT_LOG",   "SCMP_ACT_TRAP",  "SCMP_ACT_KILL_PROCESS",
                                              "SCMP_ACT_KILL",  "SCMP_ACT_TRACE"};
constexpr std::array<const char*, 7> kOperators{"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
                                                "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
constexpr std::array<std::uint64_t, 12> kValues{
    0, 1, 2, 3, 0x7f, 0xffffffff, 0x100000000, 0x100000001, 0x7e020000, ~0ULL, ~0ULL - 1, 0x8000000000000000};

class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : left_(bytes) {}
  bool empty() const { return left_.empty(); }
  std::uint8_t next() {
    if (left_.empty()) return 0;
    const auto byte = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return byte;
  }
  std::uint64_t value() {
    const std::uint8_t choice = next();
    return choice < 240 ? kValues[choice % kValues.size()] : std::uint64_t{next()} << (8 * (choice % 8));
  }

 private:
  std::string_view left_;
};

}  // namespace

bool seccomp_rules(std::string_view input) {
  Bytes bytes(input);
  SeccompProfile profile{
      .name = "x", .default_action = kActions[bytes.next() % kActions.size()], .default_errno = -1, .rules = {}};
  while (!bytes.empty() && profile.rules.size() < 12) {
    SeccompRule rule;
    const std::uint8_t shape = bytes.next();
    rule.names.emplace_back(kCalls[shape % kCalls.size()]);
    if (shape >= 200) rule.names.emplace_back(kCalls[bytes.next() % kCalls.size()]);
    rule.action = kActions[bytes.next() % kActions.size()];
    if (rule.action == "SCMP_ACT_ERRNO") rule.errno_return = bytes.next() % 3;
    // Each argument at most once: parse_seccomp_profile() sees to that.
    unsigned index = 0;
    for (unsigned n = bytes.next() % 4; n > 0 && index < 6; --n, ++index) {
      index += bytes.next() % 2;
      rule.conditions.push_back({.index = index,
                                 .value = bytes.value(),
                                 .value_two = bytes.value(),
                                 .op = kOperators[bytes.next() % kOperators.size()]});
    }
    profile.rules.push_back(std::move(rule));
  }
  compare_compilers(profile);
  compare_compilers(observed(profile));
  return true;
}

}  // namespace bulkhead::fuzz
