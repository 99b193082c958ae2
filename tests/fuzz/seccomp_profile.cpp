#include "sandbox/spec/seccomp_profile.h"

#include "tests/fuzz/seccomp_oracle.h"
#include "tests/fuzz/targets.h"

namespace bulkhead::fuzz {

using nlohmann::json;

void seccomp_profile(std::string_view input) {
  const json document = json::parse(input, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return;
  const auto profile = parse_seccomp_profile("x", document, {"CAP_SYS_PTRACE"});
  if (!profile) {
    require(!profile.error().detail.empty(), "refused without a reason");
    static_cast<void>(document.contains(json::json_pointer(profile.error().object)));
    return;
  }
  compare_compilers(*profile);
  compare_compilers(observed(*profile));
}

}  // namespace bulkhead::fuzz
