// What the actions of one run share: the ways to act (launcher, workers, journal), and what is known of the run beyond
// its events. State that a next supervisor needs is in the journal, never only here.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "supervisor/core/api/messages.h"
#include "supervisor/core/daemon/registrar.h"
#include "supervisor/core/daemon/worker_runner.h"
#include "supervisor/core/images/images.h"
#include "supervisor/core/journal/blob_store.h"
#include "supervisor/core/journal/journal.h"
#include "supervisor/core/lifecycle/lifecycle.h"
#include "supervisor/core/workflow/workflow.h"
#include "supervisor/core/workspaces/state_paths.h"

namespace bulkhead {

// What every run has in common. One thread.
struct DaemonSite {
  boost::asio::io_context& io;
  LauncherLink& launcher;
  WorkerRunner& workers;
  Journal& journal;
  BlobStore& blobs;
  HostFacts host;
  StatePaths paths;
  std::string cgroup_root;
  std::set<std::string> bases_in_the_making;  // directories
};

struct AgentRuntime {
  std::map<std::string, std::string> mounted;  // workspace mount name -> path for plans
  std::string live_sandbox;                    // what Kill ends: setup, command or verification
  std::optional<EndReason> killed;             // asked for while nothing lived to be killed
  unsigned commits_at_start = 0;               // of the attempt that runs
  ObjectId imported_tip;                       // where branch and pin stand
};

struct RunContext {
  DaemonSite& site;
  std::string run;
  RunStarted facts;  // as journaled
  OwnerIdentity owner;
  std::vector<std::string> borrowed_objects;  // alternates of the repository: mounted for its workers
  std::string object_format = "sha1";
  bool shallow = false;
  std::string committer_name = "Bulkhead", committer_email = "bulkhead@localhost";
  std::optional<Workflow> workflow;          // none after taking over a run whose request is lost
  std::map<std::string, SandboxSpec> specs;  // by task
  // Tasks whose disk has no bound: why this host has none; empty where their policy wants none.
  std::map<std::string, std::string> unbounded_disks;
  std::map<std::string, PreparedImage> images;     // by task, of those whose root is one
  std::map<std::string, std::string> environment;  // the caller's, for policies to pass
  WallSet forgo;                                   // walls that are missing here and that none of its policies requires
  RunState state;
  std::map<std::string, AgentRuntime> agents;
  std::unique_ptr<Registrar> registrar;

  AgentPaths paths(const std::string& agent) const { return site.paths.agent(run, agent); }
  // The commit an agent starts from, and where that tree is kept.
  const ObjectId& base_of(const std::string& agent) const { return state.agents.at(agent).base; }
  // A shallow repository's trees are kept apart: they lack history that the same commit has once it is unshallowed.
  BasePaths base_paths(const ObjectId& commit) const {
    return site.paths.base(repository_key(facts.git_dir) + (shallow ? "-shallow" : ""), commit);
  }
  std::uint32_t range_of(const std::string& agent) const {
    return state.agents.at(agent).workspace ? state.agents.at(agent).workspace->range_base : 0;
  }
  // Of a task's commands: policy, then image, then `extra`.
  std::map<std::string, std::string> environment_of(const std::string& task,
                                                    const std::map<std::string, std::string>& extra) const;
  // A job for a worker that serves the repository's owner.
  WorkerJob owner_job(const std::string& agent, MountAccess access) const;
  WorkerJob range_job(WorkerKind kind, const std::string& agent, std::uint32_t range) const;

  // Appends to the journal, folds it in and shows it to whoever follows. A journal that cannot be written ends the
  // daemon: nothing may happen that is not recorded.
  std::function<void(Event)> record;
  template <class T>
  void note(const std::string& agent, unsigned attempt, const T& typed) {
    record(make_event(run, agent, attempt, typed));
  }
};

}  // namespace bulkhead
