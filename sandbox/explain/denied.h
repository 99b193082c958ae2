// What a sandbox was refused: one list, whatever the wall. Each entry says what was asked for, by whom, what stood in
// the way and where the policy says so, and the smallest change of the policy that would allow it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sandbox/explain/host_look.h"
#include "sandbox/explain/observed.h"
#include "sandbox/explain/view.h"
#include "sandbox/launch/exit_record.h"

namespace bulkhead {

enum class DeniedKind { system_call, file, network, limit };
std::string_view name(DeniedKind kind);

struct Denied {
  DeniedKind kind = DeniedKind::system_call;
  std::string what;         // "write /usr/x", "connect to tcp 192.0.2.1:443": parts of it are the agent's own word
  std::string who;          // name of the first process; may be empty. The agent's own word
  std::uint64_t times = 0;  // at least
  std::string wall;         // "seccomp", "mounts", "landlock", "network namespace", …
  Origin rule;              // where it stands in the policy, or "built-in"
  // What to add to the policy: maps are merged, lists joined. Empty: there is no such change, or none that should be
  // made unread; `reason` says why.
  nlohmann::json change = nlohmann::json::object();
  std::string reason;
  bool operator==(const Denied&) const = default;
};
nlohmann::json to_json(const Denied& denied);

// "mounts: {/data: {source: /data}}": a change as one would write it into a policy.
std::string change_text(const nlohmann::json& change);

// A limit that was reached, and twice its value, as a policy has it.
struct LimitReached {
  std::string key;  // "memory"
  nlohmann::json twice;
  std::string what;  // "memory beyond its limit"
  std::string why;   // "out of memory"
  std::uint64_t times = 1;
};
std::vector<LimitReached> limits_reached(const Limits& limits, const ExitRecord& record);

// Which paths to look for on the host before judging. Bounded by what was observed.
std::vector<std::string> questions(const Observed& observed, const View& view);

struct HostAnswers {
  HostLook look;  // for questions()
  HostNames names;
};

// Pure. Of what was observed only that is told which a wall refused, or which the host has and the sandbox lacks. Those
// that a change would allow come first, else in order of appearance.
std::vector<Denied> denied(const View& view, const ExitRecord& record, const Observed& observed,
                           const HostAnswers& host);

}  // namespace bulkhead
