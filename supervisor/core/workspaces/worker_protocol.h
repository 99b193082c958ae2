// What the supervisor asks of bulkhead-worker, and what it is told. Pure: builds argv and reads bounded JSON, spawns
// nothing and knows no git.
//
// One run of the worker = one subcommand = one request struct here:
//
//   std::vector<std::string> argv = worker_argv(PackRequest{...});      argv[0] is "bulkhead-worker"
//   Result<PackFacts> facts = parse_worker_facts<PackFacts>(text);  text: what the worker wrote
//
// The worker writes exactly one JSON object (at most max_worker_facts bytes) to stdout, or to descriptor N with
// `--facts-fd N`, and exits 0. When it fails it writes {"error": {"operation", "object", "code", "detail", "hint"}} and
// exits 1; parse_worker_facts() turns that into the Error it was. An exit status that is neither, or an answer that
// does not parse, is the sandbox's end (killed, out of memory, wall time): the launcher's exit record says which.
//
// Every sandbox of a worker has: a read-only /usr with git (and /bin, /lib, /lib64 as on the host), /dev/null,
// a private /proc, a tmpfs /tmp (64 MiB and 10,000 inodes are enough), no network, no HOME. Nothing else is
// needed; each request below says what is mounted where, and as whom it runs. Bulk data (packs) never travels in the
// answer: it is a `Stream`, a path inside the sandbox or "fd:N", a descriptor handed to the worker (then neither mount
// nor ownership of the file matters). With a pack on fd:1, the answer needs `--facts-fd`.
//
// Three identities:
// - owner: host-identity, uid and gid of the repository's owner, no capabilities, the git directory at its own host
// path;
// - store: an own uid range of the state directory, uid 1000 inside;
// - agent: the agent's own uid range; uid 1000 inside, but for copy-tree and remove-tree.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/explain/host_look.h"

