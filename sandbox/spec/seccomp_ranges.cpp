#include "sandbox/spec/seccomp_ranges.h"

#include <linux/seccomp.h>
#include <seccomp.h>

#include <cerrno>
#include <cstddef>
#include <map>

#include "sandbox/spec/native_architecture.h"

namespace bulkhead {
namespace {

constexpr std::uint32_t kForeignNumbers = 0x40000000;  // x32 on x86-64; no native call elsewhere
constexpr std::uint32_t kNoCall = 0xffffffff;          // -1: a tracer's way to skip a call, and no foreign one

using Code = std::vector<sock_filter>;

// What becomes of one system call: the action of the rule whose conditions all hold, `otherwise` if there is none.
struct Conditional {
  const SeccompRule* rule;
  std::uint32_t action;
};
struct Verdict {
  std::uint32_t otherwise = 0;
  bool always = false;  // `otherwise` is a rule's, whatever the arguments are
  std::vector<Conditional> rules;
};

// "the masked argument is equal to the masked datum" (seccomp_rule_add(3)): bits of the datum beside the mask do not
// count.
std::uint64_t datum(const SeccompCondition& masked) { return masked.value_two & masked.value; }

bool holds(const SeccompCondition& c, std::uint64_t value) {
  if (c.op == "SCMP_CMP_EQ") return value == c.value;
  if (c.op == "SCMP_CMP_NE") return value != c.value;
  if (c.op == "SCMP_CMP_LT") return value < c.value;
  if (c.op == "SCMP_CMP_LE") return value <= c.value;
  if (c.op == "SCMP_CMP_GT") return value > c.value;
  if (c.op == "SCMP_CMP_GE") return value >= c.value;
  return (value & c.value) == datum(c);
}

// Whether no value fulfils both; false where that is not plain to see.
bool exclude(const SeccompCondition& a, const SeccompCondition& b) {
  if (a.index != b.index) return false;
  if (a.op == "SCMP_CMP_EQ") return !holds(b, a.value);
  if (b.op == "SCMP_CMP_EQ") return !holds(a, b.value);
  if (a.op == "SCMP_CMP_MASKED_EQ" && b.op == "SCMP_CMP_MASKED_EQ")
    return (a.value & b.value & (a.value_two ^ b.value_two)) != 0;
  return false;
}

bool exclude(const SeccompRule& a, const SeccompRule& b) {
  for (const SeccompCondition& x : a.conditions)
    for (const SeccompCondition& y : b.conditions)
      if (exclude(x, y)) return true;
  return false;
}

// Adds a rule; false where the rules of this call contradict each other and their order would decide.
bool add(Verdict& verdict, const SeccompRule& rule, std::uint32_t action) {
  if (!verdict.rules.empty() && verdict.rules.back().rule == &rule) return true;  // it names the call twice
  const std::size_t before = verdict.rules.size();
  if (rule.conditions.empty()) {
    if (verdict.always && verdict.otherwise != action) return false;
    verdict.always = true;
    verdict.otherwise = action;
  } else {
    verdict.rules.push_back({&rule, action});
  }
  for (const Conditional& one : verdict.rules)
    if (verdict.always && one.action != verdict.otherwise) return false;
  if (verdict.rules.size() > before)
    for (const Conditional& other : verdict.rules)
      if (other.action != action && !exclude(rule, *other.rule)) return false;
  if (verdict.always) verdict.rules.clear();
  return true;
}

sock_filter statement(unsigned code, std::uint32_t k) { return BPF_STMT(static_cast<std::uint16_t>(code), k); }
sock_filter jump(unsigned test, std::uint32_t k, std::size_t if_true, std::size_t if_false) {
  return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | BPF_K | test), k, static_cast<std::uint8_t>(if_true),
                  static_cast<std::uint8_t>(if_false));
}
sock_filter load(std::size_t offset) { return statement(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)); }
sock_filter verdict(std::uint32_t action) { return statement(BPF_RET | BPF_K, action); }

std::size_t low_half(unsigned argument) { return offsetof(seccomp_data, args) + 8 * argument; }  // little-endian
std::size_t high_half(unsigned argument) { return low_half(argument) + 4; }

void append(Code& code, const Code& more) { code.insert(code.end(), more.begin(), more.end()); }

// One or the other, however long they are: a conditional jump reaches 255 instructions.
Code branch(unsigned test, std::uint32_t k, const Code& if_false, const Code& if_true) {
  Code code;
  if (if_false.size() <= 255) {
    code.push_back(jump(test, k, if_false.size(), 0));
  } else {
    code.push_back(jump(test, k, 0, 1));
    code.push_back(statement(BPF_JMP | BPF_JA, static_cast<std::uint32_t>(if_false.size())));
  }
  append(code, if_false);
  append(code, if_true);
  return code;
}

// The tests of one system call, one after another, with labels instead of distances.
class Tests {
 public:
  using Label = std::size_t;
  static constexpr Label kNext = 0;  // the instruction that follows

  Label label() {
    places_.push_back(0);
    return places_.size() - 1;
  }
  void here(Label label) { places_[label] = code_.size(); }
  void load_half(std::size_t offset) { code_.push_back({load(offset), kNext, kNext}); }
  void mask(std::uint32_t k) { code_.push_back({statement(BPF_ALU | BPF_AND | BPF_K, k), kNext, kNext}); }
  void test(unsigned what, std::uint32_t k, Label if_true, Label if_false) {
    code_.push_back({jump(what, k, 0, 0), if_true, if_false});
  }
  void answer(std::uint32_t action) { code_.push_back({verdict(action), kNext, kNext}); }

