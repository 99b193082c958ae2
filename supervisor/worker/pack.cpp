// Packs what is reachable from one commit and not from others: bases on their way to the store, results on their way
// to verification.
#include "sandbox/sys/files.h"
#include "supervisor/worker/owner_repository.h"
#include "supervisor/worker/streams.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {

Result<PackFacts> pack(const PackRequest& request) {
  BULKHEAD_ASSIGN(const OwnerRepository repository, OwnerRepository::open(request.git_dir));
  BULKHEAD_ASSIGN(const CleanRepository clean,
                  repository.clean(object_format_of(request.tip), OwnerRepository::Objects::read));

  std::string revisions = request.tip + "\n";
  for (const ObjectId& excluded : request.exclude) revisions += "^" + excluded + "\n";

  BULKHEAD_ASSIGN(const Fd out, open_output(request.pack));
  PackWriter writer(out.get(), UINT64_MAX);
  // No --thin: the pack stands alone but for whole objects that the other side has. Deltas that are there are copied;
  // a search for others takes longer than everything else.
  BULKHEAD_TRY(clean.git().must(
      "pack", request.tip, {"pack-objects", "--revs", "--stdout", "--delta-base-offset", "--window=0", "-q"},
      {.input = revisions, .sink = [&](std::string_view chunk) { return writer.write(chunk); }}));
  if (!request.shallow.empty()) {
    BULKHEAD_ASSIGN(const Fd shallow, open_output(request.shallow));
    if (exists(request.git_dir + "/shallow")) {
      BULKHEAD_ASSIGN(const std::string boundary, read_file(request.git_dir + "/shallow"));
      BULKHEAD_TRY(write_all(shallow.get(), boundary, request.shallow));
    }
  }
  BULKHEAD_ASSIGN(const std::uint64_t objects, writer.objects());
  return PackFacts{.objects = objects, .bytes = writer.bytes()};
}

}  // namespace bulkhead
