// Small files that need to be whole, but not to survive a power cut: a scratch repository's, a worktree entry's (git
// does not sync those either). A sync costs more than everything else a registration does.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "sandbox/base/result.h"

namespace bulkhead {

// Temporary file and rename.
Result<> replace_file(const std::string& path, std::string_view content, mode_t mode = 0600);

}  // namespace bulkhead