namespace bulkhead {

inline constexpr std::size_t max_worker_facts = std::size_t{64} << 10;

using ObjectId = std::string;  // is_object_id()
using Stream = std::string;    // an absolute path inside the sandbox, or "fd:N"

// refs/heads/bulkhead/<run>/<agent> is what people see; refs/bulkhead/<run>/<agent>/tip pins base and result for us
// (one level down, since git would find refs/bulkhead/<run>/<agent> ambiguous with the branch); <common
// dir>/worktrees/bulkhead-<run>-<agent> holds the branch while the agent lives.
std::string agent_branch(std::string_view run, std::string_view agent);          // without refs/heads/
std::string agent_pin(std::string_view run, std::string_view agent);             // full ref name
std::string agent_worktree_entry(std::string_view run, std::string_view agent);  // name below worktrees/

// Places inside the workers' sandboxes. Owner subcommands see git directories at their host paths instead.
namespace worker_place {
inline constexpr std::string_view workspace = "/workspace";  // the agent's overlay
inline constexpr std::string_view base = "/base";            // the base's tree/, read-only
inline constexpr std::string_view tree = "/tree";            // make-base's directory
inline constexpr std::string_view from = "/from";            // copy-tree, read-only
inline constexpr std::string_view to = "/to";                // copy-tree
inline constexpr std::string_view in = "/in";                // a directory with what is read, read-only
inline constexpr std::string_view out = "/out";              // a directory for what is written
}  // namespace worker_place

// What must lie in a fresh upper/.git before the overlay is mounted, so that the workspace stands on its branch at the
// base commit: paths relative to upper, parents before children. Directories 0755, files 0644, owner: uid 1000 of the
// agent's range. (The caller made `upper` and nothing of the agent lives yet, so no link can be in the way.)
struct SeedEntry {
  std::string path;
  bool directory = false;
  std::string content;
  bool operator==(const SeedEntry&) const = default;
};
std::vector<SeedEntry> workspace_seed(std::string_view branch, const ObjectId& base);

// ---- owner -------------------------------------------------------------------------------------------------------

struct WorktreeFact {
  std::string path;    // escaped, for people; compare `branch`
  std::string branch;  // "main"; empty when detached
  bool locked = false;
  bool operator==(const WorktreeFact&) const = default;
};

struct InspectFacts {
  std::string git_dir;     // of this worktree
  std::string common_dir;  // what the other owner subcommands call git_dir; equal to git_dir but in a linked worktree
  std::string top_level;   // empty when bare, and when `repository` is a git directory: then `dirty` is not looked at
  std::string object_format;     // "sha1" or "sha256"
  bool bare = false;             // works: there is only no checkout to be kept from
  bool shallow = false;          // works: agents get the same truncated history
  std::uint64_t submodules = 0;  // gitlinks in the base's tree: their directories stay empty in a workspace
  std::vector<std::string> object_directories;  // borrowed ones (objects/info/alternates, all levels): mount them too
  ObjectId base;                                // peeled to a commit
  ObjectId head;                                // the commit checked out here
  std::string head_branch;                      // "main"; empty when detached
  bool dirty = false;                           // tracked files differ from HEAD: what the base does not hold
  std::uint64_t dirty_files = 0;
  std::vector<WorktreeFact> worktrees;  // at most 64, the main one first
  std::uint64_t worktrees_total = 0;
  // With `target`: where it stands now, empty when it does not exist yet.
  std::string target_ref;  // "refs/heads/main"
  ObjectId target;
  std::string target_checked_out;  // the worktree (escaped) that has it checked out, rebases or bisects it, or empty
  bool target_dirty = false;       // only known when that worktree is this one
  std::string committer_name;      // the user's, or "Bulkhead"
  std::string committer_email;     // the user's, or "bulkhead@localhost"
  bool operator==(const InspectFacts&) const = default;
};

// Reads a repository before anything is made. Identity: owner. Mounts, all read-only: what the owner could see of the
// way to `repository` and of its git directory; simplest is every directory of the host's root, since the identity
// sees no more than the caller does. `config_home` (where .gitconfig and .config/git are looked for, for user.name,
// user.email and safe.directory) likewise. Nothing is written, no index is refreshed.
// Refuses with an own message each: not a git repository, owned by somebody else, no commit yet, unknown revision, a
// revision that is not a commit, a partial clone (objects are missing), an invalid target branch name.
struct InspectRequest {
  using Facts = InspectFacts;
  static constexpr std::string_view subcommand = "inspect";
  std::string repository;   // any directory inside
  std::string base;         // commit-ish
  std::string target;       // branch name, optional
  std::string config_home;  // without it `repository` is a git directory that an inspection with it has named
  bool operator==(const InspectRequest&) const = default;
};

struct PackFacts {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  bool operator==(const PackFacts&) const = default;
};

// Packs what is reachable from `tip` and not from `exclude`. Identity: owner. Mounts: git_dir (and the borrowed
// object_directories) read-only; /out or a descriptor for the pack. For a base: `exclude` empty, and for a shallow
// repository `shallow` names where its boundary is written. For a merged result on its way to verification: tip = the
// merge commit, exclude = {base}.
struct PackRequest {
  using Facts = PackFacts;
  static constexpr std::string_view subcommand = "pack";
  std::string git_dir;  // InspectFacts::common_dir
  ObjectId tip;
  std::vector<ObjectId> exclude;
  Stream pack;
  Stream shallow;  // optional
  bool operator==(const PackRequest&) const = default;
};

struct RegisterFacts {
  ObjectId branch;       // where refs/heads/bulkhead/<run>/<agent> stands: base, or further on when it was there before
  ObjectId pin;          // where agent_pin() stands
  bool created = false;  // false: all of it was there
  bool operator==(const RegisterFacts&) const = default;
};

// Holds the agent's branch: a locked worktree entry whose path is `stub`, the branch and the pin at `base`.
// Idempotent by name: what is there already is kept. Identity: owner. Mounts: git_dir read-write.
// Refuses a branch of that name that is there without our worktree entry (somebody else's).
struct RegisterRequest {
  using Facts = RegisterFacts;
  static constexpr std::string_view subcommand = "register";
  std::string git_dir;
  std::string run;
  std::string agent;
  ObjectId base;
  std::string stub;  // AgentPaths::stub(); need not be visible
  bool operator==(const RegisterRequest&) const = default;
};

enum class RefFate { keep, remove };

struct UnregisterFacts {
  bool entry_removed = false;
  bool branch_removed = false;
  bool pin_removed = false;
  ObjectId branch;  // where the branch stands or stood; empty when there is none
  bool operator==(const UnregisterFacts&) const = default;
};

// Takes the worktree entry away and keeps or removes the branch and the pin. Idempotent. Identity: owner. Mounts:
// git_dir read-write. With `only_if` the branch is removed only while it stands there (an agent that committed nothing
// leaves no branch: only_if = base); elsewhere it is kept, and so is a branch without our pin, which is somebody
// else's. A worktree entry that is not Bulkhead's is refused; where it is another supervisor's, whose run has the same
// name, nothing is done.
struct UnregisterRequest {
  using Facts = UnregisterFacts;
  static constexpr std::string_view subcommand = "unregister";
  std::string git_dir;
  std::string run;
  std::string agent;
  RefFate branch = RefFate::keep;
  RefFate pin = RefFate::keep;
  ObjectId only_if;  // optional
  std::string stub;  // as it was registered with
  bool operator==(const UnregisterRequest&) const = default;
};

struct IngestFacts {
  bool moved = false;  // false: both refs stood at tip already
  std::uint64_t objects = 0;
  bool operator==(const IngestFacts&) const = default;
};

// Takes an agent's commits into the repository: `git index-pack --strict` into a quarantine, tip descends from base,
// everything that tip needs and base does not have is in the pack itself (so a pack cannot name objects of the
// repository that the agent was never given), then the pack joins the repository and branch and pin move from `old` to
// `tip` in one transaction. Identity: owner. Mounts: git_dir read-write; /in or a descriptor for the pack. When
// refused, no object and no ref is left. tip == base needs no pack. The error of a branch that stands elsewhere has
// operation "move branch" and names both values.
struct IngestRequest {
  using Facts = IngestFacts;
  static constexpr std::string_view subcommand = "ingest";
  std::string git_dir;
  std::string run;
  std::string agent;
  ObjectId base;
  ObjectId tip;
  ObjectId old;  // where branch and pin are expected: RegisterFacts::branch, or the tip of the ingest before
  Stream pack;   // optional when tip == base
  bool operator==(const IngestRequest&) const = default;
};

enum class MergeOutcome { already_merged, fast_forward, merged, conflict };

struct MergeFacts {
  MergeOutcome outcome = MergeOutcome::conflict;
  ObjectId commit;                     // what the target would become; empty on conflict
  ObjectId tree;                       // its tree; empty on conflict
  std::vector<std::string> conflicts;  // escaped paths, sorted, bounded
  std::uint64_t conflicts_total = 0;
  std::vector<std::string> messages;  // what git says of each conflict, escaped, bounded
  bool operator==(const MergeFacts&) const = default;
};

// Three-way merge in memory of `tip` into where the target stands. Writes objects, moves no ref. Identity: owner.
// Mounts: git_dir read-write. Merge drivers and attributes of the repository and of the branches are not used.
struct MergePrepareRequest {
  using Facts = MergeFacts;
  static constexpr std::string_view subcommand = "merge-prepare";
  std::string git_dir;
  ObjectId ours;  // the target's commit; for a target that does not exist yet: the base
  ObjectId tip;
  std::string message;
  std::string name;  // of author and committer: InspectFacts::committer_name
  std::string email;
  std::uint64_t time = 0;  // seconds since 1970, so that the same merge has the same id; 0: now
  bool operator==(const MergePrepareRequest&) const = default;
};

struct MergeCommitFacts {
  bool moved = false;  // false: the target stood at `commit` already
  bool operator==(const MergeCommitFacts&) const = default;
};

// Moves the target from `expect_old` (empty: it must not exist) to `commit`, compare-and-swap. Identity: owner. Mounts:
// git_dir read-write. Refuses (operation "merge into") a target that is checked out, rebased or bisected in any
// worktree; a target that stands elsewhere is refused with operation "move branch" and both values.
struct MergeCommitRequest {
  using Facts = MergeCommitFacts;
  static constexpr std::string_view subcommand = "merge-commit";
  std::string git_dir;
  std::string target;   // "refs/heads/main"
  ObjectId expect_old;  // empty: it must not exist
  ObjectId commit;
  std::string reason;  // for the reflog
  std::string name;
  std::string email;
  bool operator==(const MergeCommitRequest&) const = default;
};

// ---- store -------------------------------------------------------------------------------------------------------

struct MakeBaseFacts {
  std::uint64_t files = 0;
  std::uint64_t objects = 0;
  bool operator==(const MakeBaseFacts&) const = default;
};

// Makes the lower directory of every workspace at `base`: a private git directory that holds this pack only, HEAD
// detached at base, and the checkout. Identity: store. Mounts: `tree`, empty, owned by uid 1000 inside, read-write;
// /in or descriptors for pack and shallow. File times lie in the past
// and the index agrees with them, so that git in a workspace rereads nothing. On disk when it answers.
struct MakeBaseRequest {
  using Facts = MakeBaseFacts;
  static constexpr std::string_view subcommand = "make-base";
  Stream pack;
  Stream shallow;  // optional
  ObjectId base;
  std::string object_format;  // InspectFacts::object_format
  std::string tree;           // worker_place::tree
  bool operator==(const MakeBaseRequest&) const = default;
};

struct MaterializeFacts {
  ObjectId tree;
  std::uint64_t changed = 0;  // paths that differ from what was there
  bool operator==(const MaterializeFacts&) const = default;
};

// Makes a fresh workspace (nothing has run in it) hold `commit`: for verifying results and merges, and for a new
// attempt from an agent's commits. Identity: that of who will run in it, uid 1000. Mounts: the overlay workspace at
// /workspace; the base's tree at /base; /in or a descriptor for the pack. With `branch` HEAD stands on it, else it is
// detached. Tags and other refs: none.
struct MaterializeRequest {
  using Facts = MaterializeFacts;
  static constexpr std::string_view subcommand = "materialize";
  std::string workspace;
  std::string base_tree;
  Stream pack;  // optional: the commit's objects beyond the base
  ObjectId commit;
  std::string branch;  // optional, without refs/heads/
  bool operator==(const MaterializeRequest&) const = default;
};

// ---- agent: these read what an agent wrote -----------------------------------------------------------------------
// Mounts: the agent's overlay at /workspace (read-only will do for head and export), the base's tree at /base
// read-only. Nothing of the agent should be alive: what runs meanwhile can only make the answer wrong, not unsafe.
// The agent's configuration, hooks, attributes' drivers, index, replace refs, grafts, alternates and commit graphs are
// not used. The tip is HEAD's commit where the agent stands ahead of or beside `branch`, else `branch`'s.

struct FinishFacts {
  bool committed = false;
  ObjectId tip;                // afterwards
  bool on_branch = true;       // false: the agent left its branch; its HEAD is taken
  std::uint64_t changed = 0;   // files in that last commit
  std::uint64_t left_out = 0;  // uncommitted and not taken: unreadable files, nested repositories, and everything when
                               // HEAD stands behind the branch's own commits
  bool operator==(const FinishFacts&) const = default;
};

// Commits what is uncommitted (.gitignore respected) on top of the tip, as one last commit; /workspace read-write.
struct FinishRequest {
  using Facts = FinishFacts;
  static constexpr std::string_view subcommand = "finish";
  std::string workspace;
  std::string base_tree;
  std::string branch;
  ObjectId base;
  std::string name;  // author and committer
  std::string email;
  std::string message;
  std::uint64_t max_bytes = 1ULL << 30;  // of uncommitted files; more is refused
  bool operator==(const FinishRequest&) const = default;
};

struct HeadFacts {
  ObjectId tip;
  bool on_branch = true;
  bool descends = true;       // from base
  std::uint64_t commits = 0;  // since base
  bool operator==(const HeadFacts&) const = default;
};

// Cheap: where the agent stands. For boundaries.
struct HeadRequest {
  using Facts = HeadFacts;
  static constexpr std::string_view subcommand = "head";
  std::string workspace;
  std::string base_tree;
  std::string branch;
  ObjectId base;
  bool operator==(const HeadRequest&) const = default;
};

struct ChangedPath {
  std::string path;    // escaped: \\, \n, \t, \xNN; injective
  std::string status;  // "A", "M", "D" or "T" (type changed)
  std::string mode;    // the new one: "100644", "100755", "120000" (link), "160000" (submodule); the old one if deleted
  std::uint64_t added = 0;  // lines; 0 when binary
  std::uint64_t removed = 0;
  bool binary = false;
  bool operator==(const ChangedPath&) const = default;
};

struct ExportFacts {
  ObjectId tip;
  bool on_branch = true;
  bool descends = true;       // from base; when false nothing is packed and all below is empty
  std::uint64_t commits = 0;  // base..tip; 0: nothing to import and no pack is written
  std::uint64_t objects = 0;
  std::uint64_t pack_bytes = 0;
  std::vector<ChangedPath> paths;  // base against tip, bounded; the totals are exact
  std::uint64_t paths_total = 0;
  std::uint64_t added_total = 0;
  std::uint64_t removed_total = 0;
  bool operator==(const ExportFacts&) const = default;
};

// Packs the agent's commits (base..tip) and checks the pack in a clean repository that has only the base:
// `git index-pack --strict`. /out or a descriptor (seekable, opened read-write) for the pack. /tmp must hold the pack.
struct ExportRequest {
  using Facts = ExportFacts;
  static constexpr std::string_view subcommand = "export";
  std::string workspace;
  std::string base_tree;
  std::string branch;
  ObjectId base;
  Stream pack;
  std::uint64_t max_bytes = 1ULL << 30;  // of the pack
  std::uint64_t max_paths = 256;         // listed; fewer when their names are long
  bool operator==(const ExportRequest&) const = default;
};

struct CopyTreeFacts {
  std::uint64_t files = 0;  // regular files
  std::uint64_t directories = 0;
  std::uint64_t links = 0;       // symbolic
  std::uint64_t whiteouts = 0;   // character devices 0:0, overlay's deletions
  std::uint64_t hard_links = 0;  // further names of a file counted above
  std::uint64_t fifos = 0;       // made anew, empty
  std::uint64_t bytes = 0;       // data copied; holes and shared extents are not counted twice
  std::uint64_t skipped = 0;     // sockets and devices
  std::uint64_t vanished = 0;    // gone or replaced while they were copied (the agent lives)
  bool operator==(const CopyTreeFacts&) const = default;
};

// For checkpoint and restore: the contents of `from` into the empty directory `to`, with modes (setuid, setgid
// stripped), times, owners (as inside root), hard links, holes, whiteouts and user.overlay.* attributes; no link is
// followed, no file system crossed, other attributes dropped. Identity: agent, inside-root with CAP_DAC_OVERRIDE,
// CAP_FOWNER, CAP_CHOWN (an agent's files may have mode 0); it works as uid 1000 for a tree that this uid can read.
// Mounts: the two directories, at /from (read-only) and /to. When a bound is passed it fails and leaves what it copied:
// remove it.
struct CopyTreeRequest {
  using Facts = CopyTreeFacts;
  static constexpr std::string_view subcommand = "copy-tree";
  std::string from;
  std::string to;
  std::vector<std::string> exclude;  // paths relative to `from`, exact, with all below: ".cache"
  std::uint64_t max_bytes = 1ULL << 40;
  std::uint64_t max_files = 10'000'000;  // entries of any kind
  bool operator==(const CopyTreeRequest&) const = default;
};

struct RemoveTreeFacts {
  std::uint64_t removed = 0;  // entries of any kind
  bool operator==(const RemoveTreeFacts&) const = default;
};

// Empties `directory` (which stays): whatever the modes, however deep, following no link, crossing no mount. Identity:
// agent (or store), inside-root with CAP_DAC_OVERRIDE and CAP_FOWNER: overlay's work directory belongs to inside root.
// Mounts: the directory, read-write.
struct RemoveTreeRequest {
  using Facts = RemoveTreeFacts;
  static constexpr std::string_view subcommand = "remove-tree";
  std::string directory;
  bool operator==(const RemoveTreeRequest&) const = default;
};

// ---- of an explained run -----------------------------------------------------------------------------------------

// What the host has of paths that an agent's command missed: they are the agent's choice, so only this looks at them.
// Identity: owner, whose own rights bound what is seen. Mounts, all read-only: every directory of the host's root. The
// answer is bounded; `paths` holds absolute paths, each ended by NUL.
struct HostLookRequest {
  using Facts = HostLook;
  static constexpr std::string_view subcommand = "host-look";
  Stream paths;
  bool operator==(const HostLookRequest&) const = default;
};

// ---- images (supervisor/image) ------------------------------------------------------------------------------------
// Identity: an own uid range that no other sandbox ever has (LauncherClient::acquire_range), uid 1000. Mounts: the OCI
// image layout at /in, read-only.

struct SelectImageFacts {
  std::string digest;  // "sha256:…", of a manifest for this architecture
  bool operator==(const SelectImageFacts&) const = default;
};

// Which image of a layout is meant: see choose_manifest().
struct SelectImageRequest {
  using Facts = SelectImageFacts;
  static constexpr std::string_view subcommand = "select-image";
  std::string layout;
  std::string reference;     // optional
  std::string digest;        // optional: of a manifest or an index
  std::string architecture;  // "amd64": Go's names
  bool operator==(const SelectImageRequest&) const = default;
};

enum class ImageAttributes { drop, user };  // extended attributes: none, or those in user.*

struct UnpackImageFacts {
  std::vector<std::string> environment;  // "NAME=value", of the image's configuration
  std::uint64_t layers = 0;
  std::uint64_t bytes = 0;     // of all files of all layers, and of attributes that are kept
  std::uint64_t entries = 0;   // of all layers
  std::uint64_t left_out = 0;  // device nodes, pipes, sockets
  bool operator==(const UnpackImageFacts&) const = default;
};

// Makes the root file system of the manifest `digest` in the empty directory `tree`, mounted read-write and owned by
// uid 1000 inside: see ImageTree. On disk when it answers. When it fails it leaves what it made: remove it.
struct UnpackImageRequest {
  using Facts = UnpackImageFacts;
  static constexpr std::string_view subcommand = "unpack-image";
  std::string layout;
  std::string digest;
  std::string architecture;
  std::string tree;
  ImageAttributes attributes = ImageAttributes::drop;
  std::uint64_t max_bytes = 0;
  std::uint64_t max_entries = 0;
  bool operator==(const UnpackImageRequest&) const = default;
};

// ---- both ways ---------------------------------------------------------------------------------------------------
// Instantiated in worker_protocol.cpp for every request and facts type above.

// facts_fd < 0: the answer goes to stdout.
template <class Request>
std::vector<std::string> worker_argv(const Request& request, int facts_fd = -1);

// The worker's side: arguments after the subcommand, without --facts-fd. Refuses unknown, repeated, missing and
// malformed options.
template <class Request>
Result<Request> parse_worker_request(std::span<const std::string> options);

// Refuses unknown, missing and malformed members and anything past its bound.
template <class Facts>
Result<Facts> parse_worker_facts(std::string_view json);

template <class Facts>
std::string worker_facts_json(const Facts& facts);
std::string worker_error_json(const Error& error);

}  // namespace bulkhead
