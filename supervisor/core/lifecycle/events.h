// Every event of a run's life, one struct each. The envelope (Event::run, agent, attempt, time) is not repeated in the
// body. "intended" is journaled before an effect, its answer after it; an effect is named by run/agent/attempt (and n,
// stage or kind), so that doing it a second time after a crash is the same effect.
//
//   make_event(run, agent, attempt, AttemptStarted{…})        read_event<AttemptStarted>(event)
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "supervisor/core/journal/typed_event.h"
#include "supervisor/core/lifecycle/words.h"

namespace bulkhead {

// ---- the plan: what was asked for. plan_events() in plan.h makes these from a Workflow; append them as one batch.

struct RunStarted {
  static constexpr const char* type = "run_started";
  static constexpr int version = 1;
  std::string workflow;       // BlobId of the canonical JSON
  std::string workflow_file;  // for messages; empty for `run -- CMD`
  std::string name;
  std::string repository;       // path of the working tree or bare repository
  std::string git_dir;          // the repository's common git directory
  std::string base;             // commit oid
  std::uint32_t owner_uid = 0;  // whose repository it is: workers that write to it run as this identity
  std::uint32_t owner_gid = 0;
  std::string merge_into;         // branch name, empty: no merge
  std::string merge_old;          // its commit oid at the start, empty: the branch does not exist yet
  unsigned concurrency = 1;       // resolved: never 0
  bool pass_exit_status = false;  // `run -- CMD`: the run ends with the command's own status
  bool keep_workspaces = false;
  std::string boot_id;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("workflow", self.workflow), visit("workflow_file", self.workflow_file), visit("name", self.name);
    visit("repository", self.repository), visit("git_dir", self.git_dir), visit("base", self.base);
    visit("owner_uid", self.owner_uid), visit("owner_gid", self.owner_gid);
    visit("merge_into", self.merge_into), visit("merge_old", self.merge_old), visit("concurrency", self.concurrency);
    visit("pass_exit_status", self.pass_exit_status), visit("keep_workspaces", self.keep_workspaces);
    visit("boot_id", self.boot_id);
  }
  bool operator==(const RunStarted&) const = default;
};

// What the lifecycle has to know of one task. Many needs are spread over several of these for the same agent.
struct AgentPlanned {
  static constexpr const char* type = "agent_planned";
  static constexpr int version = 1;
  std::vector<std::string> needs;
  unsigned attempts = 1;
  std::int64_t backoff_ms = 0;
  bool setup = false;
  std::vector<VerifyKind> verify;
  std::int64_t checkpoint_every_ms = 0;
  std::int64_t idle_ms = 0;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("needs", self.needs), visit("attempts", self.attempts), visit("backoff_ms", self.backoff_ms);
    visit("setup", self.setup), visit("verify", self.verify);
    visit("checkpoint_every_ms", self.checkpoint_every_ms), visit("idle_ms", self.idle_ms);
  }
  bool operator==(const AgentPlanned&) const = default;
};

struct FaultPlanned {  // about envelope.agent and envelope.attempt
  static constexpr const char* type = "fault_planned";
  static constexpr int version = 1;
  unsigned fault = 0;  // its index in the workflow
  unsigned after_commits = 0;
  int signal = 0;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("fault", self.fault), visit("after_commits", self.after_commits), visit("signal", self.signal);
  }
  bool operator==(const FaultPlanned&) const = default;
};

struct RunPlanned {  // the plan is complete; a journal without it never started anything
  static constexpr const char* type = "run_planned";
  static constexpr int version = 1;
  unsigned agents = 0;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("agents", self.agents);
  }
  bool operator==(const RunPlanned&) const = default;
};

// ---- the supervisor, and what people ask for

struct SupervisorStarted {  // a new supervisor took this run over: what its forerunner had in flight is decided again
  static constexpr const char* type = "supervisor_started";
  static constexpr int version = 1;
  std::int64_t pid = 0;
  std::string boot_id;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("pid", self.pid), visit("boot_id", self.boot_id);
  }
  bool operator==(const SupervisorStarted&) const = default;
};

struct RunCancelRequested {
  static constexpr const char* type = "run_cancel_requested";
  static constexpr int version = 1;
  std::string cause;  // "interrupted from the keyboard"
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit.text("cause", self.cause);
  }
  bool operator==(const RunCancelRequested&) const = default;
};

