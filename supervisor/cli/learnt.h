// From what a learning run left behind to a change of its policy. Reads the host's file system as the caller; nothing
// is written.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/launch/exit_record.h"
#include "sandbox/spec/spec.h"

namespace bulkhead {

// What init noted (kLearntMissing, …): bytes that the agent had its hands in.
struct LearntNotes {
  std::vector<std::string> missing;    // absolute, not there inside
  std::vector<std::string> read_only;  // absolute, could not be changed inside
  bool more = false;                   // there were more than init notes
};
// Rows that are none are passed over.
LearntNotes parse_learnt(std::string_view bytes);

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

// The least change of `policy` (the document) that gives the command what it missed. `spec` is what it ran under.
//  - Missing paths become read-only mounts if the host has them, they are files or directories, not a top-level one,
//    and anybody may read them: a sandbox's uid is nobody's.
//  - Sockets and devices, private files and everything that would be written are only named.
Proposal propose(const nlohmann::json& policy, const SandboxSpec& spec, const ExitRecord& record,
                 const LearntNotes& notes);

// Where a command is looked for: itself if it has a '/', else below each directory of `path`.
std::vector<std::string> command_places(const std::string& command, std::string_view path);

// The proposal as a policy: `policy` with all patches in it, as YAML with what and why as comments.
std::string render_proposal(const nlohmann::json& policy, const std::vector<std::string>& head,
                            const Proposal& proposal);

}  // namespace bulkhead
