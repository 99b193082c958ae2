#include "sandbox/spec/path.h"

#include <climits>

#include "sandbox/base/text.h"

namespace bulkhead {

Result<SandboxPath> SandboxPath::parse(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return fail("read path", "'" + printable(text, 200) + "'", std::string(why));
  };
  if (text.empty() || text.front() != '/') return refuse("is not an absolute path");
  if (text.size() >= PATH_MAX) return refuse("is longer than the kernel takes");
  if (text.find('\0') != std::string_view::npos) return refuse("holds a NUL character");
  std::string normal;
  for (const std::string& part : split(text, '/')) {
    if (part.empty()) continue;  // "//" and a "/" at the end mean nothing
    if (part == "." || part == "..") return refuse("holds '" + part + "'");
    if (part.size() > NAME_MAX) return refuse("has a name longer than the kernel takes");
    normal += "/" + part;
  }
  SandboxPath path;
  if (!normal.empty()) path.path_ = std::move(normal);
  return path;
}

bool SandboxPath::is_below(const SandboxPath& parent) const {
  if (parent.is_root()) return !is_root();
  return path_.size() > parent.path_.size() && path_.starts_with(parent.path_) && path_[parent.path_.size()] == '/';
}

SandboxPath SandboxPath::parent() const {
  SandboxPath up;
  const std::size_t slash = path_.rfind('/');
  if (slash != 0) up.path_ = path_.substr(0, slash);
  return up;
}

}  // namespace bulkhead
