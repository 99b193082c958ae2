#include "tests/fuzz/seccomp_oracle.h"

#include <seccomp.h>

#include <algorithm>
#include <map>
#include <random>

#include "sandbox/spec/seccomp_ranges.h"
#include "tests/fuzz/targets.h"
#include "tests/support/bpf_eval.h"

namespace bulkhead::fuzz {
namespace {

// Calls and arguments at the borders of what the profile tells apart, and some that it does not name.
class Calls {
 public:
  explicit Calls(const SeccompProfile& profile) : random_(static_cast<unsigned>(profile.rules.size())) {
    for (const SeccompRule& rule : profile.rules) {
      for (const std::string& name : rule.names)
        if (numbers_.size() < 64) numbers_.push_back(seccomp_syscall_resolve_name(name.c_str()));
      for (const SeccompCondition& c : rule.conditions)
        if (values_.size() < 64)
          for (const std::uint64_t value :
               std::initializer_list<std::uint64_t>{c.value, c.value - 1, c.value + 1, c.value_two,
                                                    c.value ^ (1ULL << 32), ~c.value | c.value_two, c.value << 32})
            values_.push_back(value);
    }
  }

  seccomp_data next() {
    seccomp_data call{};
    call.arch = random_() % 16 == 0 ? AUDIT_ARCH_I386 : AUDIT_ARCH_X86_64;
    call.nr = numbers_[random_() % numbers_.size()];
    if (random_() % 8 == 0) call.nr += static_cast<int>(random_() % 3) - 1;
    for (auto& argument : call.args) argument = values_[random_() % values_.size()];
    return call;
  }

 private:
  std::mt19937 random_;
  std::vector<int> numbers_{0, 1, 435, 1000, 0x40000000, -1};
  std::vector<std::uint64_t> values_{0, 1, ~0ULL, 0xffffffff};
};

std::string text(const seccomp_data& call) {
  std::string out = "arch " + std::to_string(call.arch) + " nr " + std::to_string(call.nr);
  for (const auto argument : call.args) out += " " + std::to_string(argument);
  return out;
}

}  // namespace

void compare_compilers(const SeccompProfile& profile) {
  // libseccomp 2.5.4 merges several rules of one call wrongly unless they compare for equality: with "arg >= ~0" and
  // "arg < 3", 0xffffffff matches. So there it is no oracle.
  std::map<std::string, int> rules_of;
  for (const SeccompRule& rule : profile.rules) {
    const bool plain =
        std::ranges::all_of(rule.conditions, [](const SeccompCondition& c) { return c.op.ends_with("EQ"); });
    for (const std::string& name : rule.names)
      if ((rules_of[name] += plain ? 1 : 100) > 100) return;
  }
  // Where rules contradict each other there is nothing to compare, and libseccomp 2.5.4 does not always come to an end.
  const auto ranges = compile_ranges(profile);
  if (!ranges) return;
  const auto theirs = compile_with_libseccomp(profile);
  if (!theirs) {
    require(!theirs.error().detail.empty() || theirs.error().code != 0, "refused without a reason");
    return;
  }
  Calls calls(profile);
  for (int i = 0; i < 200; ++i) {
    const seccomp_data call = calls.next();
    const auto ours = testing::evaluate_bpf(*ranges, call), oracle = testing::evaluate_bpf(*theirs, call);
    require(ours == oracle,
            text(call) + ": " + testing::verdict(ours) + ", but libseccomp says " + testing::verdict(oracle));
  }
}

}  // namespace bulkhead::fuzz
