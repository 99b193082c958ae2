// How something ended, in one sentence for a person. Parts that came from elsewhere are not made printable here.
#pragma once

#include <string>

#include "supervisor/core/lifecycle/events.h"

namespace bulkhead {

std::string describe(const AttemptEnded& ended);       // "the command exited with status 3"
std::string describe(const VerificationEnded& ended);  // "'pass' failed on the result: exited with status 1"
std::string signal_name(int signal);                   // "SIGKILL"

}  // namespace bulkhead
