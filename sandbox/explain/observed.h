// What bulkhead-init noted of an observed sandbox (sandbox/init/init_protocol.h), read with suspicion: the rows are the
// word of a process in the sandbox, and the texts in them the agent's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/init/init_protocol.h"

namespace bulkhead {

// An address that was connected to, sent to or bound.
struct SeenAddress {
  enum class Family { none, ipv4, ipv6, abstract } family = Family::none;
  std::string host;  // "1.2.3.4", "::1"; an abstract socket's name without its first NUL
  std::uint16_t port = 0;
  bool local = false;  // of the loopback interface, or any address of ours
  enum class Protocol { unknown, tcp, udp } protocol = Protocol::unknown;
  bool listening = false;  // somebody inside listens there
  bool operator==(const SeenAddress&) const = default;
};

struct Observation {
  InitSeen seen{};
  std::string path;     // absolute; of rows that have one
  SeenAddress address;  // of the others
  std::string call;     // "openat"
  int error = 0;        // errno
  std::uint64_t times = 0;
  std::string who;  // made printable
  bool runs = false;
  bool operator==(const Observation&) const = default;
};

struct Observed {
  std::vector<Observation> rows;
  bool more = false;    // there were more than init notes
  bool closed = false;  // the kernel did not let init see what was asked for
};

inline constexpr const char* kClosed =
    "the kernel does not let bulkhead-init read what a process asks for (kernel.yama.ptrace_scope is 2 or 3)";

// Rows that are none end it: what stands behind cannot be told.
Observed parse_observed(std::string_view bytes);
// From what init wrote to `fd`, a file.
Result<Observed> read_observed(int fd);

}  // namespace bulkhead
