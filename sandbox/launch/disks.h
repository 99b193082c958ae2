// The disks of this host, as cgroup limits of input and output name them.
#pragma once

#include <string>
#include <vector>

namespace bulkhead {

// "254:0" of each whole block device that has a size: limits are not of partitions (cgroup-v2.rst, io.max). Read anew
// each time: disks come and go.
std::vector<std::string> list_disks(const std::string& sysfs = "/sys");

}  // namespace bulkhead