struct AgentCancelRequested {  // `bulkhead kill AGENT`: ended, not restarted
  static constexpr const char* type = "agent_cancel_requested";
  static constexpr int version = 1;
  std::string cause;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit.text("cause", self.cause);
  }
  bool operator==(const AgentCancelRequested&) const = default;
};

// ---- base and workspace

// A base is the tree of one commit, shared by the workspaces that start from it: the run's own, and for tasks with
// needs what the target had become when the last need was merged.
struct BaseIntended {
  static constexpr const char* type = "base_intended";
  static constexpr int version = 1;
  std::string commit;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("commit", self.commit);
  }
  bool operator==(const BaseIntended&) const = default;
};

struct BaseReady {
  static constexpr const char* type = "base_ready";
  static constexpr int version = 1;
  std::string commit;
  std::string path;
  std::int64_t milliseconds = 0;
  bool reused = false;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("commit", self.commit), visit("path", self.path);
    visit("milliseconds", self.milliseconds), visit("reused", self.reused);
  }
  bool operator==(const BaseReady&) const = default;
};

struct BaseFailed {
  static constexpr const char* type = "base_failed";
  static constexpr int version = 1;
  std::string commit;
  std::string reason;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("commit", self.commit), visit.text("reason", self.reason);
  }
  bool operator==(const BaseFailed&) const = default;
};

struct WorkspaceIntended {  // uid range, registration in the repository, branch; the first attempt's workspace
  static constexpr const char* type = "workspace_intended";
  static constexpr int version = 1;
  std::string base;  // commit oid
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("base", self.base);
  }
  bool operator==(const WorkspaceIntended&) const = default;
};

struct WorkspaceReady {
  static constexpr const char* type = "workspace_ready";
  static constexpr int version = 1;
  std::uint32_t range_base = 0;   // first uid of the agent's 65,536
  std::string branch;             // "bulkhead/<run>/<agent>"
  std::int64_t microseconds = 0;  // until the branch was held and the first attempt's workspace mounted
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("range_base", self.range_base), visit("branch", self.branch), visit("microseconds", self.microseconds);
  }
  bool operator==(const WorkspaceReady&) const = default;
};

struct WorkspaceFailed {
  static constexpr const char* type = "workspace_failed";
  static constexpr int version = 1;
  std::string reason;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit.text("reason", self.reason);
  }
  bool operator==(const WorkspaceFailed&) const = default;
};

// ---- an attempt

struct AttemptIntended {
  static constexpr const char* type = "attempt_intended";
  static constexpr int version = 1;
  std::optional<unsigned> from_checkpoint;  // null: from the base
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("from_checkpoint", self.from_checkpoint);
  }
  bool operator==(const AttemptIntended&) const = default;
};

struct SetupIntended {  // a part of starting an attempt; told for reports, decides nothing
  static constexpr const char* type = "setup_intended";
  static constexpr int version = 1;
  template <class Self, class Visit>
  static void fields(Self&, Visit&&) {}
  bool operator==(const SetupIntended&) const = default;
};

struct SetupEnded {  // a failed setup is followed by AttemptEnded{setup_failed, step "setup"}
  static constexpr const char* type = "setup_ended";
  static constexpr int version = 1;
  EndReason reason = EndReason::lost;
  int exit_code = -1;
  std::int64_t wall_ms = 0;
  std::string output;  // BlobId or empty
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("reason", self.reason), visit("exit_code", self.exit_code);
    visit("wall_ms", self.wall_ms), visit("output", self.output);
  }
  bool operator==(const SetupEnded&) const = default;
};

struct AttemptStarted {  // the command runs; its identity for whoever adopts it
  static constexpr const char* type = "attempt_started";
  static constexpr int version = 1;
  int pid = 0;                   // of init, in the host's pid namespace
  std::uint64_t start_time = 0;  // clock ticks since boot
  std::string boot_id;
  std::string cgroup;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("pid", self.pid), visit("start_time", self.start_time);
    visit("boot_id", self.boot_id), visit("cgroup", self.cgroup);
  }
  bool operator==(const AttemptStarted&) const = default;
};

