// A full disk in words, and the policy line that bounds it.
#pragma once

#include <string>

#include "sandbox/launch/exit_record.h"
#include "sandbox/plan/plan.h"

namespace bulkhead {

struct FullDisk {
  std::string detail;  // "disk full: used 16Mi of limits.disk 16Mi"
  std::string origin;  // "/limits/disk"
};

// Of a record that says disk_full.
FullDisk describe_full_disk(const ExitRecord& record, const LaunchPlan& plan);

// The disk that `plan` counts on, or empty.
std::string disk_of(const LaunchPlan& plan);

}  // namespace bulkhead
