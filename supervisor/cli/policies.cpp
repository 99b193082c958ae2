#include "supervisor/cli/policies.h"

namespace bulkhead {

Outcome<CheckedPolicy> read_policy(const std::string& name_or_path) {
  auto files = or_exit(ExitCode::bad_input, read_policy_files(name_or_path, default_policy_dirs()));
  if (!files) return std::unexpected(files.error());
  auto spec = SandboxSpec::from_policy(files->policy, files->profiles);
  if (!spec) return failure(ExitCode::bad_input, located(*files, std::move(spec).error()));
  return CheckedPolicy{.files = *std::move(files), .spec = *std::move(spec)};
}

}  // namespace bulkhead
