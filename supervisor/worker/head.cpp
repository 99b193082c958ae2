// Where an agent stands: for boundaries.
#include "supervisor/worker/subcommands.h"
#include "supervisor/worker/workspace_reader.h"

namespace bulkhead {

Result<HeadFacts> head(const HeadRequest& request) {
  {
    // The usual answer, nothing new, needs no git.
    BULKHEAD_ASSIGN(const WorkspaceRefs refs, WorkspaceRefs::open(request.workspace));
    BULKHEAD_ASSIGN(const WorkspaceRefs::Head head, refs.head());
    if (head.ref == "refs/heads/" + request.branch && head.commit == request.base)
      return HeadFacts{.tip = request.base};
  }
  BULKHEAD_ASSIGN(const WorkspaceReader reader, WorkspaceReader::open(request.workspace, request.base_tree,
                                                                      request.base, WorkspaceReader::Objects::read));
  BULKHEAD_ASSIGN(const WorkspaceReader::Tip tip, reader.tip(request.branch));
  HeadFacts facts{.tip = tip.commit, .on_branch = tip.on_branch};
  BULKHEAD_ASSIGN(facts.descends, reader.is_ancestor(request.base, tip.commit));
  if (facts.descends) {
    BULKHEAD_ASSIGN(facts.commits, reader.count(request.base, tip.commit));
  }
  return facts;
}

}  // namespace bulkhead
