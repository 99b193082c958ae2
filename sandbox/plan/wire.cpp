// The plan on its way to the launcher, once per start: plain fields in the order they are written, lengths before what
// has one. Both ends are of one build and one machine. What is read is bounded by what was sent.
#include <cstring>
#include <type_traits>

#include "sandbox/plan/plan.h"

namespace bulkhead {
namespace {

constexpr std::uint32_t kMagic = 0x33504b42;  // "BKP3": another build's plan is refused

class Writer {
 public:
  template <class T>
    requires std::is_trivially_copyable_v<T>
  void value(const T& value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view text) {
    value(static_cast<std::uint32_t>(text.size()));
    out += text;
  }
  void program(const std::vector<sock_filter>& code) {
    text({reinterpret_cast<const char*>(code.data()), code.size() * sizeof(sock_filter)});
  }
  std::string out;
};

// The first thing that is wrong makes all that follows empty; asked once, at the end.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <class T>
    requires std::is_trivially_copyable_v<T>
  T value() {
    T value{};
    const std::string_view bytes = take(sizeof value);
    if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string_view text() { return take(value<std::uint32_t>()); }
  // How many things follow, each at least `least` bytes long.
  std::uint32_t count(std::size_t least) {
    const auto number = value<std::uint32_t>();
    if (number > rest_.size() / least) bad_ = true;
    return bad_ ? 0 : number;
  }
  std::vector<sock_filter> program() {
    const std::string_view bytes = text();
    if (bytes.size() % sizeof(sock_filter) != 0) bad_ = true;
    std::vector<sock_filter> code(bytes.size() / sizeof(sock_filter));
    if (!code.empty()) std::memcpy(code.data(), bytes.data(), code.size() * sizeof(sock_filter));
    return code;
  }
  bool good() const { return !bad_ && rest_.empty(); }

 private:
  std::string_view take(std::size_t size) {
    if (size > rest_.size()) bad_ = true;
    if (bad_) return {};
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::string_view rest_;
  bool bad_ = false;
};

}  // namespace

std::string encode(const LaunchPlan& plan) {
  Writer w;
  w.value(kMagic);
  w.value(static_cast<std::uint32_t>(plan.operations.size()));
  for (const Operation& op : plan.operations) {
    w.value(op.step);
    w.value(op.number);
    w.value(op.inodes);
    w.value(op.flags);
    w.value(op.mode);
    w.text(op.target);
    w.text(op.text);
    w.text(op.origin);
  }
  w.value(static_cast<std::uint32_t>(plan.command.argv.size()));
  for (const auto& word : plan.command.argv) w.text(word);
  w.value(static_cast<std::uint32_t>(plan.command.environment.size()));
  for (const auto& [key, value] : plan.command.environment) {
    w.text(key);
    w.text(value);
  }
  w.text(plan.command.directory.str());
  w.value(plan.output_bytes);
  w.program(plan.seccomp);
  w.program(plan.guard);
  w.program(plan.learning);
  return std::move(w.out);
}

Result<LaunchPlan> decode(std::string_view bytes) {
  Reader r(bytes);
  if (r.value<std::uint32_t>() != kMagic) return fail("decode plan", "", "is not a plan of this version");
  LaunchPlan plan;
  plan.operations.resize(r.count(37));
  for (Operation& op : plan.operations) {
    op.step = r.value<Step>();
    if (op.step > Step::exec_init)
      return fail("decode plan", "step", "unknown operation " + std::to_string(static_cast<unsigned>(op.step)));
    op.number = r.value<std::uint64_t>();
    op.inodes = r.value<std::uint64_t>();
    op.flags = r.value<std::uint32_t>();
    op.mode = r.value<std::uint32_t>();
    op.target = r.text();
    op.text = r.text();
    op.origin = r.text();
  }
  plan.command.argv.resize(r.count(4));
  for (auto& word : plan.command.argv) word = r.text();
  for (std::uint32_t left = r.count(8); left > 0; --left) {
    const std::string key(r.text());
    plan.command.environment[key] = r.text();
  }
  const std::string directory(r.text());
  plan.output_bytes = r.value<std::uint64_t>();
  plan.seccomp = r.program();
  plan.guard = r.program();
  plan.learning = r.program();
  if (!r.good()) return fail("decode plan", "", "ends early or goes on");
  if (plan.command.argv.empty()) return fail("decode plan", "argv", "is empty");
  BULKHEAD_ASSIGN(plan.command.directory, SandboxPath::parse(directory));
  return plan;
}

}  // namespace bulkhead
