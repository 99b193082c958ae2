// What a helper process of the launcher answers it with: descriptors of what it made, or why it could not, whole.
#pragma once

#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/sys/channel.h"

namespace bulkhead {

// In the helper: `made` is what goes along when all went well. False: nobody hears it.
bool answer_with(const Channel& launcher, const Result<>& done, const std::vector<int>& made);
// In the launcher, blocking: the descriptors, `count` of them. A helper that died without a word is an error, too.
Result<std::vector<Fd>> hear_answer(const Channel& helper, std::size_t count);

}  // namespace bulkhead