struct BoundarySeen {  // a commit was seen in the running attempt
  static constexpr const char* type = "boundary_seen";
  static constexpr int version = 1;
  unsigned commits = 0;  // how many in this attempt so far, at least 1; never goes back
  std::string head;      // oid where it is known; from an agent's file: hexadecimal digits only
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("commits", self.commits), visit.text("head", self.head);
  }
  bool operator==(const BoundarySeen&) const = default;
};

struct CheckpointIntended {
  static constexpr const char* type = "checkpoint_intended";
  static constexpr int version = 1;
  unsigned n = 0;  // 1, 2, … over all attempts of the agent
  CheckpointKind kind = CheckpointKind::commit;
  unsigned commits = 0;  // boundaries of this attempt that it holds
  std::string head;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("n", self.n), visit("kind", self.kind), visit("commits", self.commits), visit.text("head", self.head);
  }
  bool operator==(const CheckpointIntended&) const = default;
};

struct CheckpointTaken {
  static constexpr const char* type = "checkpoint_taken";
  static constexpr int version = 1;
  unsigned n = 0;
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  std::int64_t freeze_us = 0;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("n", self.n), visit("bytes", self.bytes), visit("files", self.files), visit("freeze_us", self.freeze_us);
  }
  bool operator==(const CheckpointTaken&) const = default;
};

struct CheckpointFailed {
  static constexpr const char* type = "checkpoint_failed";
  static constexpr int version = 1;
  unsigned n = 0;
  std::string reason;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("n", self.n), visit.text("reason", self.reason);
  }
  bool operator==(const CheckpointFailed&) const = default;
};

struct FaultIntended {
  static constexpr const char* type = "fault_intended";
  static constexpr int version = 1;
  unsigned fault = 0;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("fault", self.fault);
  }
  bool operator==(const FaultIntended&) const = default;
};

struct FaultInjected {  // also when there was nothing left to do it to: `what` says so
  static constexpr const char* type = "fault_injected";
  static constexpr int version = 1;
  unsigned fault = 0;
  std::string what;  // "SIGKILL to the command after its first commit"
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("fault", self.fault), visit.text("what", self.what);
  }
  bool operator==(const FaultInjected&) const = default;
};

struct IdleExpired {  // no output, no CPU time, no file changed for AgentPlanned::idle_ms
  static constexpr const char* type = "idle_expired";
  static constexpr int version = 1;
  template <class Self, class Visit>
  static void fields(Self&, Visit&&) {}
  bool operator==(const IdleExpired&) const = default;
};

struct DenialSeen {  // the agent tried what it must not, and was stopped
  static constexpr const char* type = "denial_seen";
  static constexpr int version = 1;
  std::string what;    // "write to /etc/passwd"
  std::string rule;    // what stopped it: "/mounts/0, read-only", "/limits/memory"
  std::string detail;  // may be empty
  std::string kind;    // "system_call", "file", "network", "limit"
  std::string wall;    // what stands behind the rule: "seccomp", "mounts"
  std::string who;     // name of the first process that tried
  std::string allow;   // the least addition to the policy that would allow it; empty: none
  std::uint64_t times = 1;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit.text("what", self.what), visit.text("rule", self.rule), visit.text("detail", self.detail);
    visit.later("kind", self.kind, 16), visit.later("wall", self.wall, 32), visit.later("who", self.who, 64);
    visit.later("allow", self.allow, 512), visit.later("times", self.times);
  }
  bool operator==(const DenialSeen&) const = default;
};

struct WallMissing {  // of the run: the host lacks it, no policy of the run requires it, and it goes on without
  static constexpr const char* type = "wall_missing";
  static constexpr int version = 1;
  std::string wall;    // "limits"
  std::string answer;  // the kernel's
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("wall", self.wall), visit.text("answer", self.answer);
  }
  bool operator==(const WallMissing&) const = default;
};

struct KillIntended {
  static constexpr const char* type = "kill_intended";
  static constexpr int version = 1;
  EndReason cause = EndReason::killed_by_request;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("cause", self.cause);
  }
  bool operator==(const KillIntended&) const = default;
};

