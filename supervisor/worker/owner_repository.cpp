#include "supervisor/worker/owner_repository.h"

#include <fcntl.h>

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"

namespace bulkhead {

Result<OwnerRepository> OwnerRepository::open(const std::string& git_dir) {
  BULKHEAD_ASSIGN(const Fd objects, open_file(git_dir + "/objects", O_RDONLY | O_DIRECTORY));
  return OwnerRepository(git_dir);
}

Git OwnerRepository::git() const { return git("Bulkhead", "bulkhead@localhost"); }

Git OwnerRepository::git(const std::string& name, const std::string& email) const {
  return Git().git_dir(git_dir_).in("/").with("GIT_COMMITTER_NAME", name).with("GIT_COMMITTER_EMAIL", email);
}

Result<CleanRepository> OwnerRepository::clean(std::string_view object_format, Objects mode) const {
  CleanOptions options{.object_format = std::string(object_format), .trust = Trust::owner};
  if (exists(git_dir_ + "/shallow")) {
    BULKHEAD_ASSIGN(options.shallow, read_file(git_dir_ + "/shallow"));
  }
  if (mode == Objects::read) {
    options.borrow = {objects()};
    return CleanRepository::make(options);
  }
  options.write_objects = objects();
  BULKHEAD_ASSIGN(CleanRepository repository, CleanRepository::make(options));
  BULKHEAD_ASSIGN(const std::string shared,
                  git().line("read configuration of", git_dir_, {"config", "--get", "core.sharedRepository"}));
  if (!shared.empty()) {
    BULKHEAD_TRY(repository.git().must("configure", "scratch repository", {"config", "core.sharedRepository", shared}));
  }
  return repository;
}

Result<std::string> OwnerRepository::ref(const std::string& name) const {
  return git().line("read", name, {"rev-parse", "--verify", "--quiet", name});
}

Result<Finished> OwnerRepository::update_refs(const Git& git, const std::vector<Move>& moves,
                                              const std::string& reason) {
  const std::string zero(moves.front().from.empty() ? moves.front().to.size() : moves.front().from.size(), '0');
  // -z, so that no name can end a line: update SP ref NUL new NUL old NUL, of git-update-ref(1).
  std::string input;
  for (const Move& move : moves) {
    input += "update " + move.ref + '\0' + (move.to.empty() ? zero : move.to) + '\0' +
             (move.from.empty() ? zero : move.from) + '\0';
  }
  return git.run({"update-ref", "-m", reason, "--no-deref", "-z", "--stdin"}, {.input = input});
}

Result<bool> OwnerRepository::try_move_refs(const Git& git, const std::vector<Move>& moves,
                                            const std::string& reason) const {
  BULKHEAD_ASSIGN(const Finished finished, update_refs(git, moves, reason));
  return finished.status == 0;
}

Result<> OwnerRepository::move_refs(const Git& git, const std::vector<Move>& moves, const std::string& reason) const {
  BULKHEAD_ASSIGN(const Finished finished, update_refs(git, moves, reason));
  if (finished.status == 0) return {};
  // Which of them stands elsewhere, for the message; refs can only have been moved by somebody else.
  for (const Move& move : moves) {
    BULKHEAD_ASSIGN(const std::string now, ref(move.ref));
    if (now == move.from) continue;
    const auto shown = [](const std::string& id) { return id.empty() ? std::string("nowhere") : "at " + id; };
    return fail("move branch", move.ref, "it stands " + shown(now) + ", not " + shown(move.from),
                "somebody moved it meanwhile; nothing was changed");
  }
  return git_error("move branch", moves.front().ref, finished);
}

}  // namespace bulkhead
