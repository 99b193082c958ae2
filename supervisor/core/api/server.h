// The daemon's end of STATE/control.sock. Asio stays behind this interface: the header needs no Boost.
//
// Threading: everything happens on the thread that runs the io_context, handlers included.
// Peers: only uid 0 (SO_PEERCRED) for now; others get a clear error and are closed before a byte of theirs is read.
// Bounds: lines of kMaxLine, kMaxDescriptors a line, and kMaxUnsent bytes of replies a client has not read; one that
// reads slower than that is closed, since a run must never wait for a terminal.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"
#include "supervisor/core/api/descriptors.h"
#include "supervisor/core/api/messages.h"

namespace boost::asio {
class io_context;
}

namespace bulkhead {

inline constexpr std::size_t kMaxUnsent = std::size_t{16} << 20;

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

// One client. Handlers may keep the pointer as long as they like; after the client is gone send() does nothing.
class ControlConnection {
 public:
  virtual ~ControlConnection() = default;
  virtual void send(const Reply& reply) = 0;  // queued, in order
  virtual void close() = 0;                   // after what is queued has been written
  virtual bool is_open() const = 0;
  virtual std::uint64_t id() const = 0;  // unique within the server
  virtual const PeerCredentials& peer() const = 0;
};

class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  // `descriptors` came with the request's line. A request that does not parse is answered by the server itself.
  virtual void on_request(const std::shared_ptr<ControlConnection>& connection, Request request,
                          std::vector<Fd> descriptors) = 0;
  // The client closed its end, broke the protocol or reads too slowly. Not called for close() of our own.
  virtual void on_closed(const std::shared_ptr<ControlConnection>& connection) = 0;
};

class ControlServer {
 public:
  // Binds and listens at `path` with mode 0600, replacing a stale socket there: the caller holds the lock on the state
  // directory, so nobody else serves it. The handler and the io_context outlive the server. `served_uid` is who may
  // connect: root, except in tests.
  static Result<std::unique_ptr<ControlServer>> listen(boost::asio::io_context& io, const std::string& path,
                                                       ControlHandler& handler, uid_t served_uid = 0);
  virtual ~ControlServer() = default;
  // Takes no more connections, removes the socket and closes every connection after its queue is written.
  virtual void stop() = 0;
};

}  // namespace bulkhead