// From the launcher's exit record, or `lost`. Also ends an attempt that was intended and could not be started.
struct AttemptEnded {
  static constexpr const char* type = "attempt_ended";
  static constexpr int version = 1;
  EndReason reason = EndReason::lost;
  int exit_code = -1;
  int signal = 0;
  std::string step;    // setup_failed: the kernel operation, or "setup" for the task's own command
  std::string detail;  // one sentence for a person
  std::string rule;    // the policy line behind it; may be empty
  std::int64_t wall_ms = 0;
  std::int64_t cpu_ms = 0;          // below 0: not known, it had no cgroup
  std::uint64_t peak_memory = 0;    // 0: not known
  std::int64_t cpu_stalled_ms = 0;  // at least one process waited for it (PSI)
  std::int64_t memory_stalled_ms = 0;
  std::int64_t io_stalled_ms = 0;
  std::uint64_t output_dropped = 0;  // bytes beyond the bound, stdout and stderr
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("reason", self.reason), visit("exit_code", self.exit_code), visit("signal", self.signal);
    visit.text("step", self.step), visit.text("detail", self.detail), visit.text("rule", self.rule);
    visit("wall_ms", self.wall_ms), visit("cpu_ms", self.cpu_ms), visit("peak_memory", self.peak_memory);
    visit("cpu_stalled_ms", self.cpu_stalled_ms), visit("memory_stalled_ms", self.memory_stalled_ms);
    visit("io_stalled_ms", self.io_stalled_ms);
    visit("output_dropped", self.output_dropped);
  }
  bool operator==(const AttemptEnded&) const = default;
};

struct DiskUsed {  // what stood on the attempt's disk at its end; told for people, decides nothing
  static constexpr const char* type = "disk_used";
  static constexpr int version = 1;
  std::uint64_t bytes = 0;
  std::uint64_t inodes = 0;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("bytes", self.bytes), visit("inodes", self.inodes);
  }
  bool operator==(const DiskUsed&) const = default;
};

struct OutputKept {  // what the attempt wrote, as blobs; told for people, decides nothing
  static constexpr const char* type = "output_kept";
  static constexpr int version = 1;
  std::string stdout_blob;  // BlobId; empty: it wrote nothing there
  std::string stderr_blob;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("stdout", self.stdout_blob), visit("stderr", self.stderr_blob);
  }
  bool operator==(const OutputKept&) const = default;
};

// ---- import, verification, merge

struct ImportIntended {
  static constexpr const char* type = "import_intended";
  static constexpr int version = 1;
  std::optional<unsigned> from_checkpoint;  // null: from the attempt's own workspace
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("from_checkpoint", self.from_checkpoint);
  }
  bool operator==(const ImportIntended&) const = default;
};

struct Imported {  // objects and the agent's branch are in the owner's repository
  static constexpr const char* type = "imported";
  static constexpr int version = 1;
  std::string tip;            // commit oid of the branch
  std::uint64_t commits = 0;  // since the base; 0: the branch stands at the base
  std::uint64_t files_changed = 0;
  std::uint64_t insertions = 0;
  std::uint64_t deletions = 0;
  bool uncommitted = false;  // the agent left changes that it had not committed
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("tip", self.tip), visit("commits", self.commits), visit("files_changed", self.files_changed);
    visit("insertions", self.insertions), visit("deletions", self.deletions), visit("uncommitted", self.uncommitted);
  }
  bool operator==(const Imported&) const = default;
};

struct ImportFailed {
  static constexpr const char* type = "import_failed";
  static constexpr int version = 1;
  std::string reason;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit.text("reason", self.reason);
  }
  bool operator==(const ImportFailed&) const = default;
};

struct VerificationIntended {
  static constexpr const char* type = "verification_intended";
  static constexpr int version = 1;
  VerifyStage stage = VerifyStage::result;
  VerifyKind kind = VerifyKind::pass;
  std::string commit;  // whose tree is judged
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("stage", self.stage), visit("kind", self.kind), visit("commit", self.commit);
  }
  bool operator==(const VerificationIntended&) const = default;
};

