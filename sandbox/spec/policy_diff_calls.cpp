// System calls, by name and group.
#include "sandbox/spec/policy_diff_parts.h"
#include "sandbox/spec/seccomp_verdicts.h"

namespace bulkhead {
namespace {

enum class Gain { none, wholly, under_conditions, any_arguments, other_conditions };

Gain gain(const SeccompVerdict& a, const SeccompVerdict& b) {
  if (a == b || b.kind == SeccompVerdict::refused || a.kind == SeccompVerdict::allowed) return Gain::none;
  if (b.kind == SeccompVerdict::conditional)
    return a.kind == SeccompVerdict::refused ? Gain::under_conditions : Gain::other_conditions;
  return a.kind == SeccompVerdict::refused ? Gain::wholly : Gain::any_arguments;
}

std::string words(Gain gain) {
  switch (gain) {
    case Gain::none:
    case Gain::wholly:
      break;
    case Gain::under_conditions:
      return ", with conditions on their arguments";
    case Gain::any_arguments:
      return ", with any arguments instead of under conditions";
    case Gain::other_conditions:
      return ", with other conditions on their arguments";
  }
  return {};
}

}  // namespace

void more_calls(const SandboxSpec& from, const SandboxSpec& to, std::vector<PolicyChange>& more) {
  const auto before = seccomp_verdicts(from.seccomp()), after = seccomp_verdicts(to.seccomp());
  std::map<std::pair<Gain, std::string>, std::string> lists;  // by group; "" for calls of none
  for (const auto& [call, verdict] : after) {
    const Gain what = gain(before.at(call), verdict);
    if (what == Gain::none) continue;
    std::string& list = lists[{what, group_of(call)}];
    list += (list.empty() ? "" : ", ") + call;
  }
  for (const auto& [key, list] : lists)
    more.push_back({"seccomp", "make system calls" + (key.second.empty() ? "" : " of " + key.second) + ": " + list +
                                   words(key.first)});
}

}  // namespace bulkhead
