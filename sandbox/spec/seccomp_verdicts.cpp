#include "sandbox/spec/seccomp_verdicts.h"

#include <seccomp.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <string_view>

namespace bulkhead {
namespace {

constexpr int kMostNumbers = 1024;  // x86-64 is at 470

bool allows(std::string_view action) { return action == "SCMP_ACT_ALLOW" || action == "SCMP_ACT_LOG"; }

std::string text_of(const SeccompRule& rule) {
  std::set<std::string> conditions;
  for (const SeccompCondition& c : rule.conditions)
    conditions.insert(std::to_string(c.index) + " " + c.op + " " + std::to_string(c.value) +
                      (c.op == "SCMP_CMP_MASKED_EQ" ? " " + std::to_string(c.value_two) : ""));
  std::string text = allows(rule.action) ? "allow" : "refuse";
  for (const std::string& condition : conditions) text += ", " + condition;
  return text;
}

struct Rules {
  std::optional<bool> always;        // what a rule without conditions says
  std::set<std::string> sometimes;   // rules with conditions
  std::set<bool> sometimes_allowed;  // what these say
};

}  // namespace

std::map<std::string, SeccompVerdict> seccomp_verdicts(const SeccompProfile& profile) {
  std::map<std::string, Rules> rules;
  for (int number = 0; number < kMostNumbers; ++number)
    if (const std::unique_ptr<char, decltype(&std::free)> name(
            seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number), &std::free);
        name)
      rules[name.get()];
  for (const SeccompRule& rule : profile.rules)
    for (const std::string& name : rule.names) {
      const auto call = rules.find(name);
      if (call == rules.end()) continue;  // of another architecture
      if (rule.conditions.empty()) {
        call->second.always = allows(rule.action);
      } else {
        call->second.sometimes.insert(text_of(rule));
        call->second.sometimes_allowed.insert(allows(rule.action));
      }
    }
  std::map<std::string, SeccompVerdict> verdicts;
  for (const auto& [name, call] : rules) {
    const bool otherwise = call.always.value_or(allows(profile.default_action));
    SeccompVerdict& verdict = verdicts[name];
    if (!call.sometimes_allowed.contains(!otherwise)) {  // no condition changes anything
      verdict.kind = otherwise ? SeccompVerdict::allowed : SeccompVerdict::refused;
      continue;
    }
    verdict.kind = SeccompVerdict::conditional;
    verdict.conditions = otherwise ? "else allow" : "else refuse";
    for (const std::string& text : call.sometimes) verdict.conditions += "; " + text;
  }
  return verdicts;
}

}  // namespace bulkhead
