// The mount tree of a sandbox, built by descriptor: every target is resolved below the root being built, without
// following a link; every mount is made detached and attached when its attributes are right. Plain arguments, no
// allocation, errno for errors: runs in a child that shares the launcher's memory, and in the launcher itself where a
// root is prepared ahead. See open_tree(2), move_mount(2), mount_setattr(2), openat2(2).
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "sandbox/plan/plan.h"

namespace bulkhead {

// One Operation of the plan in plain words; the strings belong to whoever prepared it.
struct ChildOperation {
  Step step{};
  const char* target = nullptr;  // full path inside
  const char* parent = nullptr;  // target's directory, relative to the root ("." for the root itself)
  const char* leaf = nullptr;    // target's last component
  const char* text = nullptr;
  std::uint64_t number = 0;
  std::uint64_t inodes = 0;
  std::uint32_t flags = 0;
  std::uint32_t mode = 0;
  int source = -1;  // bind: a detached mount made ahead; -1: made from the path in `text`
  bool source_is_directory = false;
};

struct Tree {
  int root = -1;        // the root directory, O_PATH or a mount
  int null = -1;        // its /dev/null, checked to be that
  uid_t owner_uid = 0;  // host uid and gid of what the sandbox owns
  gid_t owner_gid = 0;
};

// Carries out one operation on the tree; -1 with errno. ENOSYS for steps that do not concern the tree.
int perform_on_tree(Tree& tree, const ChildOperation& op);

enum class SourceKind { absent, link, file, directory };
struct BindSource {
  SourceKind kind = SourceKind::absent;
  int mount = -1;        // detached, with op's attributes; the caller's to close
  char link[4096] = {};  // where a symbolic link points: it is made again inside, not followed
};
// Opens op's host path. A missing one is `absent` if op is optional, an error otherwise. -1 with errno.
int open_bind_source(const ChildOperation& op, BindSource& source);

}  // namespace bulkhead
