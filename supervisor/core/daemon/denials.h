// What an attempt was refused, for the journal: explained where its task says so, else what is seen in every sandbox.
#pragma once

#include "supervisor/core/daemon/run_context.h"

namespace bulkhead {

// Events of one attempt; what is beyond is counted in one more.
inline constexpr std::size_t kMostJournaledDenials = 64;

// `observations`: the file that init noted in, empty where it was not observed. Looks at the host through a worker.
boost::asio::awaitable<void> note_denials(RunContext& run, std::string agent, unsigned attempt, ExitRecord record,
                                          LaunchPlan plan, std::string observations);

}  // namespace bulkhead
