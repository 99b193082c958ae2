#include "supervisor/core/daemon/workspace_ranges.h"

#include <sys/stat.h>

#include "sandbox/launch/uid_space.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/files.h"

namespace bulkhead {

std::optional<std::uint32_t> range_of_directory(const std::string& directory) {
  struct stat st{};
  std::uint32_t owner = 0;
  if (::lstat((directory + "/disk").c_str(), &st) == 0)
    owner = st.st_gid;
  else if (::lstat((directory + "/upper").c_str(), &st) == 0)
    owner = st.st_uid - kInsideUserId;
  static const auto space = own_uid_space();
  return space ? space->range_of(owner) : std::nullopt;
}

std::set<std::uint32_t> ranges_on_disk(const AgentPaths& agent) {
  std::set<std::uint32_t> ranges;
  for (const std::string& parent : {agent.directory(), agent.checkpoints()}) {
    const std::string below = parent + "/";
    for (const auto& name : list_directory(parent).value_or(std::vector<std::string>{}))
      if (const auto range = range_of_directory(below + name)) ranges.insert(*range);
  }
  return ranges;
}

}  // namespace bulkhead
