// bulkhead: the command line. Wires what every verb needs and runs the one that was asked for.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "sandbox/base/text.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/context.h"
#include "supervisor/cli/options.h"
#include "supervisor/cli/verbs.h"

namespace {

using namespace bulkhead;

// Started with a standard descriptor closed, the next file we open would become it.
bool standard_descriptors_open() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != fd) return false;
  return true;
}

Outcome<Context> make_context(std::vector<std::string> argv, const Environment& own, const std::string& directory,
                              const std::string& state) {
  Context context{.argv = std::move(argv), .directory = directory, .state = StatePaths(state)};
  std::error_code error;
  context.program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return failure(ExitCode::fault, errno_error("find own program", "/proc/self/exe", error.value()).error());
  context.root = ::geteuid() == 0;
  const Environment sudo = own.contains("SUDO_UID") ? environment_of_sudo() : Environment{};
  context.environment = own;
  for (const auto& [key, value] : sudo) context.environment[key] = value;
  auto caller = or_exit(ExitCode::bad_input, decide_identity(own_credentials(), own, sudo, HostAccounts()));
  if (!caller) return std::unexpected(caller.error());
  context.caller = *std::move(caller);
  // Under sudo our own environment is root's (HOME, XDG_CONFIG_HOME, …): the user's programs get the user's.
  context.programs = own.contains("SUDO_UID") ? sudo : own;
  for (const auto& [key, value] : context.caller.environment) context.programs[key] = value;
  return context;
}

struct RunVerb {
  const Context& context;
  Outcome<int> operator()(const RunOptions& o) const { return run_verb(context, o); }
  Outcome<int> operator()(const SandboxRunOptions& o) const { return sandbox_run_verb(context, o); }
  Outcome<int> operator()(const SandboxPlanOptions& o) const { return sandbox_plan_verb(context, o); }
  Outcome<int> operator()(const PolicyCheckOptions& o) const { return policy_check_verb(context, o); }
  Outcome<int> operator()(const PolicyDiffOptions& o) const { return policy_diff_verb(context, o); }
  Outcome<int> operator()(const PolicyLearnOptions& o) const { return policy_learn_verb(context, o); }
  Outcome<int> operator()(const ConfigOptions& o) const { return config_verb(context, o); }
  Outcome<int> operator()(const DiffOptions& o) const { return diff_verb(context, o); }
  Outcome<int> operator()(const LogOptions& o) const {
    return o.output ? output_verb(context, o) : log_verb(context, o);
  }
  Outcome<int> operator()(const ApplyOptions& o) const { return apply_verb(context, o); }
  Outcome<int> operator()(const ShellOptions& o) const { return shell_verb(context, o); }
  Outcome<int> operator()(const JournalOptions& o) const { return journal_verb(context, o); }
  Outcome<int> operator()(const PsOptions& o) const { return ps_verb(context, o); }
  Outcome<int> operator()(const KillOptions& o) const { return kill_verb(context, o); }
  Outcome<int> operator()(const CleanOptions& o) const { return clean_verb(context, o); }
  Outcome<int> operator()(const DoctorOptions& o) const { return doctor_verb(context, o); }
  Outcome<int> operator()(const VersionOptions&) const {
    out_line("bulkhead " BULKHEAD_VERSION);
    return 0;
  }
  Outcome<int> operator()(const CompletionOptions&) const {
    out_text(bash_completion());
    return 0;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (!standard_descriptors_open()) return static_cast<int>(ExitCode::fault);
  const std::vector<std::string> words(argv, argv + argc);
  const Environment own = own_environment();
  std::error_code error;
  const std::string directory = std::filesystem::current_path(error).string();
  if (error) return complain({.error = errno_error("find own directory", ".", error.value()).error(), .code = 2});
  auto line = parse_command_line({words.begin() + std::min(argc, 1), words.end()}, own, directory);
  if (!line) {
    if (line.error().code == 0)
      out_text(line.error().text);
    else
      std::fputs(line.error().text.c_str(), stderr);
    return line.error().code;
  }
  const auto context = make_context(words, own, directory, line->state);
  if (!context) return complain(context.error());
  const auto status = std::visit(RunVerb{*context}, line->verb);
  const int code = status ? *status : complain(status.error());
  // What is left is memory, which the kernel frees faster than we do.
  if (std::fflush(nullptr) != 0) return static_cast<int>(ExitCode::fault);
  std::_Exit(code);
}
