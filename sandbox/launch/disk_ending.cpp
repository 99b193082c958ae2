#include "sandbox/launch/disk_ending.h"

#include "sandbox/base/units.h"

namespace bulkhead {

FullDisk describe_full_disk(const ExitRecord& record, const LaunchPlan& plan) {
  for (const Operation& op : plan.operations) {
    if (op.step == Step::limit_disk && !record.inodes_full)
      return {
          .detail = "disk full: used " + format_bytes(record.disk_bytes) + " of limits.disk " + format_bytes(op.number),
          .origin = op.origin};
    if (op.step == Step::limit_inodes && record.inodes_full)
      return {.detail = "disk full: used " + std::to_string(record.disk_inodes) + " of limits.inodes " +
                        std::to_string(op.number),
              .origin = op.origin};
  }
  return {.detail = "disk full", .origin = {}};
}

std::string disk_of(const LaunchPlan& plan) {
  for (const Operation& op : plan.operations)
    if (op.step == Step::limit_disk) return op.target;
  return {};
}

}  // namespace bulkhead
