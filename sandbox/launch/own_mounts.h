// A mount namespace of our own, in which nothing we attach reaches the host. mount_namespaces(7), pivot_root(2).
#pragma once

#include "sandbox/base/result.h"

namespace bulkhead {

// Enters one. What the host mounts and unmounts still reaches us, so that we keep no file system of it busy. Where our
// root directory is no mount point (a chroot, some containers) it is made the root of that namespace, and what lies
// outside of it is dropped: else it would stay in the namespace of every sandbox, and whoever enters the namespace by
// its descriptor would stand outside. The working directory is / then. The process must have one thread.
Result<> enter_own_mounts();

}  // namespace bulkhead
