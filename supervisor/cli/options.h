// The command line as values. Parsing is pure: it reads no file and asks no kernel. CLI11 stays in options.cpp.
#pragma once

#include <expected>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace bulkhead {

enum class Format { text, json };

struct RunOptions {
  std::string workflow;              // a file; empty when there is a command
  std::vector<std::string> command;  // after --
  std::string policy;                // of a command; empty: the default one
  std::string name;                  // of the run; empty: made up
  bool keep_workspaces = false;
  bool explain = false;  // of each task: say which files and addresses it was refused
  bool quiet = false;    // no line per event, only the report
};

struct SandboxRunOptions {
  std::string policy = "default";
  std::string report;    // a file; empty: none
  bool explain = false;  // say what was refused and what would allow it
  bool quiet = false;    // no line for a wall that is missing and not required
  std::vector<std::string> command;
};

struct SandboxPlanOptions {
  std::string policy = "default";
  Format format = Format::text;
  std::vector<std::string> command;
};

struct PolicyCheckOptions {
  std::string policy;
};

struct PolicyDiffOptions {
  std::string from, to;
  Format format = Format::text;
};

struct PolicyLearnOptions {
  std::string policy = "default";  // what the proposal is a change of
  std::string output;              // a file; empty: stdout
  unsigned rounds = 1;             // at most so many runs
  Format format = Format::text;
  std::vector<std::string> command;
};

struct ConfigOptions {
  std::string file;
};

struct DiffOptions {
  std::string agent;
  bool stat = false;
};

struct LogOptions {
  bool output = false;  // what it wrote to stdout and stderr, instead of its commits
  std::string agent;
};

struct ApplyOptions {
  std::string agent;
  bool squash = false;           // one commit-to-be of the user's own instead of the agent's commits
  bool with_tool_files = false;  // take changes of files that tools execute, too
};

struct ShellOptions {
  std::string agent;
  std::vector<std::string> command;
};

struct JournalOptions {
  std::string run;
  Format format = Format::text;
  bool events = false;  // every event instead of the report
};

struct PsOptions {
  Format format = Format::text;
};

struct KillOptions {
  std::string agent;  // `run/agent` or `agent`
  std::string run;    // --run: the whole run
};

struct CleanOptions {
  bool check = false;
  bool kept = false;    // also workspaces that --keep-workspaces kept
  bool images = false;  // also unpacked images that nobody uses now
};

struct DoctorOptions {
  Format format = Format::text;
};

struct VersionOptions {};

struct CompletionOptions {};

using Verb =
    std::variant<RunOptions, SandboxRunOptions, SandboxPlanOptions, PolicyCheckOptions, PolicyDiffOptions,
                 PolicyLearnOptions, ConfigOptions, DiffOptions, LogOptions, ApplyOptions, ShellOptions, JournalOptions,
                 PsOptions, KillOptions, CleanOptions, DoctorOptions, VersionOptions, CompletionOptions>;

struct CommandLine {
  std::string state;  // absolute path of the state directory
  Verb verb;
};

// What to say instead of doing anything: --help (code 0, on stdout) or a mistake (code 2, on stderr).
struct ParseStop {
  int code = 0;
  std::string text;
};

// `arguments` without the program's name. `environment` for BULKHEAD_STATE; `directory` makes a relative --state
// absolute.
std::expected<CommandLine, ParseStop> parse_command_line(const std::vector<std::string>& arguments,
                                                         const std::map<std::string, std::string>& environment,
                                                         const std::string& directory);

// The script for `source <(bulkhead completion)`.
std::string bash_completion();

}  // namespace bulkhead
