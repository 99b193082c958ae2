// Holds an agent's branch on the host while the agent works elsewhere: a locked worktree entry whose checkout is an
// empty directory of the supervisor's. Written file by file (gitrepository-layout(5)) since `git worktree add` would
// check files out, and would do so where this process cannot write.
#include <fcntl.h>
#include <sys/stat.h>

#include "sandbox/sys/files.h"
#include "supervisor/worker/escape.h"
#include "supervisor/worker/owner_repository.h"
#include "supervisor/worker/replace_file.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {
namespace {

constexpr std::string_view lock_reason = "held by Bulkhead";

struct Names {
  Names(const std::string& git_dir, std::string_view run, std::string_view agent, const std::string& stub)
      : branch(agent_branch(run, agent)),
        branch_ref("refs/heads/" + branch),
        pin_ref(agent_pin(run, agent)),
        entry(git_dir + "/worktrees/" + agent_worktree_entry(run, agent)),
        head("ref: " + branch_ref + "\n"),
        gitdir(stub + "/.git\n") {}
  std::string branch;
  std::string branch_ref;
  std::string pin_ref;
  std::string entry;  // directory
  std::string head;   // what its HEAD says
  std::string gitdir;
};

enum class Entry { absent, ours, half_made, another_supervisors };

// An entry of that name that is not ours is left alone: "a-b" of run "x" and "b" of run "x-a" share a name, and a
// person may have made one.
Result<Entry> look_at(const Names& names) {
  if (!exists(names.entry)) return Entry::absent;
  const auto lock = read_file(names.entry + "/locked", 4096);
  const auto head = read_file(names.entry + "/HEAD", 4096);
  if (!lock || !lock->starts_with(lock_reason)) {
    // Killed between mkdir and the lock: empty, hence nobody's.
    if (const auto listed = list_directory(names.entry); listed && listed->empty()) return Entry::half_made;
    return fail("use worktree entry", names.entry, "it is there and not Bulkhead's", "remove it: git worktree prune");
  }
  if (!head) return Entry::half_made;
  if (*head != names.head) return fail("use worktree entry", names.entry, "it belongs to another agent");
  const auto gitdir = read_file(names.entry + "/gitdir", 8192);
  if (gitdir && *gitdir != names.gitdir) return Entry::another_supervisors;
  return gitdir && exists(names.entry + "/commondir") ? Entry::ours : Entry::half_made;
}

Result<> make_entry(const OwnerRepository& repository, const Names& names) {
  BULKHEAD_TRY(make_directory(repository.git_dir() + "/worktrees", 0777));
  BULKHEAD_TRY(make_directory(names.entry, 0777));
  // The lock first: an entry without one whose path is missing is pruned by the next gc.
  BULKHEAD_TRY(replace_file(names.entry + "/locked", std::string(lock_reason) + "\n", 0644));
  BULKHEAD_TRY(replace_file(names.entry + "/commondir", "../..\n", 0644));
  BULKHEAD_TRY(replace_file(names.entry + "/gitdir", names.gitdir, 0644));
  return replace_file(names.entry + "/HEAD", names.head, 0644);
}

Result<> remove_entry(const OwnerRepository& repository, const Names& names) {
  BULKHEAD_TRY(remove_tree(names.entry));
  // As git does; not empty is the usual case of other worktrees.
  const std::string all = repository.git_dir() + "/worktrees";
  if (::rmdir(all.c_str()) != 0 && errno != ENOTEMPTY && errno != ENOENT) return errno_error("remove directory", all);
  return {};
}

// Where something of this agent's name is there already: what it is, before anything is added to it.
Result<RegisterFacts> complete(const OwnerRepository& repository, const Names& names, Entry entry,
                               const RegisterRequest& request) {
  BULKHEAD_ASSIGN(const std::string branch, repository.ref(names.branch_ref));
  BULKHEAD_ASSIGN(const std::string pin, repository.ref(names.pin_ref));
  // Our pin is made together with the branch: a branch without it, or without an entry, is somebody else's.
  if (!branch.empty() && pin.empty()) {
    return fail("make branch", names.branch, "it is there already",
                "rename or delete it: git branch -m " + names.branch + " NEW-NAME");
  }
  std::vector<OwnerRepository::Move> moves;
  if (branch.empty()) moves.push_back({.ref = names.branch_ref, .from = "", .to = pin.empty() ? request.base : pin});
  if (pin.empty()) moves.push_back({.ref = names.pin_ref, .from = "", .to = request.base});
  if (entry == Entry::half_made) BULKHEAD_TRY(make_entry(repository, names));
  if (!moves.empty()) BULKHEAD_TRY(repository.move_refs(repository.git(), moves, "bulkhead: start"));
  return RegisterFacts{.branch = branch.empty() ? moves.front().to : branch,
                       .pin = pin.empty() ? request.base : pin,
                       .created = entry != Entry::ours || !moves.empty()};
}

}  // namespace

