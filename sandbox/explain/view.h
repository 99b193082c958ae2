// What a sandbox was given, as far as denials follow from it: its tree by the plan's operations, its walls by the
// policy. A value, and pure.
#pragma once

#include <string>
#include <vector>

#include "sandbox/plan/plan.h"

namespace bulkhead {

struct ViewMount {
  std::string target;
  Origin origin;
  bool writable = false;   // by the sandbox
  bool tmpfs = false;      // its own: what the host has of that name is no business of it
  bool of_policy = false;  // one of the policy's `mounts`
  bool operator==(const ViewMount&) const = default;
};

struct View {
  std::vector<ViewMount> mounts;
  std::string root_directory;  // empty: a root of mounts alone
  Origin root_origin;
  bool own_network = true;
  bool landlock = false;
  TcpPorts tcp_bind, tcp_connect;
  Origin tcp_origin, seccomp_origin, devices_origin;
  Limits limits;

  const ViewMount* cover(const std::string& path) const;  // the innermost that the path is on; nullptr: the root
};

View view_of(const SandboxSpec& spec, const LaunchPlan& plan);

// Why it is not known what a command asked for, though somebody wants to know; empty: it is. Of a plan that was to be
// observed.
std::string unobserved_because(const SandboxSpec& spec, const LaunchPlan& plan);

std::string parent_of(const std::string& path);  // "/" of the root, and of what has no '/'
bool is_within(const std::string& path, const std::string& top);
// Without '.', '..' and doubled slashes, by name alone.
std::string normal_path(const std::string& path);

}  // namespace bulkhead
