// The repository of a user, opened by its common git directory as that user.
#pragma once

#include <string>

#include "sandbox/base/result.h"
#include "supervisor/worker/clean_repository.h"
#include "supervisor/worker/git.h"

namespace bulkhead {

class OwnerRepository {
 public:
  static Result<OwnerRepository> open(const std::string& git_dir);

  const std::string& git_dir() const { return git_dir_; }
  std::string objects() const { return git_dir_ + "/objects"; }

  // git in the real git directory: only for refs and worktrees. Hooks stay off.
  Git git() const;
  // The same with who moves a ref, for the reflog.
  Git git(const std::string& name, const std::string& email) const;

  // A clean repository over the real objects, for everything that only needs objects. With `write` what it makes goes
  // into the real ones, with the permissions that core.sharedRepository asks for.
  enum class Objects { read, write };
  Result<CleanRepository> clean(std::string_view object_format, Objects objects) const;

  // Where `ref` stands; empty when it does not exist.
  Result<std::string> ref(const std::string& name) const;

  // All moves happen or none. `from` empty: the ref must not exist; `to` empty: it goes away.
  struct Move {
    std::string ref;
    std::string from;
    std::string to;
  };
  Result<> move_refs(const Git& git, const std::vector<Move>& moves, const std::string& reason) const;
  // The same for refs that are not expected to be in the way: whether they moved, without a word on why not.
  Result<bool> try_move_refs(const Git& git, const std::vector<Move>& moves, const std::string& reason) const;

 private:
  static Result<Finished> update_refs(const Git& git, const std::vector<Move>& moves, const std::string& reason);
  explicit OwnerRepository(std::string git_dir) : git_dir_(std::move(git_dir)) {}
  std::string git_dir_;
};

}  // namespace bulkhead
