// What happened in a run, computed from its journal events alone, for a terminal and as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/core/journal/event.h"
#include "supervisor/core/journal/journal.h"
#include "supervisor/core/lifecycle/state.h"

namespace bulkhead {

struct DenialReport {
  unsigned attempt = 0;
  DenialSeen denial;
  std::uint64_t times = 1;  // of all that are the same
  bool operator==(const DenialReport&) const = default;
};

struct CheckpointReport {
  unsigned n = 0;
  unsigned attempt = 0;
  CheckpointKind kind = CheckpointKind::commit;
  unsigned commits = 0;
  std::string head;
  bool taken = false;
  std::string problem;
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  std::int64_t freeze_us = 0;
  bool operator==(const CheckpointReport&) const = default;
};

struct VerificationReport {
  unsigned attempt = 0;
  VerificationEnded ended;
  bool satisfied = false;
  bool operator==(const VerificationReport&) const = default;
};

struct AttemptReport {
  unsigned number = 0;
  std::optional<CheckpointReport> resumed_from;
  std::int64_t started_unix_ms = 0;  // 0: it never started
  std::optional<SetupEnded> setup;
  std::vector<std::string> faults;    // injected into it
  std::optional<AttemptEnded> ended;  // none: it runs still
  std::optional<DiskUsed> disk;       // at its end, where it was bounded
  bool verification_failed = false;
  bool operator==(const AttemptReport&) const = default;
};

struct MergeReport {
  enum class Is { none, waiting, merged, conflict, refused } is = Is::none;
  std::string into;
  std::string commit;
  bool fast_forward = false;
  std::vector<std::string> conflicts;  // paths; as the agent named them: make them printable
  std::uint64_t conflicts_total = 0;
  std::string reason;
  bool operator==(const MergeReport&) const = default;
};

struct AgentReport {
  std::string name;
  std::vector<std::string> needs;
  std::string state;  // "done", "failed", …, or what it is at: "running", "waiting"
  std::optional<AgentFinished> finished;
  std::string base;  // the commit it started from; empty until it could start
  std::string branch;
  std::vector<AttemptReport> attempts;
  std::vector<CheckpointReport> checkpoints;
  std::vector<DenialReport> denials;
  std::vector<VerificationReport> verifications;
  std::optional<Imported> imported;
  std::string import_problem;
  MergeReport merge;
  std::string left_behind;
  std::int64_t wall_ms = 0;       // over all attempts
  std::int64_t cpu_ms = 0;        // below 0: not known
  std::uint64_t peak_memory = 0;  // the highest; 0: not known
  bool operator==(const AgentReport&) const = default;
};

struct RunReport {
  std::string run;
  RunStarted started;
  std::int64_t started_unix_ms = 0;
  std::int64_t ended_unix_ms = 0;  // of the last event while the run goes on
  std::optional<RunFinished> finished;
  std::string cancel_cause;
  std::string base_problem;
  std::optional<BaseReady> base;
  unsigned supervisors = 1;
  std::vector<WallMissing> without;  // walls that the host lacked and no policy required
  std::vector<AgentReport> agents;   // by name
  std::string violation;
  std::vector<std::string> next;  // commands worth typing now
  bool operator==(const RunReport&) const = default;
};

// `events`: one run's, from its first. Fails when they are no run or a body is damaged.
Result<RunReport> report_of(const std::vector<Event>& events);

std::string render_text(const RunReport& report);  // for a terminal; all that came from agents is made printable
nlohmann::json to_json(const RunReport& report);

// One event as a line, for `bulkhead journal` and for following a run: "12:03:04.120  fix-a/2  attempt_ended  …".
std::string render_event(const Event& event);

// `bulkhead ps`: every run of the journal in the order they began.
struct RunSummary {
  std::string run;
  std::string name;
  std::string state;  // "running", "done", "failed", … ; "interrupted" is for the caller to say, who knows who lives
  std::int64_t started_unix_ms = 0;
  std::int64_t ended_unix_ms = 0;
  unsigned agents = 0;
  unsigned finished_agents = 0;
  std::vector<std::string> active;  // "fix-a/2 running"
  bool operator==(const RunSummary&) const = default;
};
Result<std::vector<RunSummary>> list_runs(const Journal& journal);
std::string render_text(const std::vector<RunSummary>& runs);
nlohmann::json to_json(const std::vector<RunSummary>& runs);

}  // namespace bulkhead
