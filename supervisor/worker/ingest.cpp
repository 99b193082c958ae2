// Takes an agent's commits into the owner's repository: quarantined and checked first, so that what is refused leaves
// nothing behind.
#include <fcntl.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "sandbox/sys/files.h"
#include "supervisor/worker/owner_repository.h"
#include "supervisor/worker/streams.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {
namespace {

// An object directory beside the real objects that git itself would clean up: gc removes old tmp_objdir-*.
class Quarantine {
 public:
  static Result<Quarantine> make(const std::string& objects) {
    std::string path = objects + "/tmp_objdir-bulkhead-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return errno_error("make directory", path);
    Quarantine quarantine(std::move(path));
    BULKHEAD_TRY(make_directory(quarantine.path_ + "/pack", 0700));
    BULKHEAD_TRY(make_directory(quarantine.path_ + "/info", 0700));
    return quarantine;
  }
  Quarantine(Quarantine&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Quarantine& operator=(Quarantine&&) = delete;
  Quarantine(const Quarantine&) = delete;
  Quarantine& operator=(const Quarantine&) = delete;
  ~Quarantine() {
    if (path_.empty()) return;
    [[maybe_unused]] const auto removed = remove_tree(path_);  // what stays is removed by the next gc
  }
  const std::string& path() const { return path_; }

 private:
  explicit Quarantine(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The index last: a pack counts from the moment its index is there.
Result<> join(const Quarantine& quarantine, const std::string& objects) {
  BULKHEAD_TRY(make_directory(objects + "/pack", 0777));
  BULKHEAD_ASSIGN(std::vector<std::string> files, list_directory(quarantine.path() + "/pack"));
  std::ranges::sort(files, {}, [](const std::string& name) { return name.ends_with(".idx"); });
  for (const std::string& name : files) {
    const std::string from = (quarantine.path() + "/pack/").append(name);
    const std::string to = (objects + "/pack/").append(name);
    if (::rename(from.c_str(), to.c_str()) != 0) return errno_error("move pack to", to);
  }
  return {};
}

// index-pack proves that what the pack's objects name exists somewhere in the repository. It must not be "somewhere":
// a tree that names an object which the agent was never given (another agent's, a hidden test's) would hand it over.
// The number of objects in the pack, when all that the tip needs is in there or in the base.
Result<std::uint64_t> own_objects(const Git& git, const std::string& index, const IngestRequest& request) {
  std::set<std::string, std::less<>> packed;
  Records entries(
      [&](std::string_view line) -> Result<> {  // "offset id (crc)"
        const auto first = line.find(' ');
        if (first == std::string_view::npos) return {};
        const std::string_view rest = line.substr(first + 1);
        packed.emplace(rest.substr(0, rest.find(' ')));
        return {};
      },
      '\n');
  BULKHEAD_ASSIGN(const Fd index_file, open_file(index, O_RDONLY | O_NOFOLLOW));
  BULKHEAD_TRY(git.must("read index of", "pack", {"show-index", "--object-format=" + object_format_of(request.tip)},
                        {.stdin_fd = index_file.get(), .sink = entries.sink()}));
  std::string borrowed;
  Records needed(
      [&](std::string_view line) -> Result<> {
        const std::string_view id = line.substr(0, line.find(' '));
        if (borrowed.empty() && !packed.contains(id)) borrowed = id;
        return {};
      },
      '\n');
  BULKHEAD_TRY(git.must("read objects of", request.tip, {"rev-list", "--objects", request.tip, "^" + request.base},
                        {.sink = needed.sink()}));
  if (borrowed.empty()) return packed.size();
  return fail("import", request.tip, "it needs object " + borrowed + ", which is neither its own nor its base's");
}

Result<std::uint64_t> take_pack(const OwnerRepository& repository, const IngestRequest& request) {
  BULKHEAD_ASSIGN(const Fd pack, open_input(request.pack));
  BULKHEAD_ASSIGN(const CleanRepository clean,
                  repository.clean(object_format_of(request.tip), OwnerRepository::Objects::write));
  BULKHEAD_ASSIGN(const Quarantine quarantine, Quarantine::make(repository.objects()));
  const Git git = clean.git()
                      .with("GIT_OBJECT_DIRECTORY", quarantine.path())
                      .with("GIT_ALTERNATE_OBJECT_DIRECTORIES", alternates_variable({repository.objects()}));

  BULKHEAD_TRY(git.must("check", "pack", {"index-pack", "--stdin", "--strict"}, {.stdin_fd = pack.get()}));
  BULKHEAD_ASSIGN(const std::string type, git.line("read", request.tip, {"cat-file", "-t", request.tip}));
  if (type != "commit") return fail("import", request.tip, "it is a " + type + ", not a commit");
  BULKHEAD_ASSIGN(const bool descends, git.ask("compare history of", request.tip,
                                               {"merge-base", "--is-ancestor", request.base, request.tip}));
  if (!descends) return fail("import", request.tip, "it does not descend from the base " + request.base);

  BULKHEAD_ASSIGN(const std::vector<std::string> files, list_directory(quarantine.path() + "/pack"));
  const auto index = std::ranges::find_if(files, [](const std::string& name) { return name.ends_with(".idx"); });
  if (index == files.end()) return fail("import", request.tip, "the pack has no index");
  BULKHEAD_ASSIGN(const std::uint64_t objects, own_objects(git, quarantine.path() + "/pack/" + *index, request));

  BULKHEAD_TRY(join(quarantine, repository.objects()));
  return objects;
}

}  // namespace

Result<IngestFacts> ingest(const IngestRequest& request) {
  BULKHEAD_ASSIGN(const OwnerRepository repository, OwnerRepository::open(request.git_dir));
  const std::string branch_ref = "refs/heads/" + agent_branch(request.run, request.agent);
  const std::string pin_ref = agent_pin(request.run, request.agent);

  // Asked before anything is taken, so that a refusal leaves no object; the transaction asks again.
  std::vector<OwnerRepository::Move> moves;
  for (const std::string& name : {branch_ref, pin_ref}) {
    BULKHEAD_ASSIGN(const std::string now, repository.ref(name));
    if (now == request.tip) continue;
    if (now != request.old) {
      return fail("move branch", name,
                  "it stands " + (now.empty() ? "nowhere" : "at " + now) + ", not at " + request.old,
                  "somebody moved it meanwhile; nothing was changed");
    }
    moves.push_back({.ref = name, .from = request.old, .to = request.tip});
  }
  IngestFacts facts;
  if (moves.empty()) return facts;

  if (request.tip != request.base) {
    if (request.pack.empty()) return fail("import", request.tip, "no pack was given");
    BULKHEAD_ASSIGN(facts.objects, take_pack(repository, request));
  }
  BULKHEAD_TRY(repository.move_refs(repository.git(), moves, "bulkhead: import"));
  facts.moved = true;
  return facts;
}

}  // namespace bulkhead
