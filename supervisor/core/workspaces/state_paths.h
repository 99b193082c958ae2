// Every path of the state tree, named here and nowhere else. Pure: makes strings, touches no file.
//
//   ROOT/                                   0700 root
//     lock  journal.db  control.sock  launcher.sock
//     blobs/                                bodies that are too large for an event, by content
//     mnt/                                  mount points of the launcher's private mount namespace
//     disks/                                the empty images that disks are copies of
//     bases/<repository>[-shallow]/<commit>/          made once per repository and base commit
//       pack  shallow                       what is reachable from the commit (shallow: only of a shallow repository)
//       tree/                               the checkout that every workspace has as its lower directory
//     images/<key>[.making]/{ready,tree/}    unpacked OCI images: see ImageStore
//     runs/<run>/<agent>/
//       stub/                               what the repository's worktree entry points to; stays empty
//       import.pack                         the agent's commits on their way into the repository
//       <attempt>/{disk/{upper,work,home},stdout,stderr,resume.json}
//       verify-<name>/{disk/{upper,work,home},stdout,stderr}
//                                           disk: see sandbox/launch/bounded_disks.h. Its content may show in the
//                                           launcher's mount namespace only; disk-<boot>.img beside it then holds it
//       checkpoints/<n>/{upper,home}
//
// A component (run, agent, commit, repository key) that is not a plain name would leave the tree. Whoever reads names
// from people checks them with is_state_name() first; handing an unchecked one in here is a bug and throws
// std::invalid_argument.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead {

// A name that is one path component, one cgroup and one part of a git ref: [a-z0-9][a-z0-9._-]{0,62}, without "..",
// not ending in "." or ".lock" (git-check-ref-format(1) refuses those).
bool is_state_name(std::string_view text);

// A git object id in full: 40 (sha1) or 64 (sha256) lower-case hexadecimal digits.
bool is_object_id(std::string_view text);

// Names a repository in bases/ by its common git directory: readable, and distinct for distinct paths. A collision
// would be harmless, since a commit id names its content.
std::string repository_key(std::string_view common_dir);

class AttemptPaths {
 public:
  const std::string& directory() const { return directory_; }
  // What the kernel bounds. Paths below it are for plans and for the launcher; who else looks into it asks for a
  // descriptor (attempt_disk.h).
  std::string disk() const { return directory_ + "/disk"; }
  std::string upper() const { return disk() + "/upper"; }  // owned by the agent's range
  std::string work() const { return disk() + "/work"; }    // overlay's own; beside upper, same file system
  std::string home() const { return disk() + "/home"; }
  std::string stdout_file() const { return directory_ + "/stdout"; }
  std::string stderr_file() const { return directory_ + "/stderr"; }
  std::string observations() const { return directory_ + "/observations"; }  // of an explained attempt
  std::string resume_report() const { return directory_ + "/resume.json"; }
  std::string prompt() const { return directory_ + "/prompt.txt"; }

 private:
  friend class AgentPaths;
  explicit AttemptPaths(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

class CheckpointPaths {
 public:
  const std::string& directory() const { return directory_; }
  std::string upper() const { return directory_ + "/upper"; }
  std::string home() const { return directory_ + "/home"; }

 private:
  friend class AgentPaths;
  explicit CheckpointPaths(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

class AgentPaths {
 public:
  const std::string& directory() const { return directory_; }
  std::string stub() const { return directory_ + "/stub"; }
  std::string import_pack() const { return directory_ + "/import.pack"; }
  std::string checkpoints() const { return directory_ + "/checkpoints"; }
  AttemptPaths attempt(std::uint64_t number) const;        // from 1
  AttemptPaths verification(std::string_view name) const;  // a fresh workspace for one verification command
  CheckpointPaths checkpoint(std::uint64_t number) const;  // from 1

 private:
  friend class StatePaths;
  explicit AgentPaths(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

class BasePaths {
 public:
  const std::string& directory() const { return directory_; }
  std::string pack() const { return directory_ + "/pack"; }
  std::string shallow() const { return directory_ + "/shallow"; }
  std::string tree() const { return directory_ + "/tree"; }
  std::string ready() const { return directory_ + "/ready"; }  // written last: without it the base is half made

 private:
  friend class StatePaths;
  explicit BasePaths(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

class StatePaths {
 public:
  static constexpr std::string_view default_root = "/var/lib/bulkhead";

  // `root` is absolute and normalised.
  explicit StatePaths(std::string root = std::string(default_root));

  const std::string& root() const { return root_; }
  std::string lock() const { return root_ + "/lock"; }
  std::string journal() const { return root_ + "/journal.db"; }
  std::string blobs() const { return root_ + "/blobs"; }
  std::string control_socket() const { return root_ + "/control.sock"; }
  std::string launcher_socket() const { return root_ + "/launcher.sock"; }
  std::string mounts() const { return root_ + "/mnt"; }
  std::string bases() const { return root_ + "/bases"; }
  std::string images() const { return root_ + "/images"; }
  std::string runs() const { return root_ + "/runs"; }

  BasePaths base(std::string_view repository_key, std::string_view commit) const;
  std::string run(std::string_view run) const;
  AgentPaths agent(std::string_view run, std::string_view agent) const;

 private:
  std::string root_;
};

}  // namespace bulkhead