// How the command ended, plainly. Whether that is what was asked for is the lifecycle's to say: satisfied().
struct VerificationEnded {
  static constexpr const char* type = "verification_ended";
  static constexpr int version = 1;
  VerifyStage stage = VerifyStage::result;
  VerifyKind kind = VerifyKind::pass;
  EndReason reason = EndReason::lost;  // setup_failed with step "setup": the task's setup failed there
  int exit_code = -1;
  int signal = 0;
  std::string step;
  std::string detail;
  std::int64_t wall_ms = 0;
  std::string output;  // BlobId or empty
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("stage", self.stage), visit("kind", self.kind), visit("reason", self.reason);
    visit("exit_code", self.exit_code), visit("signal", self.signal), visit.text("step", self.step);
    visit.text("detail", self.detail), visit("wall_ms", self.wall_ms), visit("output", self.output);
  }
  bool operator==(const VerificationEnded&) const = default;
};

struct MergePrepareIntended {  // an in-memory merge of the agent's tip into the target's present commit; moves nothing
  static constexpr const char* type = "merge_prepare_intended";
  static constexpr int version = 1;
  std::string into;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("into", self.into);
  }
  bool operator==(const MergePrepareIntended&) const = default;
};

struct MergePrepared {
  static constexpr const char* type = "merge_prepared";
  static constexpr int version = 1;
  std::string commit;         // what the target is to become: the merge commit, or the tip itself
  std::string expected_old;   // what the target was when it was made; empty: it did not exist
  bool fast_forward = false;  // the merged tree is the result's own: already verified
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("commit", self.commit), visit("expected_old", self.expected_old), visit("fast_forward", self.fast_forward);
  }
  bool operator==(const MergePrepared&) const = default;
};

struct MergeConflict {
  static constexpr const char* type = "merge_conflict";
  static constexpr int version = 1;
  std::vector<std::string> paths;  // the first ones
  std::uint64_t total = 0;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit.texts("paths", self.paths), visit("total", self.total);
  }
  bool operator==(const MergeConflict&) const = default;
};

struct MergeRefused {  // in preparing or in moving: the target is checked out, the ref is no branch, …
  static constexpr const char* type = "merge_refused";
  static constexpr int version = 1;
  std::string reason;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit.text("reason", self.reason);
  }
  bool operator==(const MergeRefused&) const = default;
};

struct MergeIntended {
  static constexpr const char* type = "merge_intended";
  static constexpr int version = 1;
  std::string into;
  std::string commit;
  std::string expected_old;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("into", self.into), visit("commit", self.commit), visit("expected_old", self.expected_old);
  }
  bool operator==(const MergeIntended&) const = default;
};

struct Merged {  // the target is at `commit`, moved by this supervisor or by the one before
  static constexpr const char* type = "merged";
  static constexpr int version = 1;
  std::string commit;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("commit", self.commit);
  }
  bool operator==(const Merged&) const = default;
};

struct MergeStale {  // compare-and-swap failed: somebody else moved the target; it is prepared again, a few times
  static constexpr const char* type = "merge_stale";
  static constexpr int version = 1;
  std::string found;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("found", self.found);
  }
  bool operator==(const MergeStale&) const = default;
};

// ---- the end

struct AgentFinished {
  static constexpr const char* type = "agent_finished";
  static constexpr int version = 1;
  AgentOutcome outcome = AgentOutcome::failed;
  std::string cause;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("outcome", self.outcome), visit.text("cause", self.cause);
  }
  bool operator==(const AgentFinished&) const = default;
};

struct CleanupIntended {
  static constexpr const char* type = "cleanup_intended";
  static constexpr int version = 1;
  template <class Self, class Visit>
  static void fields(Self&, Visit&&) {}
  bool operator==(const CleanupIntended&) const = default;
};

struct Cleaned {
  static constexpr const char* type = "cleaned";
  static constexpr int version = 1;
  std::string problem;  // empty, or what could not be removed (`bulkhead clean` tries again)
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit.text("problem", self.problem);
  }
  bool operator==(const Cleaned&) const = default;
};

struct RunFinished {
  static constexpr const char* type = "run_finished";
  static constexpr int version = 1;
  RunOutcome outcome = RunOutcome::failed;
  int exit_code = 1;
  std::string cause;
  template <class Self, class Visit>
  static void fields(Self& self, Visit&& visit) {
    visit("outcome", self.outcome), visit("exit_code", self.exit_code), visit.text("cause", self.cause);
  }
  bool operator==(const RunFinished&) const = default;
};

}  // namespace bulkhead
