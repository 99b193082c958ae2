// Ways to talk to somebody outside: sockets of all kinds, shared memory, queues.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/attack/attacks/attack.h"

namespace bulkhead::attack {
namespace {

Outcome connect_unix(Arguments a) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  memcpy(address.sun_path, a[0].data(), a[0].size());
  const bool abstract = a[0].starts_with('@');
  if (abstract) address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + a[0].size() + (abstract ? 0 : 1));
  return answered(connect(fd, reinterpret_cast<sockaddr*>(&address), size), "connect");
}

using OnAddress = int (*)(int, const sockaddr*, socklen_t);

// Port a[0] of the loopback address.
Outcome on_loopback(OnAddress call, const char* name, Arguments a) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(atoi(a[0].c_str())));
  return answered(call(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), name);
}

Outcome connect_tcp(Arguments a) { return on_loopback(connect, "connect", a); }
Outcome bind_tcp(Arguments a) { return on_loopback(bind, "bind", a); }

// To an address that is nobody's (TEST-NET-1): without a route not even a packet leaves.
Outcome reach_network(Arguments) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = inet_addr("192.0.2.1");
  address.sin_port = htons(9);
  return answered(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), "connect to 192.0.2.1");
}

Outcome kernel_events(Arguments) {
  return answered(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT),
                  "socket(NETLINK_KOBJECT_UEVENT)");
}

Outcome packets(Arguments) { return answered(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "socket(AF_PACKET)"); }

Outcome raw_addresses(Arguments) {
  return answered(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP), "socket(SOCK_RAW)");
}

Outcome vsock(Arguments) { return answered(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket(AF_VSOCK)"); }

Outcome kernel_crypto(Arguments) {
  return answered(socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket(AF_ALG)");
}

Outcome shared_memory(Arguments a) {
  return answered(shmget(static_cast<key_t>(strtol(a[0].c_str(), nullptr, 0)), 0, 0), "shmget of the host's segment");
}

Outcome queue(Arguments a) { return answered(mq_open(a[0].c_str(), O_RDONLY), "mq_open of the host's queue"); }

constexpr Attack kAttacks[]{
    {"connect_unix", connect_unix}, {"connect_tcp", connect_tcp},
    {"bind_tcp", bind_tcp},         {"reach_network", reach_network},
    {"netlink", kernel_events},     {"packet", packets},
    {"raw_socket", raw_addresses},  {"vsock", vsock},
    {"algorithm", kernel_crypto},   {"shared_memory", shared_memory},
    {"message_queue", queue},
};

}  // namespace

std::span<const Attack> sockets() { return kAttacks; }

}  // namespace bulkhead::attack