Result<RegisterFacts> register_agent(const RegisterRequest& request) {
  BULKHEAD_ASSIGN(const OwnerRepository repository, OwnerRepository::open(request.git_dir));
  const Names names(request.git_dir, request.run, request.agent, request.stub);
  BULKHEAD_ASSIGN(const Entry entry, look_at(names));
  if (entry == Entry::another_supervisors)
    return fail("make branch", names.branch, "another supervisor has a run of that name in this repository",
                "choose another name with --name");
  if (entry != Entry::absent) return complete(repository, names, entry, request);

  // The usual case, for which an agent waits: nothing of that name is there, which the one transaction finds out
  // itself. The entry before the branch: nobody can check the branch out in between.
  BULKHEAD_TRY(make_entry(repository, names));
  const auto made = repository.try_move_refs(repository.git(),
                                             {{.ref = names.branch_ref, .from = "", .to = request.base},
                                              {.ref = names.pin_ref, .from = "", .to = request.base}},
                                             "bulkhead: start");
  if (made && *made) return RegisterFacts{.branch = request.base, .pin = request.base, .created = true};
  auto completed = made ? complete(repository, names, Entry::absent, request) : std::unexpected(made.error());
  if (!completed) BULKHEAD_TRY(remove_entry(repository, names));
  return completed;
}

Result<UnregisterFacts> unregister_agent(const UnregisterRequest& request) {
  BULKHEAD_ASSIGN(const OwnerRepository repository, OwnerRepository::open(request.git_dir));
  const Names names(request.git_dir, request.run, request.agent, request.stub);
  BULKHEAD_ASSIGN(const Entry entry, look_at(names));
  UnregisterFacts facts;
  if (entry == Entry::another_supervisors) return facts;
  BULKHEAD_ASSIGN(facts.branch, repository.ref(names.branch_ref));
  BULKHEAD_ASSIGN(const std::string pin, repository.ref(names.pin_ref));

  std::vector<OwnerRepository::Move> moves;
  // Without our pin it is the branch of somebody who was there first; and it is removed only where it stands as
  // expected.
  const bool as_expected = !pin.empty() && (request.only_if.empty() || request.only_if == facts.branch);
  if (request.branch == RefFate::remove && !facts.branch.empty() && as_expected) {
    moves.push_back({.ref = names.branch_ref, .from = facts.branch, .to = ""});
    facts.branch_removed = true;
  }
  if (request.pin == RefFate::remove && !pin.empty()) {
    moves.push_back({.ref = names.pin_ref, .from = pin, .to = ""});
    facts.pin_removed = true;
  }
  // Refs first: while the entry is there nobody has the branch checked out.
  if (!moves.empty()) BULKHEAD_TRY(repository.move_refs(repository.git(), moves, "bulkhead: end"));
  if (entry != Entry::absent) {
    BULKHEAD_TRY(remove_entry(repository, names));
    facts.entry_removed = true;
  }
  return facts;
}

}  // namespace bulkhead
