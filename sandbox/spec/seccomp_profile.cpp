#include "sandbox/spec/seccomp_profile.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "sandbox/base/json_node.h"
#include "sandbox/base/text.h"

namespace bulkhead {
namespace {

constexpr std::size_t kMostRules = 4096;
constexpr std::uint64_t kMostErrno = 4095;  // what a filter can return: SECCOMP_RET_DATA, MAX_ERRNO

// The names of the machine this is built for: OCI's, and Go's that Docker's includes and excludes use.
#if defined(__x86_64__)
constexpr std::string_view kNativeArch = "SCMP_ARCH_X86_64";
constexpr std::string_view kNativeGoArch = "amd64";
#elif defined(__aarch64__)
constexpr std::string_view kNativeArch = "SCMP_ARCH_AARCH64";
constexpr std::string_view kNativeGoArch = "arm64";
#else
#error "Bulkhead is built for x86_64 and aarch64"
#endif

// The oldest kernel Bulkhead supports. A rule that Docker adds from a `minKernel` on counts if every supported kernel
// has it.
constexpr std::pair<unsigned, unsigned> kOldestKernel{6, 1};

std::span<const std::string> words(const std::vector<std::string>& list) { return list; }

const std::vector<std::string>& actions() {
  static const std::vector<std::string> list{"SCMP_ACT_KILL",  "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS",
                                             "SCMP_ACT_TRAP",  "SCMP_ACT_ERRNO",       "SCMP_ACT_TRACE",
                                             "SCMP_ACT_ALLOW", "SCMP_ACT_LOG",         "SCMP_ACT_NOTIFY"};
  return list;
}

const std::vector<std::string>& operators() {
  static const std::vector<std::string> list{"SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",       "SCMP_CMP_EQ",
                                             "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"};
  return list;
}

bool carries_errno(std::string_view action) { return action == "SCMP_ACT_ERRNO" || action == "SCMP_ACT_TRACE"; }

Result<std::string> read_action(const JsonNode& node) {
  BULKHEAD_ASSIGN(std::string action, node.word(words(actions())));
  if (action == "SCMP_ACT_NOTIFY")
    return node.refuse("'SCMP_ACT_NOTIFY' needs a listener, which a profile cannot bring", "use 'SCMP_ACT_ERRNO'");
  return action;
}

// Podman says errors by name (errno(3)) beside OCI's numbers.
Result<int> read_errno_name(const JsonNode& node) {
  BULKHEAD_ASSIGN(const std::string name, node.string());
  for (int number = 1; number <= static_cast<int>(kMostErrno); ++number)
    if (const char* const known = ::strerrorname_np(number); known != nullptr && name == known) return number;
  return node.expected("the name of an error such as 'EPERM'");
}

// `errnoRet` (OCI) and `errno` (Podman) beside an action, -1 where neither is given.
Result<int> read_errno(const std::optional<JsonNode>& number, const std::optional<JsonNode>& name,
                       std::string_view action) {
  for (const auto& node : {number, name})
    if (node && !carries_errno(action)) return node->refuse("'" + std::string(action) + "' returns no errno");
  int by_number = -1;
  int by_name = -1;
  if (number) {
    BULKHEAD_ASSIGN(const auto given, number->integer(0, kMostErrno));
    by_number = static_cast<int>(given);
  }
  if (name) {
    BULKHEAD_ASSIGN(by_name, read_errno_name(*name));
  }
  if (number && name && by_number != by_name)
    return name->refuse("is " + std::to_string(by_name) + ", and the number beside it is " + std::to_string(by_number),
                        "drop one of them");
  return name ? by_name : by_number;
}

Result<std::pair<unsigned, unsigned>> read_kernel_version(const JsonNode& node) {
  BULKHEAD_ASSIGN(const std::string text, node.string());
  std::pair<unsigned, unsigned> version;
  const char* const end = text.data() + text.size();
  const auto major = std::from_chars(text.data(), end, version.first);
  if (major.ec == std::errc() && major.ptr != end && *major.ptr == '.') {
    const auto minor = std::from_chars(major.ptr + 1, end, version.second);
    if (minor.ec == std::errc() && minor.ptr == end) return version;
  }
  return node.expected("a kernel version such as '4.8'");
}

// What Docker's `includes` or `excludes` of a rule name.
struct Filter {
  std::vector<std::string> capabilities;
  std::vector<std::string> arches;
  std::optional<std::pair<unsigned, unsigned>> kernel;
};

Result<Filter> read_filter(const std::optional<JsonNode>& node) {
  static const std::vector<std::string> keys{"caps", "arches", "minKernel"};
  Filter filter;
  if (!node) return filter;
  BULKHEAD_TRY(node->object_of(keys));
  if (const auto caps = node->find("caps")) {
    BULKHEAD_ASSIGN(filter.capabilities, caps->strings());
  }
  if (const auto arches = node->find("arches")) {
    BULKHEAD_ASSIGN(filter.arches, arches->strings());
  }
  if (const auto kernel = node->find("minKernel")) {
    BULKHEAD_ASSIGN(filter.kernel, read_kernel_version(*kernel));
  }
  return filter;
}

bool has(const std::vector<std::string>& list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

// As Docker decides it: every included capability must be held, no excluded one may be; likewise arches and kernel.
bool applies(const Filter& includes, const Filter& excludes, const std::set<std::string>& capabilities) {
  const auto held = [&](const std::string& capability) { return capabilities.contains(capability); };
  if (has(excludes.arches, kNativeGoArch) || std::ranges::any_of(excludes.capabilities, held)) return false;
  if (excludes.kernel && *excludes.kernel <= kOldestKernel) return false;
  if (!includes.arches.empty() && !has(includes.arches, kNativeGoArch)) return false;
  if (!std::ranges::all_of(includes.capabilities, held)) return false;
  return !includes.kernel || *includes.kernel <= kOldestKernel;
}

Result<SeccompCondition> read_condition(const JsonNode& node) {
  static const std::vector<std::string> keys{"index", "value", "valueTwo", "op"};
  BULKHEAD_TRY(node.object_of(keys));
  for (const char* key : {"index", "value", "op"})
    if (!node.find(key)) return node.refuse("needs the key '" + std::string(key) + "'");
  SeccompCondition condition;
  constexpr std::uint64_t any = ~std::uint64_t{0};
  BULKHEAD_ASSIGN(const auto index, node.find("index")->integer(0, 5));
  condition.index = static_cast<unsigned>(index);
  BULKHEAD_ASSIGN(condition.value, node.find("value")->integer(0, any));
  if (const auto two = node.find("valueTwo")) {
    BULKHEAD_ASSIGN(condition.value_two, two->integer(0, any));
  }
  BULKHEAD_ASSIGN(condition.op, node.find("op")->word(words(operators())));
  return condition;
}

// libseccomp takes each argument once per rule. Where a profile names one twice, each condition is a rule of its own,
// as runc and crun read it.
std::vector<std::vector<SeccompCondition>> rules_of(std::vector<SeccompCondition> conditions) {
  std::array<unsigned, 6> uses{};
  for (const auto& condition : conditions) ++uses[condition.index];
  if (std::ranges::none_of(uses, [](unsigned n) { return n > 1; })) return {std::move(conditions)};
  std::vector<std::vector<SeccompCondition>> single;
  for (auto& condition : conditions) single.push_back({std::move(condition)});
  return single;
}

Result<std::vector<std::string>> read_names(const JsonNode& rule) {
  const auto one = rule.find("name");
  const auto several = rule.find("names");
  if (one && several && one->value() != "") return rule.refuse("has both 'name' and 'names'", "drop 'name'");
  if (!one && !several) return rule.refuse("needs the key 'names'");
  if (!several) {
    BULKHEAD_ASSIGN(std::string name, one->string());
    return std::vector<std::string>{std::move(name)};
  }
  BULKHEAD_ASSIGN(auto names, several->strings());
  if (names.empty()) return several->refuse("names no system call");
  return names;
}

Result<> read_rule(const JsonNode& node, const std::set<std::string>& capabilities, SeccompProfile& profile) {
  static const std::vector<std::string> keys{"names", "name",    "action",   "errnoRet", "errno",
                                             "args",  "comment", "includes", "excludes"};
  BULKHEAD_TRY(node.object_of(keys));
  if (!node.find("action")) return node.refuse("needs the key 'action'");
  if (const auto comment = node.find("comment")) BULKHEAD_TRY(comment->string());
  SeccompRule rule;
  BULKHEAD_ASSIGN(rule.names, read_names(node));
  BULKHEAD_ASSIGN(rule.action, read_action(*node.find("action")));
  BULKHEAD_ASSIGN(rule.errno_return, read_errno(node.find("errnoRet"), node.find("errno"), rule.action));
  std::vector<SeccompCondition> conditions;
  if (const auto args = node.find("args"); args && !args->value().is_null()) {
    BULKHEAD_ASSIGN(const auto nodes, args->elements());
    for (const JsonNode& each : nodes) {
      BULKHEAD_ASSIGN(conditions.emplace_back(), read_condition(each));
    }
  }
  BULKHEAD_ASSIGN(const Filter includes, read_filter(node.find("includes")));
  BULKHEAD_ASSIGN(const Filter excludes, read_filter(node.find("excludes")));
  if (!applies(includes, excludes, capabilities)) return {};
  for (auto& set : rules_of(std::move(conditions))) {
    profile.rules.push_back(rule);
    profile.rules.back().conditions = std::move(set);
  }
  return {};
}

// `architectures` (OCI) and `archMap` (Docker) say where a profile was meant to hold. The native one is compiled,
// whatever else they name: foreign system calls are killed.
Result<> check_architectures(const JsonNode& document) {
  std::vector<std::string> named;
  if (const auto list = document.find("architectures")) {
    BULKHEAD_ASSIGN(named, list->strings());
  }
  if (const auto map = document.find("archMap")) {
    static const std::vector<std::string> keys{"architecture", "subArchitectures"};
    BULKHEAD_ASSIGN(const auto entries, map->elements());
    for (const JsonNode& entry : entries) {
      BULKHEAD_TRY(entry.object_of(keys));
      const auto architecture = entry.find("architecture");
      if (!architecture) return entry.refuse("needs the key 'architecture'");
      BULKHEAD_ASSIGN(named.emplace_back(), architecture->string());
      if (const auto more = entry.find("subArchitectures")) {
        if (!more->value().is_null()) BULKHEAD_TRY(more->strings());
      }
    }
  }
  if (!named.empty() && !has(named, kNativeArch))
    return document.refuse("is not for this machine: it does not name " + std::string(kNativeArch));
  return {};
}

// TSYNC changes nothing in a process of one thread; the other flags would have to be obeyed, and are not.
Result<> check_flags(const JsonNode& list) {
  BULKHEAD_ASSIGN(const auto nodes, list.elements());
  for (const JsonNode& node : nodes) {
    BULKHEAD_ASSIGN(const std::string flag, node.string());
    if (flag != "SECCOMP_FILTER_FLAG_TSYNC")
      return node.refuse("the flag '" + printable(flag, 80) + "' is not supported", "drop it");
  }
  return {};
}

}  // namespace

Result<SeccompProfile> parse_seccomp_profile(std::string name, const nlohmann::json& profile,
                                             const std::set<std::string>& capabilities) {
  static const std::vector<std::string> keys{"$schema",         "comment",      "defaultAction",
                                             "defaultErrnoRet", "defaultErrno", "architectures",
                                             "archMap",         "flags",        "syscalls"};
  const JsonNode document(kSeccompProfile, profile);
  BULKHEAD_TRY(document.object_of(keys));
  for (const char* text : {"$schema", "comment"})
    if (const auto node = document.find(text)) BULKHEAD_TRY(node->string());
  const auto action = document.find("defaultAction");
  if (!action) return document.refuse("needs the key 'defaultAction'");
  SeccompProfile parsed{.name = std::move(name), .default_action = {}, .default_errno = -1, .rules = {}};
  BULKHEAD_ASSIGN(parsed.default_action, read_action(*action));
  BULKHEAD_ASSIGN(parsed.default_errno,
                  read_errno(document.find("defaultErrnoRet"), document.find("defaultErrno"), parsed.default_action));
  BULKHEAD_TRY(check_architectures(document));
  if (const auto flags = document.find("flags")) BULKHEAD_TRY(check_flags(*flags));
  const auto syscalls = document.find("syscalls");
  if (!syscalls) return parsed;
  BULKHEAD_ASSIGN(const auto rules, syscalls->elements());
  if (rules.size() > kMostRules) return syscalls->refuse("has more than " + std::to_string(kMostRules) + " rules");
  for (const JsonNode& rule : rules) BULKHEAD_TRY(read_rule(rule, capabilities, parsed));
  return parsed;
}

}  // namespace bulkhead
