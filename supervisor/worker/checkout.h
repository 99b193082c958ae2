// Checkouts that belong to the state directory: the bases, and workspaces before anything runs in them.
#pragma once

#include <string>

#include "sandbox/base/result.h"
#include "supervisor/worker/git.h"

namespace bulkhead {

// git in DIRECTORY/.git with DIRECTORY as its work tree. For trees that no agent has written to.
Git checkout_git(const std::string& directory);

// What historical commits of real projects hold and git reads without harm; everything else that fsck knows is refused.
// For history that the owner has already; what agents write is checked in full.
std::string lenient_strict_option();

// Sets the time of every file and directory below `directory` but .git: git takes a file whose time is not older than
// its index for possibly changed and reads it, and a base is made once and looked at often. Returns the number of
// entries that are not directories.
Result<std::uint64_t> set_times(const std::string& directory, std::int64_t seconds);

}  // namespace bulkhead
