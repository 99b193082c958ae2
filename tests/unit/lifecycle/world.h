// A make-believe host: what actions do to it survives the death of the supervisor that did them.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/core/lifecycle/lifecycle.h"

namespace bulkhead::test {

// How one attempt of an agent goes. Chosen by how many attempts failed before it, so that a lost one changes nothing.
struct AttemptScript {
  unsigned commits = 1;
  EndReason reason = EndReason::exited;
  int exit_code = 0;
};

struct AgentScript {
  std::vector<AttemptScript> attempts = {{}};  // the last repeats
  unsigned result_fails = 0;                   // so many times `pass` fails on the result
  bool fail_to_pass_proves_nothing = false;
  bool merged_tree_fails = false;
  bool conflicts = false;  // with anything merged before
  bool workspace_fails = false;
  unsigned imports_fail = 0;  // so many sources are unreadable
  bool hangs = false;         // until it is killed
};

struct LiveAttempt {
  unsigned commits = 0;
  bool kill_before_start = false;
  std::optional<AttemptEnded> ended;  // the launcher keeps this until it is journaled
};

struct World {
  std::map<std::string, AgentScript> scripts;
  bool base_fails = false;
  unsigned outsider_moves = 0;  // so many times somebody else moves the target just before a merge
  bool launcher_may_die = false;

  std::set<std::string> workspaces;
  std::map<std::pair<std::string, unsigned>, LiveAttempt> attempts;
  std::set<std::pair<std::string, unsigned>> checkpoints;
  std::map<std::string, std::string> branches;
  std::map<std::string, unsigned> results_judged;
  std::string target = "old";
  std::map<std::string, unsigned> moves;  // how often the target was moved for an agent
  unsigned alive() const;
};

}  // namespace bulkhead::test
