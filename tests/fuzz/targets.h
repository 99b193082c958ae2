// What is fuzzed: each target is given any bytes, says whether they are what it reads, and throws std::logic_error
// where an invariant does not hold. The fuzzer (entry.cpp) and the replay of the corpus in every build
// (replay_test.cpp) call the same functions.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace bulkhead::fuzz {

bool policy(std::string_view input);           // a policy, as JSON
bool config(std::string_view input);           // a file that a person wrote, as YAML and as JSON
bool seccomp_profile(std::string_view input);  // an OCI profile, as JSON, through both compilers
bool seccomp_rules(std::string_view input);    // a checked profile drawn from bytes, through both compilers
bool plan(std::string_view input);             // an encoded plan
bool init_record(std::string_view input);      // what init's descriptor holds
bool observed(std::string_view input);         // what init notes of an observed sandbox
bool image_layers(std::string_view input);     // two layers of an image

inline void require(bool holds, const std::string& what) {
  if (!holds) throw std::logic_error(what);
}

}  // namespace bulkhead::fuzz
