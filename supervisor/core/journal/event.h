// What happened, as the journal keeps it. An Event is small (its body is at most 4 KiB of JSON); prompts, results and
// outputs live in the BlobStore and an event names them by hash.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "sandbox/base/result.h"

namespace bulkhead {

inline constexpr std::size_t kMaxEventBody = 4096;  // bytes of the body's compact JSON

struct Event {
  std::uint64_t seq = 0;          // given by the journal: 1, 2, … over all runs, without gaps; 0: not journaled yet
  std::int64_t time_unix_ms = 0;  // given by whoever appends it
  std::string run;                // may be empty: an event of the daemon itself
  std::string agent;              // may be empty
  unsigned attempt = 0;           // 0: not about one attempt
  std::string type;               // "attempt_started"
  int version = 1;                // of the body's shape
  nlohmann::json body = nlohmann::json::object();
  bool operator==(const Event&) const = default;
};

nlohmann::json to_json(const Event& event);
Result<Event> event_from_json(const nlohmann::json& json);

// Typed events. Each is a struct of the feature that owns it, in this shape:
//
//   struct BaseReady {
//     static constexpr const char* type = "base_ready";
//     static constexpr int version = 1;
//     std::string path;
//     template <class Self, class Visit> static void fields(Self& self, Visit&& visit) { visit("path", self.path); }
//   };
//
// fields() names every member once; reading and writing come from it (typed_event.h).

}  // namespace bulkhead
