#include "supervisor/core/daemon/run_request.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "sandbox/plan/required_walls.h"
#include "sandbox/sys/files.h"
#include "supervisor/core/daemon/attempt_disk.h"
#include "supervisor/core/daemon/image_roots.h"

namespace bulkhead {
namespace {

// The spec a task runs under: its policy, with the task's own limits over it.
Result<SandboxSpec> spec_for(const Task& task, const Workflow& workflow, const RunRequest& request) {
  const std::string& name = workflow.policy_of(task);
  const auto found = request.policies.find(name);
  if (found == request.policies.end()) return fail("run", "policy " + name, "did not come with the request");
  nlohmann::json policy = found->second.document;
  if (!task.limits.empty()) policy["limits"].merge_patch(task.limits);
  auto spec = SandboxSpec::from_policy(apply_defaults(std::move(policy)), request.seccomp);
  if (!spec) spec.error().operation = "task " + task.name + ", policy " + name;
  return spec;
}

// Everything of the host's root that an owner may want to be found in, as the owner sees it: read-only and with the
// owner's own rights.
std::vector<MountSpec> host_view() {
  std::vector<MountSpec> mounts;
  for (const auto& entry : list_directory("/").value_or(std::vector<std::string>{})) {
    const std::string path = "/" + entry;
    if (entry == "proc" || entry == "sys" || entry == "dev" || entry == "run") continue;
    struct stat st{};
    if (::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode))
      mounts.push_back(bind_mount(path, path, MountAccess::read_only));
  }
  return mounts;
}

Result<> refuse_target(const InspectFacts& facts, const std::string& run, const std::string& into) {
  // git keeps a branch as a file: bulkhead/RUN cannot be one beside bulkhead/RUN/AGENT.
  if (into == "bulkhead/" + run || into.starts_with("bulkhead/" + run + "/"))
    return fail("merge into", into, "the branches of run " + run + " are kept below that name",
                "choose another name for one of the two");
  if (facts.target_checked_out.empty()) return {};
  return fail("merge into", into, "the branch is checked out at " + facts.target_checked_out,
              "check out another branch there, or merge into a new one (merge: {into: bulkhead/" + into + "})");
}

// What the policies of the run require, and what runs need besides.
WallSet required_walls(const RunContext& run) {
  WallSet required{Wall::user_namespace};  // workspaces are mounted in one
  for (const auto& [task, spec] : run.specs)
    for (const Wall wall : required_here(spec, {})) required.insert(wall);
  return required;
}

Result<MissingWalls> try_walls(const RunContext& run, const WallSet& walls) {
  return run.site.launcher.call([&](LauncherClient& c) { return c.try_walls(walls); });
}

// After something of ours could not be started: all the required walls that are missing, if that is why; else `failed`.
Error explain_failure(const RunContext& run, Error failed) {
  const WallSet required = required_walls(run);
  auto missing = try_walls(run, required);
  if (!missing) return failed;
  missing->merge(missing_walls(run.site.host));
  auto stand = check_required(required, *missing);
  return stand ? failed : stand.error();
}

// Whether this host has what is required; what it lacks of the rest the run goes on without.
Result<WallSet> check_walls(const RunContext& run) {
  const MissingWalls missing = missing_walls(run.site.host);
  const WallSet required = required_walls(run);
  BULKHEAD_TRY(check_required(required, missing));
  // Those that nobody has tried when the daemon began, and that a command's launch would find out about too late.
  WallSet rare;
  for (const Wall wall : required)
    if (about(wall).need == WallNeed::on_demand) rare.insert(wall);
  if (!rare.empty()) {
    BULKHEAD_ASSIGN(const MissingWalls found, try_walls(run, rare));
    BULKHEAD_TRY(check_required(required, found));
  }
  WallSet forgo;
  for (const auto& [wall, answer] : missing) forgo.insert(wall);
  if (forgo.contains(Wall::limits))
    for (const auto& [name, task] : run.workflow->tasks())
      if (task.checkpoint_every.count() != 0)
        return fail("task " + name, "checkpoint.every",
                    "a running agent cannot be frozen without the wall limits: " + missing.at(Wall::limits),
                    "drop it: checkpoints are still taken of results and between attempts");
  return forgo;
}

}  // namespace

Async<> prepare_run(RunContext& run, RunRequest request) {
  BULKHEAD_CO_ASSIGN(run.workflow, Workflow::from_json(request.workflow));
  const Workflow& workflow = *run.workflow;
  for (const auto& [name, task] : workflow.tasks()) {
    BULKHEAD_CO_ASSIGN(SandboxSpec spec, spec_for(task, workflow, request));
    run.specs.emplace(name, std::move(spec));
  }
  auto forgo = check_walls(run);
  if (!forgo) co_return std::unexpected(explain_failure(run, forgo.error()));
  run.forgo = *std::move(forgo);
  BULKHEAD_CO_TRY(co_await prepare_disks(run));
  BULKHEAD_CO_TRY(co_await prepare_images(run));
  run.owner = {.uid = request.caller.uid, .gid = request.caller.gid, .groups = request.caller.groups};
  run.environment = request.caller.environment;

  WorkerJob job;
  job.kind = WorkerKind::owner;
  job.place = run.run + "/_inspect";
  job.owner = run.owner;
  job.forgo = run.forgo;
  job.mounts = host_view();
  InspectRequest inspect{.repository = request.repository,
                         .base = workflow.base(),
                         .target = workflow.merge_into(),
                         .config_home = request.caller.home};
  const auto inspected = co_await run.site.workers.run(std::move(job), std::move(inspect));
  if (!inspected) co_return std::unexpected(explain_failure(run, inspected.error()));
  const InspectFacts& facts = *inspected;
  BULKHEAD_CO_TRY(refuse_target(facts, run.run, workflow.merge_into()));
  run.borrowed_objects = facts.object_directories;
  run.object_format = facts.object_format;
  run.shallow = facts.shallow;
  run.committer_name = facts.committer_name;
  run.committer_email = facts.committer_email;

  BULKHEAD_CO_ASSIGN(const BlobId blob, run.site.blobs.put(request.workflow.dump(), Durability::power));
  run.facts = RunStarted{.workflow = blob,
                         .workflow_file = request.workflow_file,
                         .name = workflow.name(),
                         .repository = request.repository,
                         .git_dir = facts.common_dir,
                         .base = facts.base,
                         .owner_uid = request.caller.uid,
                         .owner_gid = request.caller.gid,
                         .merge_into = workflow.merge_into(),
                         .merge_old = facts.target,
                         .concurrency = workflow.concurrency() != 0 ? workflow.concurrency()
                                                                    : std::max(1u, std::thread::hardware_concurrency()),
                         .pass_exit_status = request.workflow_file.empty(),
                         .keep_workspaces = request.keep_workspaces == KeepWorkspaces::yes,
                         .boot_id = boot_id()};
  co_return Result<>{};
}

}  // namespace bulkhead
