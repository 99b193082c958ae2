// A bare git directory of our own, empty but for what we write into it: whoever's objects are read through it, their
// configuration, refs, hooks, attributes, grafts and replacements are not.
#pragma once

#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/worker/git.h"
#include "supervisor/worker/scratch.h"

namespace bulkhead {

enum class Trust {
  owner,  // objects of the repository's owner: their commit graph and multi-pack index may be used
  agent,  // an agent may have written them: only objects and pack indexes are read
};

struct CleanOptions {
  std::string object_format = "sha1";
  std::string shallow;              // content of the shallow file, or empty
  std::vector<std::string> borrow;  // object directories to read from
  std::string write_objects;        // where objects are written; empty: own ones
  Trust trust = Trust::agent;
};

class CleanRepository {
 public:
  static Result<CleanRepository> make(const CleanOptions& options);

  const Git& git() const { return git_; }
  std::string path() const { return scratch_.path() + "/git"; }
  std::string objects() const { return path() + "/objects"; }
  std::string scratch_file(std::string_view name) const { return scratch_.path() + "/" + std::string(name); }

 private:
  CleanRepository(Scratch scratch, Git git) : scratch_(std::move(scratch)), git_(std::move(git)) {}
  Scratch scratch_;
  Git git_;
};

// The configuration file of a git directory of ours; `extra` are further lines.
std::string git_configuration(std::string_view object_format, bool bare, std::string_view extra = {});

// As GIT_ALTERNATE_OBJECT_DIRECTORIES wants it: colons, quoted where a path needs it.
std::string alternates_variable(const std::vector<std::string>& directories);

// "sha1" or "sha256", by the length of an id.
std::string object_format_of(std::string_view object_id);

}  // namespace bulkhead