  // Nothing where a label lies further than a conditional jump reaches.
  std::optional<Code> code() const {
    Code code;
    for (std::size_t at = 0; at < code_.size(); ++at) {
      sock_filter instruction = code_[at].instruction;
      for (const auto& [label, field] :
           {std::pair{code_[at].if_true, &instruction.jt}, std::pair{code_[at].if_false, &instruction.jf}}) {
        if (label == kNext) continue;
        const std::size_t distance = places_[label] - at - 1;
        if (distance > 255) return std::nullopt;
        *field = static_cast<std::uint8_t>(distance);
      }
      code.push_back(instruction);
    }
    return code;
  }

 private:
  struct Instruction {
    sock_filter instruction;
    Label if_true, if_false;
  };
  std::vector<Instruction> code_;
  std::vector<std::size_t> places_{0};
};

// Falls through if the condition holds, else goes to `fails`. The kernel's registers have 32 bits: halves are compared.
void add_condition(Tests& t, const SeccompCondition& c, Tests::Label fails) {
  const auto high = static_cast<std::uint32_t>(c.value >> 32), low = static_cast<std::uint32_t>(c.value);
  const Tests::Label next = Tests::kNext, done = t.label();
  t.load_half(high_half(c.index));
  if (c.op == "SCMP_CMP_MASKED_EQ") {
    t.mask(high);
    t.test(BPF_JEQ, static_cast<std::uint32_t>(datum(c) >> 32), next, fails);
    t.load_half(low_half(c.index));
    t.mask(low);
    t.test(BPF_JEQ, static_cast<std::uint32_t>(datum(c)), next, fails);
  } else if (c.op == "SCMP_CMP_EQ") {
    t.test(BPF_JEQ, high, next, fails);
    t.load_half(low_half(c.index));
    t.test(BPF_JEQ, low, next, fails);
  } else if (c.op == "SCMP_CMP_NE") {
    t.test(BPF_JEQ, high, next, done);
    t.load_half(low_half(c.index));
    t.test(BPF_JEQ, low, fails, next);
  } else {
    const bool greater = c.op == "SCMP_CMP_GT" || c.op == "SCMP_CMP_GE";
    const bool strict_test = c.op == "SCMP_CMP_GT" || c.op == "SCMP_CMP_LE";  // LE is not GT, LT is not GE
    t.test(BPF_JGT, high, greater ? done : fails, next);
    t.test(BPF_JEQ, high, next, greater ? fails : done);
    t.load_half(low_half(c.index));
    t.test(strict_test ? BPF_JGT : BPF_JGE, low, greater ? next : fails, greater ? fails : next);
  }
  t.here(done);
}

std::optional<Code> code_of(const Verdict& v) {
  Tests t;
  for (const Conditional& conditional : v.rules) {
    const Tests::Label next_rule = t.label();
    for (const SeccompCondition& condition : conditional.rule->conditions) add_condition(t, condition, next_rule);
    t.answer(conditional.action);
    t.here(next_rule);
  }
  t.answer(v.otherwise);
  return t.code();
}

struct Range {
  std::uint32_t first = 0;
  Code code;
};

Code search(const std::vector<Range>& ranges, std::size_t from, std::size_t to) {
  if (to - from == 1) return ranges[from].code;
  const std::size_t middle = from + (to - from) / 2;
  return branch(BPF_JGE, ranges[middle].first, search(ranges, from, middle), search(ranges, middle, to));
}

}  // namespace

std::uint32_t seccomp_action_code(std::string_view action, int errno_return) {
  const auto code = static_cast<std::uint32_t>(errno_return < 0 ? EPERM : errno_return);
  if (action == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (action == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(code);
  if (action == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(code);
  if (action == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (action == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  if (action == "SCMP_ACT_NOTIFY") return SCMP_ACT_NOTIFY;
  if (action == "SCMP_ACT_KILL" || action == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  return SCMP_ACT_KILL_PROCESS;
}

std::optional<std::vector<sock_filter>> compile_ranges(const SeccompProfile& profile) {
  const std::uint32_t usual = seccomp_action_code(profile.default_action, profile.default_errno);
  std::map<std::uint32_t, Verdict> verdicts;
  for (const SeccompRule& rule : profile.rules) {
    const std::uint32_t action = seccomp_action_code(rule.action, rule.errno_return);
    if (action == usual) continue;
    for (const std::string& name : rule.names) {
      const int number = seccomp_syscall_resolve_name(name.c_str());
      if (number < 0) continue;
      Verdict& known =
          verdicts.try_emplace(static_cast<std::uint32_t>(number), Verdict{usual, false, {}}).first->second;
      if (!add(known, rule, action)) return std::nullopt;
    }
  }
  std::vector<Range> ranges{{0, {verdict(usual)}}};
  const auto continue_with = [&](std::uint32_t number, const Code& code) {
    if (ranges.back().first == number) ranges.pop_back();
    if (!ranges.empty() && ranges.back().code.size() == 1 && code.size() == 1 && ranges.back().code[0].k == code[0].k)
      return;
    ranges.push_back({number, code});
  };
  for (const auto& [number, v] : verdicts) {
    const auto code = code_of(v);
    if (!code) return std::nullopt;
    continue_with(number, *code);
    continue_with(number + 1, {verdict(usual)});
  }
  Code program{load(offsetof(seccomp_data, arch))};
  append(program,
         branch(BPF_JEQ, kNativeArchitecture, {verdict(SECCOMP_RET_KILL_PROCESS)}, {load(offsetof(seccomp_data, nr))}));
  append(program, branch(BPF_JGE, kForeignNumbers, search(ranges, 0, ranges.size()),
                         branch(BPF_JEQ, kNoCall, {verdict(SECCOMP_RET_KILL_PROCESS)}, {verdict(usual)})));
  return program;
}

}  // namespace bulkhead
