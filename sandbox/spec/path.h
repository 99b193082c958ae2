// A path inside a sandbox: absolute, normalised, and unable to hold "..", ".", empty parts or NUL.
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "sandbox/base/result.h"

namespace bulkhead {

class SandboxPath {
 public:
  SandboxPath() = default;  // "/"
  static Result<SandboxPath> parse(std::string_view text);

  const std::string& str() const { return path_; }
  bool is_root() const { return path_ == "/"; }
  bool is_below(const SandboxPath& parent) const;  // strictly
  SandboxPath parent() const;
  auto operator<=>(const SandboxPath&) const = default;

 private:
  std::string path_ = "/";
};

}  // namespace bulkhead
