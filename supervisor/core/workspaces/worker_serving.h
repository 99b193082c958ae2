// A worker that stays: starting a sandbox takes longer than holding a branch, and an agent waits for both.
//
// `bulkhead-worker serve --channel N` answers requests that come over descriptor N, a SOCK_SEQPACKET socket, one
// message each way for a request, in their order, until the other end is closed. Only for requests of the repository's
// owner that take no descriptor and read nothing of an agent's: RegisterRequest, UnregisterRequest. Identity and
// mounts: theirs.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/core/workspaces/worker_protocol.h"

namespace bulkhead {

inline constexpr std::string_view worker_serve = "serve";

std::vector<std::string> worker_serve_argv(int channel);

// What a message is made of: the words of an argv, each ended by NUL.
std::string worker_message(std::span<const std::string> words);
Result<std::vector<std::string>> parse_worker_message(std::string_view message);

// A request as a message: its subcommand and options.
template <class Request>
std::string worker_message_of(const Request& request) {
  const std::vector<std::string> argv = worker_argv(request);
  return worker_message(std::span(argv).subspan(1));
}

}  // namespace bulkhead
