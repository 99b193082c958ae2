#include "supervisor/cli/apply_rules.h"

#include <algorithm>
#include <array>
#include <string>

namespace bulkhead {
namespace {

// Directories whose content editors, agents, forges and git execute, at any depth: tools look in subprojects too.
constexpr std::array<std::string_view, 12> kDirectories{".claude", ".codex",  ".cursor",   ".devcontainer",
                                                        ".gemini", ".github", ".gitlab",   ".husky",
                                                        ".idea",   ".vscode", ".opencode", ".githooks"};
constexpr std::array<std::string_view, 12> kFiles{
    ".mcp.json",     ".envrc",       ".gitattributes", ".gitmodules",    ".gitlab-ci.yml", ".pre-commit-config.yaml",
    ".lefthook.yml", "lefthook.yml", ".nvmrc",         ".tool-versions", "mise.toml",      ".mise.toml"};

// File systems that fold case would take ".VSCode" for ".vscode".
std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c); });
  return out;
}

}  // namespace

bool runs_on_the_host(std::string_view path) {
  const std::string folded = lower(path);
  std::string_view rest = folded;
  while (true) {
    const auto slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (slash == std::string_view::npos) return std::ranges::find(kFiles, part) != kFiles.end();
    if (std::ranges::find(kDirectories, part) != kDirectories.end()) return true;
    rest.remove_prefix(slash + 1);
  }
}

}  // namespace bulkhead
