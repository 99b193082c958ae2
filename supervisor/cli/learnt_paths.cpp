#include "supervisor/cli/learnt_paths.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string_view>

#include "sandbox/base/text.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {
namespace {

constexpr int kMostLinks = 40;  // as the kernel's

bool within(const std::string& path, const std::string& top) {
  return path == top || top == "/" || (path.starts_with(top) && path[top.size()] == '/');
}

const MountSpec* cover(const SandboxSpec& spec, const std::string& path) {
  const auto at = std::ranges::find_if(spec.mounts(), [&](const MountSpec& m) { return within(path, m.target.str()); });
  return at == spec.mounts().end() ? nullptr : &*at;
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

// The path with no link in it, and the links that were met on the way; empty where the host has none such.
struct Walk {
  std::string end;
  std::vector<std::string> links;
  struct stat status{};
};

Walk walk(const std::string& wanted) {
  std::deque<std::string> parts;
  for (std::string& part : split(wanted, '/')) parts.push_back(std::move(part));
  Walk walk;
  std::string at = "/";
  if (::lstat("/", &walk.status) != 0) return {};
  while (!parts.empty()) {
    const std::string part = std::move(parts.front());
    parts.pop_front();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      at = parent_of(at);
      if (::lstat(at.c_str(), &walk.status) != 0) return {};
      continue;
    }
    const std::string next = (at == "/" ? "" : at) + "/" + part;
    if (::lstat(next.c_str(), &walk.status) != 0) return {};
    if (!S_ISLNK(walk.status.st_mode)) {
      at = next;
      continue;
    }
    char target[4096];
    const ssize_t n = ::readlink(next.c_str(), target, sizeof target);
    if (n <= 0 || walk.links.size() == kMostLinks) return {};
    walk.links.push_back(next);
    if (target[0] == '/') at = "/";
    const auto more = split(std::string_view(target, static_cast<std::size_t>(n)), '/');
    parts.insert(parts.begin(), more.begin(), more.end());
  }
  walk.end = at;
  return walk;
}

// What the kernel executes in a program's stead: behind "#!", or a PT_INTERP of a 64-bit ELF file. Empty where that
// cannot be told.
std::string interpreter_of(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  char head[4096];
  const ssize_t got = file.valid() ? ::pread(file.get(), head, sizeof head, 0) : -1;
  if (got < 4) return {};
  const std::string_view text(head, static_cast<std::size_t>(got));
  if (text.starts_with("#!")) {
    const auto begin = text.find_first_not_of(" \t", 2);
    if (begin == std::string_view::npos) return {};
    return std::string(text.substr(begin, text.find_first_of(" \t\n", begin) - begin));
  }
  Elf64_Ehdr elf;
  if (text.size() < sizeof elf || !text.starts_with(ELFMAG) || head[EI_CLASS] != ELFCLASS64) return {};
  std::memcpy(&elf, head, sizeof elf);
  if (elf.e_phentsize != sizeof(Elf64_Phdr)) return {};
  for (unsigned i = 0; i < elf.e_phnum; ++i) {
    Elf64_Phdr part;
    const auto at = static_cast<off_t>(elf.e_phoff + i * sizeof part);
    if (::pread(file.get(), &part, sizeof part, at) != static_cast<ssize_t>(sizeof part)) return {};
    if (part.p_type != PT_INTERP) continue;
    std::string name(std::min<std::size_t>(part.p_filesz, sizeof head), '\0');
    const ssize_t n = ::pread(file.get(), name.data(), name.size(), static_cast<off_t>(part.p_offset));
    if (n <= 0) return {};
    return name.substr(0, name.find('\0'));
  }
  return {};
}

// Why what is there is not for a program to propose; empty where it is.
std::string objection(const std::string& path, const struct stat& status, const SandboxSpec& spec) {
  const mode_t mode = status.st_mode;
  if (!S_ISREG(mode) && !S_ISDIR(mode)) return "neither a file nor a directory: it leads to something of the host";
  for (const char* kernel : {"/proc", "/sys", "/dev"})
    if (within(path, kernel)) return "every sandbox has its own";
  if (utf8_prefix(path) != path.size()) return "its name is no UTF-8, a policy cannot hold it";
  if (S_ISDIR(mode) && parent_of(path) == "/") return "all of a top-level directory; name what is needed of it";
  if (!spec.root_directory().empty()) return "the root is a directory that the policy names: put it there";
  if (std::ranges::any_of(spec.mounts(), [&](const MountSpec& m) { return within(m.target.str(), path); }))
    return "the policy mounts something below it";
  const mode_t needed = S_ISDIR(mode) ? S_IROTH | S_IXOTH : S_IROTH;
  return (mode & needed) == needed ? "" : "not everybody may read it";
}

}  // namespace

PathVerdict judge_path(const std::string& wanted, const SandboxSpec& spec) {
  const Walk found = walk(wanted);
  if (found.end.empty()) return {};
  PathVerdict verdict;
  if (S_ISREG(found.status.st_mode) && (found.status.st_mode & S_IXOTH) != 0)
    verdict.interpreter = interpreter_of(found.end);
  // A sandbox without the link finds the path by no other name.
  for (const std::string& link : found.links)
    if (cover(spec, link) == nullptr) verdict.mounts.push_back(link);
  if (cover(spec, found.end) != nullptr) {
    // A path in a tmpfs of the sandbox's own is its own business, whatever the host has of that name.
    return verdict;
  }
  if (std::string why = objection(found.end, found.status, spec); !why.empty())
    return {.mounts = {}, .interpreter = {}, .path = found.end, .reason = std::move(why)};
  verdict.mounts.push_back(found.end);
  return verdict;
}

}  // namespace bulkhead
