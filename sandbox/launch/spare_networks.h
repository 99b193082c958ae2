// Network namespaces made ahead, in quiet moments: making one is half of what starting a sandbox takes. Each has lo up
// and nothing else, belongs to the host's user namespace as those made at a start do, and is used once. The process
// must have one thread. network_namespaces(7).
#pragma once

#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

class SpareNetworks {
 public:
  static Result<SpareNetworks> open(std::size_t wanted);  // the namespace we are in is where we return to
  bool complete() const { return spare_.size() >= wanted_; }
  Result<> add_one();
  Fd take();  // invalid: none is ready

 private:
  std::size_t wanted_ = 0;
  Fd home_;
  std::vector<Fd> spare_;
};

}  // namespace bulkhead
