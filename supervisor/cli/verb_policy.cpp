// `bulkhead policy check` and `bulkhead config`: right or wrong, where and why. Nothing is started.
#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
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

Outcome<int> config_verb(const Context& context, const ConfigOptions& options) {
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  auto document = or_exit(ExitCode::bad_input, read_document_file(options.file));
  if (!document) return std::unexpected(document.error());
  out_line(document->value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  return 0;
}

}  // namespace bulkhead
