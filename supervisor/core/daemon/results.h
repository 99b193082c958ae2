// What is made of an attempt's result: import, verification, merge.
#pragma once

#include "supervisor/core/daemon/run_context.h"

namespace bulkhead {

Async<Imported> import_work(RunContext& run, Import action);
boost::asio::awaitable<VerificationEnded> verify(RunContext& run, Verify action);
// Journals merge_prepared, merge_conflict or merge_refused.
boost::asio::awaitable<void> prepare_merge(RunContext& run, PrepareMerge action);
// Journals merged, merge_stale or merge_refused.
boost::asio::awaitable<void> merge(RunContext& run, Merge action);

}  // namespace bulkhead
