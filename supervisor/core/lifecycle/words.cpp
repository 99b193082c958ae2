#include "supervisor/core/lifecycle/words.h"

#include <array>
#include <utility>

namespace bulkhead {

namespace {

template <class E>
using Words = std::initializer_list<std::pair<E, std::string_view>>;

template <class E>
std::string_view find_word(Words<E> words, E value) {
  for (const auto& [known, text] : words)
    if (known == value) return text;
  return {};
}

template <class E>
bool find_value(Words<E> words, std::string_view text, E& value) {
  for (const auto& [known, word] : words)
    if (word == text) return value = known, true;
  return false;
}

constexpr Words<CheckpointKind> kCheckpointKinds = {
    {CheckpointKind::commit, "commit"}, {CheckpointKind::timer, "timer"}, {CheckpointKind::result, "result"}};
constexpr Words<VerifyStage> kStages = {
    {VerifyStage::base, "base"}, {VerifyStage::result, "result"}, {VerifyStage::merged, "merged"}};
constexpr Words<VerifyKind> kKinds = {
    {VerifyKind::pass, "pass"}, {VerifyKind::fail_to_pass, "fail_to_pass"}, {VerifyKind::pass_to_pass, "pass_to_pass"}};
constexpr Words<AgentOutcome> kAgentOutcomes = {{AgentOutcome::done, "done"},
                                                {AgentOutcome::failed, "failed"},
                                                {AgentOutcome::conflict, "conflict"},
                                                {AgentOutcome::cancelled, "cancelled"}};
constexpr Words<RunOutcome> kRunOutcomes = {{RunOutcome::done, "done"},
                                            {RunOutcome::failed, "failed"},
                                            {RunOutcome::conflict, "conflict"},
                                            {RunOutcome::cancelled, "cancelled"},
                                            {RunOutcome::fault, "fault"}};

}  // namespace

std::string_view word(CheckpointKind value) { return find_word(kCheckpointKinds, value); }
std::string_view word(VerifyStage value) { return find_word(kStages, value); }
std::string_view word(VerifyKind value) { return find_word(kKinds, value); }
std::string_view word(AgentOutcome value) { return find_word(kAgentOutcomes, value); }
std::string_view word(RunOutcome value) { return find_word(kRunOutcomes, value); }
std::string_view word(EndReason value) { return name(value); }

bool from_word(std::string_view text, CheckpointKind& value) { return find_value(kCheckpointKinds, text, value); }
bool from_word(std::string_view text, VerifyStage& value) { return find_value(kStages, text, value); }
bool from_word(std::string_view text, VerifyKind& value) { return find_value(kKinds, text, value); }
bool from_word(std::string_view text, AgentOutcome& value) { return find_value(kAgentOutcomes, text, value); }
bool from_word(std::string_view text, RunOutcome& value) { return find_value(kRunOutcomes, text, value); }
bool from_word(std::string_view text, EndReason& value) {
  const Result<EndReason> reason = parse_end_reason(text);
  if (reason) value = *reason;
  return reason.has_value();
}

}  // namespace bulkhead
