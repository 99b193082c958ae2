// The policy a benchmark runs under, from its file and that of its seccomp profile.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>

#include "sandbox/spec/spec.h"

namespace bulkhead {

inline Result<SandboxSpec> read_spec(const char* policy, const char* profile) {
  nlohmann::json documents[2];
  for (int i = 0; i < 2; ++i) {
    const char* path = i == 0 ? policy : profile;
    std::ifstream file(path);
    documents[i] = nlohmann::json::parse(file, nullptr, false);
    if (documents[i].is_discarded()) return fail("read", path, "no JSON document");
  }
  return SandboxSpec::from_policy(documents[0], {{"default", documents[1]}});
}

}  // namespace bulkhead
