#include "supervisor/worker/git.h"

#include <algorithm>
#include <thread>

#include "sandbox/base/text.h"

namespace bulkhead {

Git::Git() {
  environment_ = {
      "PATH=/usr/local/bin:/usr/bin:/bin",
      "LC_ALL=C",
      "TZ=UTC",
      "GIT_CONFIG_NOSYSTEM=1",
      "GIT_CONFIG_GLOBAL=/dev/null",
      "GIT_ATTR_NOSYSTEM=1",
      "GIT_TERMINAL_PROMPT=0",
      "GIT_OPTIONAL_LOCKS=0",
      "GIT_NO_REPLACE_OBJECTS=1",
      "GIT_NO_LAZY_FETCH=1",  // newer gits; older ones are kept from it by protocol.allow
      "GIT_GRAFT_FILE=/dev/null/none",
      "GIT_EDITOR=false",
      "GIT_PAGER=cat",
      "GIT_ALLOW_PROTOCOL=",
      "GIT_LITERAL_PATHSPECS=1",
      "GIT_ADVICE=0",
  };
  configuration_ = {
      "core.hooksPath=/dev/null",      "core.fsmonitor=false",
      "core.untrackedCache=false",     "core.excludesFile=/dev/null",
      "core.attributesFile=/dev/null", "core.alternateRefsCommand=false",
      "protocol.allow=never",          "gc.auto=0",
      "maintenance.auto=false",        "submodule.recurse=false",
      "diff.ignoreSubmodules=none",    "advice.detachedHead=false",
      "commit.gpgSign=false",          "color.ui=false",
      "core.quotePath=false",          "pack.threads=" + bounded_threads(),
  };
}

Git Git::without(std::string_view variable) const {
  Git copy = *this;
  const std::string prefix = std::string(variable) + "=";
  std::erase_if(copy.environment_, [&](const std::string& set) { return set.starts_with(prefix); });
  return copy;
}

Git Git::with(const std::string& variable, const std::string& value) const {
  Git copy = without(variable);
  copy.environment_.push_back(variable + "=" + value);
  return copy;
}

Git Git::config(std::string_view key, std::string_view value) const {
  Git copy = *this;
  copy.configuration_.push_back(std::string(key) + "=" + std::string(value));
  return copy;
}

Git Git::in(std::string directory) const {
  Git copy = *this;
  copy.directory_ = std::move(directory);
  return copy;
}

Result<Finished> Git::run(std::vector<std::string> arguments, Io io) const {
  Command command{.argv = {"git"},
                  .environment = environment_,
                  .directory = directory_,
                  .stdin_fd = io.stdin_fd,
                  .input = io.input,
                  .sink = std::move(io.sink),
                  .output_limit = io.output_limit};
  for (const std::string& setting : configuration_) {
    command.argv.emplace_back("-c");
    command.argv.push_back(setting);
  }
  std::ranges::move(arguments, std::back_inserter(command.argv));
  return run_process(command);
}

Result<std::string> Git::must(std::string operation, std::string object, std::vector<std::string> arguments,
                              Io io) const {
  BULKHEAD_ASSIGN(Finished finished, run(std::move(arguments), std::move(io)));
  if (finished.status != 0) return git_error(std::move(operation), std::move(object), finished);
  return std::move(finished.output);
}

Result<bool> Git::ask(std::string operation, std::string object, std::vector<std::string> arguments) const {
  BULKHEAD_ASSIGN(const Finished finished, run(std::move(arguments)));
  if (finished.status > 1) return git_error(std::move(operation), std::move(object), finished);
  return finished.status == 0;
}

Result<std::string> Git::line(std::string operation, std::string object, std::vector<std::string> arguments) const {
  BULKHEAD_ASSIGN(Finished finished, run(std::move(arguments)));
  if (finished.status == 1) return std::string();
  if (finished.status != 0) return git_error(std::move(operation), std::move(object), finished);
  if (finished.output.ends_with('\n')) finished.output.pop_back();
  return std::move(finished.output);
}

std::string bounded_threads() { return std::to_string(std::clamp(std::thread::hardware_concurrency(), 1U, 16U)); }

std::string git_said(const Finished& finished) {
  std::string said;
  for (std::string_view line : split(finished.errors, '\n')) {
    for (std::string_view prefix : {"fatal: ", "error: "}) {
      if (line.starts_with(prefix)) line.remove_prefix(prefix.size());
    }
    if (line.empty() || line.starts_with("hint: ")) continue;
    if (!said.empty()) said += "; ";
    said += line;
  }
  if (finished.signal != 0)
    said += (said.empty() ? "" : "; ") + ("git was ended by signal " + std::to_string(finished.signal));
  if (said.empty()) said = "git exited with status " + std::to_string(finished.status);
  return printable(said, 2048);
}

std::unexpected<Error> git_error(std::string operation, std::string object, const Finished& finished) {
  return fail(std::move(operation), std::move(object), git_said(finished));
}

Result<> Records::add(std::string_view chunk) {
  for (;;) {
    const auto at = chunk.find(end_);
    if (at == std::string_view::npos) break;
    if (rest_.empty()) {
      BULKHEAD_TRY(take_(chunk.substr(0, at)));
    } else {
      rest_ += chunk.substr(0, at);
      BULKHEAD_TRY(take_(rest_));
      rest_.clear();
    }
    chunk.remove_prefix(at + 1);
  }
  if (rest_.size() + chunk.size() > longest_) return fail("read output of", "git", "a record without end");
  rest_ += chunk;
  return {};
}

}  // namespace bulkhead
