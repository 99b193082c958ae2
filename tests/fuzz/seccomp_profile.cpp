#include "sandbox/spec/seccomp_profile.h"

#include "tests/fuzz/seccomp_oracle.h"
#include "tests/fuzz/targets.h"

namespace bulkhead::fuzz {

using nlohmann::json;

bool seccomp_profile(std::string_view input) {
  const json document = json::parse(input, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return false;
  const auto profile = parse_seccomp_profile("x", document, {"CAP_SYS_PTRACE"});
  if (!profile) {
    require(!profile.error().detail.empty(), "refused without a reason");
    static_cast<void>(document.contains(json::json_pointer(profile.error().object)));
    return false;
  }
  compare_compilers(*profile);
  compare_compilers(observed(*profile));
  return true;
}

}  // namespace bulkhead::fuzz
