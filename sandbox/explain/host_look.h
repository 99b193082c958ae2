// What the host has of what a sandbox missed. Paths are the agent's choice, so who looks is nobody in particular: an
// unprivileged process that may be killed, and sees what everybody does (supervisor/cli/explain.h,
// bulkhead-worker).
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace bulkhead {

enum class HostKind {
  file,
  directory,
  socket,
  other,  // a device, a pipe
  hidden  // below a directory that the looker may not enter
};

struct HostPath {
  std::string wanted;              // as it was asked for
  std::string end;                 // the same with no link in it; hidden: how far the looker came
  std::vector<std::string> links;  // that were met on the way
  HostKind kind = HostKind::file;
  bool for_everybody = false;  // its mode lets everybody read it
  std::string interpreter;     // of a program, which the kernel looks for itself; may be empty
  bool operator==(const HostPath&) const = default;
};

struct HostLook {
  std::vector<HostPath> paths;  // those that the host has; and of programs, their interpreters
  bool more = false;            // there were more than are told
  bool operator==(const HostLook&) const = default;
};

inline constexpr std::size_t kMostHostPaths = 400;
inline constexpr std::size_t kMostHostPathBytes = 40 * 1024;

// Looks with lstat(2) and readlink(2), and at the first bytes of programs that everybody may read.
HostLook look_at_host(const std::vector<std::string>& paths);

// What everybody sees of this host without a path to look for: who listens in its own network namespace
// (proc_pid_net(5)), and what is in /dev.
struct HostNames {
  std::set<std::uint16_t> tcp, udp;
  std::set<std::string> abstract;  // names, NUL bytes as '@'
  std::set<std::string> sockets;   // paths
  std::set<std::string> devices;
};
HostNames names_of_host();

}  // namespace bulkhead
