#include "sandbox/launch/spare_networks.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "sandbox/launch/child.h"
#include "sandbox/sys/files.h"

namespace bulkhead {

Result<SpareNetworks> SpareNetworks::open(std::size_t wanted) {
  SpareNetworks networks;
  BULKHEAD_ASSIGN(networks.home_, open_file("/proc/self/ns/net", O_RDONLY));
  // Where it may not be entered (a filter above us), better now than with no way back: starts make their own.
  if (::setns(networks.home_.get(), CLONE_NEWNET) == 0)
    networks.wanted_ = wanted;
  else
    networks.home_.reset();
  return networks;
}

Result<> SpareNetworks::add_one() {
  if (!home_.valid()) return fail("make network namespace", "", "our own may not be entered again");
  if (::unshare(CLONE_NEWNET) != 0) return errno_error("make network namespace");
  const bool up = loopback_up() == 0;
  const int code = errno;
  auto made = open_file("/proc/self/ns/net", O_RDONLY);
  if (::setns(home_.get(), CLONE_NEWNET) != 0) {
    std::perror("bulkhead-launcher: return to its own network namespace");
    std::abort();  // elsewhere than at home we would make sandboxes that share a network
  }
  if (!up) return errno_error("bring lo up", "", code);
  if (!made) return std::unexpected(made.error());
  spare_.push_back(std::move(*made));
  return {};
}

Fd SpareNetworks::take() {
  if (spare_.empty()) return {};
  Fd network = std::move(spare_.back());
  spare_.pop_back();
  return network;
}

}  // namespace bulkhead
