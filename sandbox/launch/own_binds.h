// The binds of a plan that are a sandbox's own (those behind its pivot), looked at once: what stands at each source
// decides both what the prepared root has in its place and what the child attaches there.
#pragma once

#include <expected>
#include <map>
#include <string>

#include "sandbox/launch/sandbox.h"
#include "sandbox/launch/tree.h"
#include "sandbox/plan/plan.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

struct OwnBind {
  SourceKind kind = SourceKind::absent;
  Fd mount;          // of a file or a directory: detached, with the bind's attributes
  std::string link;  // of a link: where it points
};

using OwnBinds = std::map<std::string, OwnBind>;  // by target
// In our mount namespace. An absent source that is not optional is an error.
std::expected<OwnBinds, SetupFailure> open_own_binds(const LaunchPlan& plan);

}  // namespace bulkhead
