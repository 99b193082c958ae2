// Packs what an agent committed, and believes none of it before git has checked the pack where only the base is known.
#include <fcntl.h>

#include "sandbox/sys/files.h"
#include "supervisor/worker/changed_paths.h"
#include "supervisor/worker/streams.h"
#include "supervisor/worker/subcommands.h"
#include "supervisor/worker/workspace_reader.h"

namespace bulkhead {
namespace {

struct Packed {
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
};

Result<Packed> write_pack(const Git& git, const ExportRequest& request, const ObjectId& tip, const std::string& path) {
  BULKHEAD_ASSIGN(const Fd out, open_output(path));
  PackWriter writer(out.get(), request.max_bytes);
  const std::string revisions = tip + "\n^" + request.base + "\n";
  BULKHEAD_TRY(git.must("pack", tip, {"pack-objects", "--revs", "--stdout", "--delta-base-offset", "-q"},
                        {.input = revisions, .sink = [&](std::string_view chunk) { return writer.write(chunk); }}));
  BULKHEAD_ASSIGN(const std::uint64_t objects, writer.objects());
  return Packed{.objects = objects, .bytes = writer.bytes()};
}

}  // namespace

Result<ExportFacts> export_agent(const ExportRequest& request) {
  BULKHEAD_ASSIGN(const WorkspaceReader reader, WorkspaceReader::open(request.workspace, request.base_tree,
                                                                      request.base, WorkspaceReader::Objects::read));
  BULKHEAD_ASSIGN(const WorkspaceReader::Tip tip, reader.tip(request.branch));
  ExportFacts facts{.tip = tip.commit, .on_branch = tip.on_branch};
  if (tip.commit == request.base) return facts;
  BULKHEAD_ASSIGN(facts.descends, reader.is_ancestor(request.base, tip.commit));
  if (!facts.descends) return facts;

  CleanOptions options{.object_format = object_format_of(request.base),
                       .borrow = {request.base_tree + "/.git/objects"},
                       .trust = Trust::agent};
  BULKHEAD_ASSIGN(options.shallow, shallow_of_base(request.base_tree));
  BULKHEAD_ASSIGN(const CleanRepository clean, CleanRepository::make(options));
  const std::string path = clean.objects() + "/pack/pack-agent.pack";
  BULKHEAD_ASSIGN(const Packed packed, write_pack(reader.git(), request, tip.commit, path));

  // From here on nothing of the agent's is read but the pack. All facts are those of what the pack holds.
  const Git& git = clean.git();
  BULKHEAD_TRY(git.must("check", "the agent's commits", {"index-pack", "--strict", path}));
  BULKHEAD_ASSIGN(const std::string type, git.line("read", tip.commit, {"cat-file", "-t", tip.commit}));
  if (type != "commit") return fail("check", "the agent's commits", tip.commit + " is not a commit");
  BULKHEAD_ASSIGN(facts.descends,
                  git.ask("compare history of", tip.commit, {"merge-base", "--is-ancestor", request.base, tip.commit}));
  if (!facts.descends) return facts;
  BULKHEAD_ASSIGN(facts.commits, count_commits(git, request.base, tip.commit));
  BULKHEAD_ASSIGN(Changes changes, changed_paths(git, request.base, tip.commit, request.max_paths));
  facts.objects = packed.objects;
  facts.pack_bytes = packed.bytes;
  facts.paths = std::move(changes.paths);
  facts.paths_total = changes.total;
  facts.added_total = changes.added;
  facts.removed_total = changes.removed;

  BULKHEAD_ASSIGN(const Fd from, open_file(path, O_RDONLY));
  BULKHEAD_ASSIGN(const Fd to, open_output(request.pack));
  BULKHEAD_TRY(copy_all(from.get(), to.get()));
  return facts;
}

}  // namespace bulkhead
