// Which mounts would bring a missing host path into a sandbox. Internal to learnt.cpp.
#pragma once

#include <string>
#include <vector>

#include "sandbox/spec/spec.h"

namespace bulkhead {

struct PathVerdict {
  std::vector<std::string> mounts;  // to be mounted: the path, and the links on the way to it
  std::string interpreter;          // of a program, which the kernel looks for itself; may be empty
  std::string path;                 // where it does not go: which path, and
  std::string reason;               // why not. Both empty where the host has it not, or the sandbox has it
};

PathVerdict judge_path(const std::string& wanted, const SandboxSpec& spec);

}  // namespace bulkhead
