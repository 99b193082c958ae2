// What an errno says of the moment and not of the host.
#pragma once

#include <cerrno>

namespace bulkhead {

// Whether the kernel was only short of something just then (memory, descriptors, processes): the same call may well
// succeed later, and nothing follows from its failure.
constexpr bool is_shortage(int code) {
  return code == EAGAIN || code == ENOMEM || code == EMFILE || code == ENFILE || code == EINTR || code == ENOBUFS;
}

}  // namespace bulkhead
