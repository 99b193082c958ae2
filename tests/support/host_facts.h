// A host for tests that ask none: pure cgroup v2, nothing missing.
#pragma once

#include "sandbox/host/host_facts.h"

namespace bulkhead::testing {

inline HostFacts whole_host(int landlock_abi) {
  HostFacts host;
  host.kernel = "6.18";
  host.cgroups = {.mode = CgroupMode::v2, .v2_parent = "/sys/fs/cgroup", .v1 = {}, .reason = {}};
  host.last_capability = 40;
  host.landlock_abi = landlock_abi;
  host.device_nodes = {"null", "zero", "full", "random", "urandom", "tty"};
  return host;
}

}  // namespace bulkhead::testing
