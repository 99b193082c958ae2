#include "sandbox/launch/own_binds.h"

#include "sandbox/launch/child_arguments.h"

namespace bulkhead {

std::expected<OwnBinds, SetupFailure> open_own_binds(const LaunchPlan& plan) {
  OwnBinds binds;
  ChildOperations operations;
  bool own = false;
  for (const Operation& op : plan.operations) {
    if (op.step == Step::pivot) own = true;
    if (!own || op.step != Step::bind) continue;
    BindSource source;
    if (open_bind_source(operations.add(op), source) != 0)
      return std::unexpected(operations.explain(operations.all().size() - 1, errno));
    binds[op.target] = {source.kind, Fd(source.mount), source.link};
  }
  return binds;
}

}  // namespace bulkhead
