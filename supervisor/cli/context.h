// What every verb knows: who asked, from where, as which program. main() makes it, once.
#pragma once

#include <string>
#include <vector>

#include "supervisor/cli/exit.h"
#include "supervisor/cli/identity.h"
#include "supervisor/core/workspaces/state_paths.h"

namespace bulkhead {

struct Context {
  std::vector<std::string> argv;  // the whole command line
  std::string program;            // absolute path of this binary; the others of Bulkhead lie beside it
  std::string directory;          // where the caller stands, absolute
  StatePaths state;
  bool root = false;  // this process may act as root, until become(caller)
  CallerIdentity caller;
  Environment environment;  // the caller's, whole: for ${VAR} in files; never passed on as it is
  Environment programs;     // of the user\'s own programs that we start as the user: git, a pager

  std::string beside(const std::string& name) const { return program.substr(0, program.rfind('/') + 1) + name; }
};

// Refuses with exit 3 and the whole command line behind sudo. `what` needs root: "read the journal".
Outcome<> need_root(const Context& context, const std::string& what);

// The end of root in this process; a failure of it is a fault.
Outcome<> drop_root(const Context& context);

// A command line as a person would type it again.
std::string command_text(const std::vector<std::string>& words);

}  // namespace bulkhead
