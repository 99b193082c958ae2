#include "supervisor/worker/scratch.h"

#include <stdlib.h>

#include "sandbox/sys/files.h"

namespace bulkhead {

Result<Scratch> Scratch::make() {
  std::string path = "/tmp/bulkhead-worker-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return errno_error("make directory", path);
  return Scratch(std::move(path));
}

Scratch::~Scratch() {
  // Nobody is left to tell; the sandbox's /tmp goes with the sandbox.
  if (path_.empty()) return;
  [[maybe_unused]] const auto removed = remove_tree(path_);
}

}  // namespace bulkhead
