#include "supervisor/core/workspaces/state_paths.h"

#include <algorithm>
#include <stdexcept>

namespace bulkhead {
namespace {

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

std::string component(std::string_view kind, std::string_view text, bool good) {
  if (!good) throw std::invalid_argument("not a " + std::string(kind) + " for a path: '" + std::string(text) + "'");
  return std::string(text);
}

std::string number_component(std::string_view kind, std::uint64_t number) {
  return component(kind, std::to_string(number), number > 0);
}

}  // namespace

bool is_state_name(std::string_view text) {
  if (text.empty() || text.size() > 63 || !is_lower_or_digit(text.front())) return false;
  if (!std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '.' || c == '_' || c == '-'; })) {
    return false;
  }
  return !text.contains("..") && !text.ends_with('.') && !text.ends_with(".lock");
}

bool is_object_id(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string repository_key(std::string_view common_dir) {
  std::string_view named = common_dir;
  if (named.ends_with("/.git")) named.remove_suffix(5);
  named = named.substr(named.rfind('/') + 1);
  std::string readable;
  for (char c : named.substr(0, 32)) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    readable += is_lower_or_digit(lower) ? lower : '-';
  }
  if (readable.empty() || readable.front() == '-') readable.insert(0, "r");
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (char c : common_dir) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  static constexpr std::string_view digits = "0123456789abcdef";
  readable += '-';
  for (int shift = 60; shift >= 0; shift -= 4) readable += digits[(hash >> shift) & 15];
  return readable;
}

AttemptPaths AgentPaths::attempt(std::uint64_t number) const {
  return AttemptPaths(directory_ + "/" + number_component("attempt number", number));
}

AttemptPaths AgentPaths::verification(std::string_view name) const {
  return AttemptPaths(directory_ + "/verify-" + component("verification", name, is_state_name(name)));
}

CheckpointPaths AgentPaths::checkpoint(std::uint64_t number) const {
  return CheckpointPaths(checkpoints() + "/" + number_component("checkpoint number", number));
}

StatePaths::StatePaths(std::string root) : root_(std::move(root)) {
  const bool good = root_.starts_with('/') && root_.size() > 1 && !root_.ends_with('/') && !root_.contains("//") &&
                    !(root_ + "/").contains("/../") && !(root_ + "/").contains("/./") &&
                    root_.find('\0') == std::string::npos;
  component("state directory", root_, good);
}

BasePaths StatePaths::base(std::string_view repository_key, std::string_view commit) const {
  return BasePaths(bases() + "/" + component("repository key", repository_key, is_state_name(repository_key)) + "/" +
                   component("commit", commit, is_object_id(commit)));
}

std::string StatePaths::run(std::string_view run) const {
  return runs() + "/" + component("run", run, is_state_name(run));
}

AgentPaths StatePaths::agent(std::string_view run_name, std::string_view agent) const {
  return AgentPaths(run(run_name) + "/" + component("agent", agent, is_state_name(agent)));
}

}  // namespace bulkhead
