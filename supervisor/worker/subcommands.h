// What the worker can do: one function for each request of worker_protocol.h, which says what each is for, what it
// expects mounted, and what it refuses.
#pragma once

#include "sandbox/base/result.h"
#include "supervisor/core/workspaces/worker_protocol.h"

namespace bulkhead {

Result<InspectFacts> inspect(const InspectRequest& request);
Result<PackFacts> pack(const PackRequest& request);
Result<RegisterFacts> register_agent(const RegisterRequest& request);
Result<UnregisterFacts> unregister_agent(const UnregisterRequest& request);
Result<IngestFacts> ingest(const IngestRequest& request);
Result<MergeFacts> merge_prepare(const MergePrepareRequest& request);
Result<MergeCommitFacts> merge_commit(const MergeCommitRequest& request);
Result<MakeBaseFacts> make_base(const MakeBaseRequest& request);
Result<MaterializeFacts> materialize(const MaterializeRequest& request);
Result<FinishFacts> finish(const FinishRequest& request);
Result<HeadFacts> head(const HeadRequest& request);
Result<ExportFacts> export_agent(const ExportRequest& request);
Result<CopyTreeFacts> copy_tree(const CopyTreeRequest& request);
Result<HostLook> host_look(const HostLookRequest& request);
Result<RemoveTreeFacts> remove_tree_contents(const RemoveTreeRequest& request);
Result<SelectImageFacts> select_image(const SelectImageRequest& request);
Result<UnpackImageFacts> unpack_image(const UnpackImageRequest& request);

}  // namespace bulkhead
