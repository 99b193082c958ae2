// A worker in a sandbox of its own, for who launches it and waits for it: bulkheadd and `bulkhead sandbox run`, each in
// its own way.
#pragma once

#include <string>
#include <vector>

#include "sandbox/host/host_facts.h"
#include "sandbox/launch/launcher_client.h"
#include "sandbox/plan/plan.h"
#include "sandbox/spec/spec.h"

namespace bulkhead {

// `place` says where it stands and what of ours is mounted; `program`, its binary on the host, comes to it. `argv` as
// of worker_argv().
Result<LaunchPlan> worker_plan(const SandboxSpec& spec, Placement place, const std::string& program,
                               std::vector<std::string> argv, const HostFacts& host);

// Memory files for what it writes.
struct WorkerOutput {
  static Result<WorkerOutput> make();
  Fd out;  // its answer
  Fd err;
};

// What it answered, for parse_worker_facts(); or how its sandbox ended, which is no answer. `what` and `object` are for
// the error: operation and object.
Result<std::string> worker_answer(const ExitRecord& record, const WorkerOutput& output, const std::string& what,
                                  const std::string& object = {});

}  // namespace bulkhead
