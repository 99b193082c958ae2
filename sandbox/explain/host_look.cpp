#include "sandbox/explain/host_look.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <optional>
#include <string_view>

#include "sandbox/base/text.h"
#include "sandbox/explain/view.h"
#include "sandbox/sys/fd.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr std::size_t kMostLinks = 40;  // as the kernel's

// Step by step, so that each link is seen. Nothing where the host has none such.
struct Walk {
  std::string end;
  std::vector<std::string> links;
  struct stat status{};
  bool hidden = false;
};

std::optional<Walk> walk(const std::string& wanted) {
  std::deque<std::string> parts;
  for (std::string& part : split(wanted, '/')) parts.push_back(std::move(part));
  Walk walk;
  std::string at = "/";
  const auto look = [&](const std::string& path) {
    if (::lstat(path.c_str(), &walk.status) == 0) return true;
    walk.hidden = errno == EACCES;
    walk.end = parent_of(path);
    return false;
  };
  const auto nothing = [&] { return walk.hidden ? std::optional(walk) : std::nullopt; };
  if (!look("/")) return nothing();
  while (!parts.empty()) {
    const std::string part = std::move(parts.front());
    parts.pop_front();
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      at = parent_of(at);
      if (!look(at)) return nothing();
      continue;
    }
    const std::string next = (at == "/" ? "" : at) + "/" + part;
    if (!look(next)) return nothing();
    if (!S_ISLNK(walk.status.st_mode)) {
      at = next;
      continue;
    }
    char target[4096];
    const ssize_t n = ::readlink(next.c_str(), target, sizeof target);
    if (n <= 0 || walk.links.size() == kMostLinks) return std::nullopt;
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

// What a reader could be fooled by is nothing to propose, and one such name would have the whole answer refused.
bool is_plain_text(const std::string& name) { return printable(name, name.size()) == name; }

HostKind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return HostKind::file;
  if (S_ISDIR(mode)) return HostKind::directory;
  return S_ISSOCK(mode) ? HostKind::socket : HostKind::other;
}

// Lines of a file of the kernel's, without its head.
std::vector<std::string> table(const char* path) {
  std::vector<std::string> lines = split(read_file(path).value_or(""), '\n');
  if (!lines.empty()) lines.erase(lines.begin());
  return lines;
}

// "  0: 0100007F:0050 00000000:0000 0A …": number, local address, remote address, state.
void add_ports(std::set<std::uint16_t>& ports, const char* path, std::string_view state) {
  for (const std::string& line : table(path)) {
    std::vector<std::string> words = split(line, ' ');
    std::erase(words, "");
    if (words.size() < 4 || (!state.empty() && words[3] != state)) continue;
    const std::string_view port = std::string_view(words[1]).substr(words[1].find(':') + 1);
    std::uint16_t number = 0;
    if (std::from_chars(port.data(), port.data() + port.size(), number, 16).ec == std::errc()) ports.insert(number);
  }
}

}  // namespace

HostLook look_at_host(const std::vector<std::string>& paths) {
  HostLook look;
  std::size_t bytes = 0;
  std::deque<std::string> wanted(paths.begin(), paths.end());
  std::set<std::string> known(paths.begin(), paths.end());
  while (!wanted.empty()) {
    const std::string path = std::move(wanted.front());
    wanted.pop_front();
    if (!path.starts_with('/') || path.size() > 1024 || !is_plain_text(path)) continue;
    const auto found = walk(path);
    if (!found) continue;
    HostPath there{.wanted = path, .end = found->end, .links = found->links};
    if (!is_plain_text(there.end) || !std::ranges::all_of(there.links, is_plain_text)) continue;
    const mode_t mode = found->status.st_mode;
    const mode_t needed = S_ISDIR(mode) ? S_IROTH | S_IXOTH : S_IROTH;
    there.kind = found->hidden ? HostKind::hidden : kind_of(mode);
    there.for_everybody = !found->hidden && (mode & needed) == needed;
    if (there.kind == HostKind::file && (mode & S_IXOTH) != 0 && there.for_everybody) {
      there.interpreter = interpreter_of(there.end);
      if (!is_plain_text(there.interpreter)) there.interpreter.clear();
      if (there.interpreter.starts_with('/') && known.insert(there.interpreter).second)
        wanted.push_front(there.interpreter);
    }
    const auto told = [](const std::string& text) {  // as JSON, where a byte may become six
      return 8 + text.size() + 5 * static_cast<std::size_t>(std::ranges::count_if(text, [](char c) {
                                 return static_cast<unsigned char>(c) < ' ' || c == '"' || c == '\\' || c == '\x7f';
                               }));
    };
    std::size_t size = 100 + told(there.wanted) + told(there.end) + told(there.interpreter);
    for (const std::string& link : there.links) size += told(link);
    if (look.paths.size() == kMostHostPaths || bytes + size > kMostHostPathBytes) {
      look.more = true;
      break;
    }
    bytes += size;
    look.paths.push_back(std::move(there));
  }
  return look;
}

HostNames names_of_host() {
  HostNames names;
  for (const char* path : {"/proc/net/tcp", "/proc/net/tcp6"}) add_ports(names.tcp, path, "0A");  // TCP_LISTEN
  for (const char* path : {"/proc/net/udp", "/proc/net/udp6"}) add_ports(names.udp, path, "");
  for (const std::string& line : table("/proc/net/unix")) {
    const bool listens = line.find(" 00010000 ") != std::string::npos;  // SO_ACCEPTCON
    if (const auto at = line.find(" @"); at != std::string::npos) names.abstract.insert(line.substr(at + 2));
    if (const auto at = line.find(" /"); listens && at != std::string::npos) names.sockets.insert(line.substr(at + 1));
  }
  for (std::string& device : list_directory("/dev").value_or(std::vector<std::string>{}))
    names.devices.insert(std::move(device));
  return names;
}

}  // namespace bulkhead
