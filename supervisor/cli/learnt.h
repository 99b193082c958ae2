// From what an observed run left behind to a change of its policy. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/explain/denied.h"

namespace bulkhead {

struct ProposalLine {
  std::string key;   // of the policy: "mounts"
  std::string what;  // a path, a system call, a limit: the agent's own word
  std::string why;
  bool operator==(const ProposalLine&) const = default;
};

struct Proposal {
  nlohmann::json patch = nlohmann::json::object();  // merge patch of the policy; empty: nothing is to be added
  std::vector<ProposalLine> added;
  std::vector<ProposalLine> named;  // missed too, but not for a program to propose
};

// The least change of `policy` (the document) that gives the command what it missed. `view` is what it ran under.
// Missing paths become read-only mounts as judge_path() has it; everything that would be written is only named.
Proposal propose(const nlohmann::json& policy, const View& view, const ExitRecord& record, const Observed& observed,
                 const HostAnswers& host);

// Where a command is looked for: itself if it has a '/', else below each directory of `path`.
std::vector<std::string> command_places(const std::string& command, std::string_view path);

// The proposal as a policy: `policy` with all patches in it, as YAML with what and why as comments.
std::string render_proposal(const nlohmann::json& policy, const std::vector<std::string>& head,
                            const Proposal& proposal);

}  // namespace bulkhead
