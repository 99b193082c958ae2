#include "sandbox/explain/observed.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "sandbox/base/text.h"
#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead {
namespace {

bool has_path(InitSeen seen) { return seen >= InitSeen::missing && seen <= InitSeen::device_node; }
bool has_address(InitSeen seen) {
  return seen == InitSeen::connect || seen == InitSeen::bind || seen == InitSeen::send;
}

template <class T>
bool copy(T& to, std::string_view bytes) {
  if (bytes.size() < sizeof to) return false;
  ::memcpy(&to, bytes.data(), sizeof to);
  return true;
}

SeenAddress address_of(std::string_view bytes, std::uint32_t flags) {
  SeenAddress address;
  address.listening = (flags & kSeenListening) != 0;
  const std::uint32_t protocol = flags & kSeenProtocolMask;
  if (protocol == IPPROTO_TCP) address.protocol = SeenAddress::Protocol::tcp;
  if (protocol == IPPROTO_UDP) address.protocol = SeenAddress::Protocol::udp;
  sa_family_t family = AF_UNSPEC;
  if (!copy(family, bytes)) return address;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (sockaddr_in four; family == AF_INET && copy(four, bytes)) {
    address.family = SeenAddress::Family::ipv4;
    address.host = ::inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size());
    address.port = ntohs(four.sin_port);
    const std::uint32_t number = ntohl(four.sin_addr.s_addr);
    address.local = number == INADDR_ANY || number >> 24 == IN_LOOPBACKNET;
  }
  // Without its last member it is one still.
  std::string six_bytes(bytes);
  six_bytes.resize(sizeof(sockaddr_in6));
  if (sockaddr_in6 six;
      family == AF_INET6 && bytes.size() >= offsetof(sockaddr_in6, sin6_scope_id) && copy(six, six_bytes)) {
    address.family = SeenAddress::Family::ipv6;
    address.host = ::inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size());
    address.port = ntohs(six.sin6_port);
    const bool mapped = IN6_IS_ADDR_V4MAPPED(&six.sin6_addr);
    address.local = IN6_IS_ADDR_UNSPECIFIED(&six.sin6_addr) || IN6_IS_ADDR_LOOPBACK(&six.sin6_addr) ||
                    (mapped && six.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
  }
  if (family == AF_UNIX && bytes.size() > sizeof family && bytes[sizeof family] == '\0') {
    address.family = SeenAddress::Family::abstract;
    address.host = std::string(bytes.substr(sizeof family + 1));
  }
  return address;
}

}  // namespace

Observed parse_observed(std::string_view bytes) {
  Observed observed;
  while (observed.rows.size() < kMostObservations) {
    InitObservation head;
    if (!copy(head, bytes)) break;
    const std::size_t needed = sizeof head + head.text;
    if (head.size < needed || head.size > bytes.size() || head.size % 8 != 0 || head.size - needed >= 8) break;
    const std::string_view text = bytes.substr(sizeof head, head.text);
    bytes.remove_prefix(head.size);
    if (head.seen == InitSeen::more) observed.more = true;
    if (head.seen == InitSeen::closed) observed.closed = true;
    Observation row{.seen = head.seen,
                    .call = system_call_name(head.call),
                    .error = head.error,
                    .times = head.times,
                    .who = printable({head.who, ::strnlen(head.who, sizeof head.who)}, 64),
                    .runs = (head.flags & kSeenExecution) != 0};
    if (has_path(head.seen)) {
      if (!text.starts_with('/') || text.find('\0') != std::string_view::npos) continue;
      row.path = text;
    } else if (has_address(head.seen)) {
      row.address = address_of(text, head.flags);
      if (row.address.family == SeenAddress::Family::none) continue;
    } else if (head.seen != InitSeen::own_listener && head.seen != InitSeen::terminal &&
               head.seen != InitSeen::open_files) {
      continue;
    }
    observed.rows.push_back(std::move(row));
  }
  return observed;
}

Result<Observed> read_observed(int fd) {
  std::string bytes(kMostObservedBytes, '\0');
  const ssize_t got = ::pread(fd, bytes.data(), bytes.size(), 0);
  if (got < 0) return errno_error("read what was observed");
  return parse_observed(std::string_view(bytes).substr(0, static_cast<std::size_t>(got)));
}

}  // namespace bulkhead
