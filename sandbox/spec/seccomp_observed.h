// What of a profile's refusals observed() (seccomp_profile.h) can make visible.
#pragma once

#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead {

// Whether what the profile's default refuses is told to the listener. Not where a call that the listener cannot do
// without is allowed under conditions alone: its other uses are the default's too, and must not wait for the listener.
bool tells_refusals(const SeccompProfile& profile);

}  // namespace bulkhead
