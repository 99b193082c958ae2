// Finds the git repository that a directory is in, by looking only: nothing of git runs and nothing is written. Call it
// as the user whose repository it is. What kind of repository it is (empty, shallow, …) the owner's worker finds out.
#pragma once

#include <string>

#include "sandbox/base/result.h"

namespace bulkhead {

// `directory` is absolute. The top of the working tree, or the bare repository itself; links in the way are resolved.
Result<std::string> find_repository(const std::string& directory);

}  // namespace bulkhead
