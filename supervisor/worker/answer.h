// From the words of a request to the text of its answer.
#pragma once

#include <span>
#include <string>

#include "sandbox/base/result.h"
#include "supervisor/core/workspaces/worker_protocol.h"

namespace bulkhead {

template <class Request>
Result<std::string> answer(Result<typename Request::Facts> (*subcommand)(const Request&),
                           std::span<const std::string> options) {
  BULKHEAD_ASSIGN(const Request request, parse_worker_request<Request>(options));
  BULKHEAD_ASSIGN(const typename Request::Facts facts, subcommand(request));
  std::string text = worker_facts_json(facts);
  if (text.size() > max_worker_facts) return fail("answer", Request::subcommand.data(), "too long");
  return text;
}

}  // namespace bulkhead
