// The small enumerations of the lifecycle and their words in the journal.
#pragma once

#include <string_view>

#include "sandbox/launch/exit_record.h"

namespace bulkhead {

enum class CheckpointKind { commit, timer, result };
enum class VerifyStage { base, result, merged };
enum class VerifyKind { pass, fail_to_pass, pass_to_pass };
// conflict: the work is good alone and could not be merged; its branch is kept.
enum class AgentOutcome { done, failed, conflict, cancelled };
// fault: Bulkhead itself could not do its part, or an invariant broke.
enum class RunOutcome { done, failed, conflict, cancelled, fault };

std::string_view word(CheckpointKind value);
std::string_view word(VerifyStage value);
std::string_view word(VerifyKind value);
std::string_view word(AgentOutcome value);
std::string_view word(RunOutcome value);
std::string_view word(EndReason value);
bool from_word(std::string_view text, CheckpointKind& value);
bool from_word(std::string_view text, VerifyStage& value);
bool from_word(std::string_view text, VerifyKind& value);
bool from_word(std::string_view text, AgentOutcome& value);
bool from_word(std::string_view text, RunOutcome& value);
bool from_word(std::string_view text, EndReason& value);

}  // namespace bulkhead
