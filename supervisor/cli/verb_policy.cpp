// `bulkhead policy check`, `policy diff` and `bulkhead config`: what a file says, or where and why it is wrong. Nothing
// is started.
#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "sandbox/spec/policy_diff.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/policies.h"
#include "supervisor/cli/verbs.h"

namespace bulkhead {
namespace {

std::string loosenings(const SandboxSpec& spec) {
  std::string out;
  for (const Loosening loosening : spec.allowed())
    out += (out.empty() ? ", allows " : " ") + std::string(name(loosening));
  return out.empty() ? ", loosens nothing" : out;
}

std::string limit(std::uint64_t value, const std::string& text) { return value == 0 ? "unlimited" : text; }

}  // namespace

Outcome<int> policy_check_verb(const Context& context, const PolicyCheckOptions& options) {
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  auto policy = read_policy(options.policy);
  if (!policy) return std::unexpected(policy.error());
  const SandboxSpec& spec = policy->spec;
  const Limits& limits = spec.limits();
  out_line("ok: " + printable(spec.name(), 80) + " (" + printable(policy->files.document.file_name) +
           "): " + std::to_string(spec.mounts().size()) + " mounts, memory " +
           limit(limits.memory_bytes, format_bytes(limits.memory_bytes)) + ", " +
           limit(limits.pids, std::to_string(limits.pids)) + " processes, seccomp " +
           printable(spec.seccomp().name.empty() ? "none" : spec.seccomp().name, 80) + loosenings(spec));
  return 0;
}

Outcome<int> policy_diff_verb(const Context& context, const PolicyDiffOptions& options) {
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  const auto from = read_policy(options.from);
  if (!from) return std::unexpected(from.error());
  const auto to = read_policy(options.to);
  if (!to) return std::unexpected(to.error());
  const PolicyDiff diff = diff_policies(from->spec, to->spec);
  const int status = diff.allows.empty() ? 0 : 1;
  if (options.format == Format::json) {
    out_text(pretty(nlohmann::json(diff)));
    return status;
  }
  const auto section = [](std::string_view title, const std::vector<PolicyChange>& changes) {
    if (!changes.empty()) out_line(title);
    for (const PolicyChange& change : changes) out_line("  " + printable(change.text) + "  # " + change.key);
  };
  const std::string a = printable(options.from, 200), b = printable(options.to, 200);
  section(b + " lets a sandbox, beyond " + a + ":", diff.allows);
  section(b + " no longer lets a sandbox:", diff.takes);
  section("Also different:", diff.other);
  if (diff.allows.empty()) out_line(b + " allows nothing beyond " + a);
  return status;
}

Outcome<int> config_verb(const Context& context, const ConfigOptions& options) {
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  auto document = or_exit(ExitCode::bad_input, read_document_file(options.file));
  if (!document) return std::unexpected(document.error());
  out_text(pretty(document->value));
  return 0;
}

}  // namespace bulkhead
