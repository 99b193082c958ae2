// git, run as the invoking user in their own repository. Nothing an agent wrote is executed: no hooks, no external
// diff, no textconv; configuration is the user's own. What git prints of an agent's work is made printable for a
// terminal.
#pragma once

#include <string>
#include <vector>

#include "supervisor/cli/context.h"

namespace bulkhead {

struct GitResult {
  int status = 0;
  std::string out;  // at most 16 MiB
  std::string err;
};

class UserGit {
 public:
  UserGit(const Context& context, std::string directory) : context_(context), directory_(std::move(directory)) {}

  Result<GitResult> capture(const std::vector<std::string>& arguments) const;
  // Shows what git prints: through the user's pager and made printable on a terminal, byte for byte elsewhere.
  // Returns git's status.
  Result<int> show(const std::vector<std::string>& arguments) const;

 private:
  std::vector<std::string> command(const std::vector<std::string>& arguments) const;
  const Context& context_;
  std::string directory_;
};

// A line of a diff or log for a terminal: control characters and their like escaped (tabs stay), additions and removals
// coloured by us. No newline.
enum class Colour { no, yes };
std::string terminal_line(std::string_view line, Colour colour);

}  // namespace bulkhead
