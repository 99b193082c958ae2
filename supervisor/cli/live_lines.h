// What a person sees while a run goes on: one line for each event worth one, times relative to the run's start. All
// text that may come from an agent is made printable here. Pure; remembers only what later lines refer to.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "supervisor/core/journal/event.h"
#include "supervisor/core/lifecycle/events.h"

namespace bulkhead {

class LiveLines {
 public:
  // Without its newline; empty for an event that is only for the journal. Events come in the order of the journal.
  std::string line(const Event& event);

 private:
  std::string say(const Event& event);
  std::string attempt(const Event& event) const;

  std::int64_t start_unix_ms_ = 0;
  std::size_t name_width_ = 8;
  std::map<std::string, std::optional<unsigned>> from_checkpoint_;  // of an agent's present attempt
  std::map<std::string, std::string> branch_;
  std::string merge_into_;
};

// How something ended, in words: "exited with 2", "killed by SIGKILL", "out of memory (/limits/memory)".
std::string ending(EndReason reason, int exit_code, int signal, const std::string& step);

}  // namespace bulkhead
