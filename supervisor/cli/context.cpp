#include "supervisor/cli/context.h"

#include "sandbox/base/text.h"

namespace bulkhead {

std::string command_text(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + shell_quote(word);
  return out;
}

Outcome<> need_root(const Context& context, const std::string& what) {
  if (context.root) return {};
  std::vector<std::string> words{"sudo"};
  words.insert(words.end(), context.argv.begin(), context.argv.end());
  // sudo looks in its own secure_path, which may not be where this program was found.
  if (words.size() > 1 && words[1].find('/') == std::string::npos && !context.program.starts_with("/usr/"))
    words[1] = context.program;
  return failure(ExitCode::host_lacks, {.operation = what,
                                        .detail = "only root can, and this is " + context.caller.user + " (uid " +
                                                  std::to_string(context.caller.uid) + ")",
                                        .hint = "run it with sudo: " + command_text(words)});
}

Outcome<> drop_root(const Context& context) { return or_exit(ExitCode::fault, become(context.caller)); }

}  // namespace bulkhead
