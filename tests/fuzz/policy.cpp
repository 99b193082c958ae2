#include <nlohmann/json.hpp>

#include "sandbox/spec/spec.h"
#include "tests/fuzz/targets.h"

namespace bulkhead::fuzz {

using nlohmann::json;

bool policy(std::string_view input) {
  static const std::map<std::string, json> profiles{
      {"default", {{"defaultAction", "SCMP_ACT_ERRNO"}}},
      {"strict",
       {{"defaultAction", "SCMP_ACT_KILL"},
        {"syscalls",
         json::array({{{"names", {"read"}}, {"action", "SCMP_ACT_ALLOW"}},
                      {{"names", {"clone"}},
                       {"action", "SCMP_ACT_ALLOW"},
                       {"args", json::array({{{"index", 0}, {"value", 1}, {"op", "SCMP_CMP_MASKED_EQ"}}})}}})}}}};
  const json document = json::parse(input, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return false;
  const auto spec = SandboxSpec::from_policy(document, profiles);
  if (!spec) {
    require(!spec.error().detail.empty(), "refused without a reason");
    // The place is a JSON pointer: this throws where it is none.
    static_cast<void>(document.contains(json::json_pointer(spec.error().object)));
    return false;
  }
  const auto spelt_out = SandboxSpec::from_policy(apply_defaults(document), profiles);
  require(spelt_out.has_value(), "accepted, but not with its defaults spelt out");
  require(spelt_out->limits().memory_bytes == spec->limits().memory_bytes, "defaults change the memory limit");
  for (const MountSpec& mount : spec->mounts()) {
    require(!mount.target.is_root(), "a mount on /");
    require(mount.access == MountAccess::read_only || mount.type == MountType::tmpfs ||
                spec->allows(Loosening::writable_host),
            "a writable bind that nothing allows");
    require((mount.type == MountType::tmpfs) == mount.source.empty(), "a tmpfs with a source");
  }
  require(spec->limits().memory_bytes != 0 || spec->allows(Loosening::unlimited_memory), "no memory limit");
  require(spec->limits().pids != 0 || spec->allows(Loosening::unlimited_pids), "no limit of processes");
  require(spec->capabilities().empty() || spec->allows(Loosening::capabilities), "capabilities that nothing allows");
  require(!spec->seccomp_program().empty() || spec->allows(Loosening::no_seccomp), "no filter");
  require(
      !spec->guard().empty() || (spec->allows(Loosening::terminal_injection) && spec->allows(Loosening::no_seccomp)),
      "no guard");
  return true;
}

}  // namespace bulkhead::fuzz
