// The address of a unix socket by path, also where the path is longer than sockaddr_un's 107 bytes: it then goes
// through /proc/self/fd of the opened parent directory, which this object keeps open. Also takes the parent out of
// later races.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

class SocketAddress {
 public:
  static Result<SocketAddress> of(const std::string& path);

  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t size() const { return sizeof address_; }
  const char* path() const { return address_.sun_path; }

 private:
  SocketAddress() = default;
  sockaddr_un address_{};
  Fd directory_;
};

}  // namespace bulkhead
