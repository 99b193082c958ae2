#include "sandbox/host/host_facts.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <set>
#include <sstream>

#include "sandbox/base/shortage.h"
#include "sandbox/base/text.h"
#include "sandbox/host/landlock_abi.h"
#include "sandbox/spec/device_names.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

struct CgroupMounts {
  std::string v2;                         // mount point of the cgroup2 file system
  std::map<std::string, std::string> v1;  // controller -> mount point
};

// proc_pid_mountinfo(5): "… mountpoint opts … - fstype source superopts"
CgroupMounts read_mounts(const std::string& mountinfo) {
  CgroupMounts mounts;
  std::istringstream lines(mountinfo);
  for (std::string line; std::getline(lines, line);) {
    const auto fields = split(line, ' ');
    std::size_t dash = 0;
    while (dash < fields.size() && fields[dash] != "-") ++dash;
    if (fields.size() < 5 || dash + 3 >= fields.size()) continue;
    const std::string& type = fields[dash + 1];
    if (type == "cgroup2" && mounts.v2.empty()) mounts.v2 = fields[4];
    if (type == "cgroup")
      for (const auto& option : split(fields.back(), ',')) mounts.v1.try_emplace(option, fields[4]);
  }
  return mounts;
}

// cgroups(7): "9:name=systemd:/path", "0::/path"
std::map<std::string, std::string> read_own_cgroups(const std::string& text) {
  std::map<std::string, std::string> own;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string path = line.substr(second + 1);
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty()) own[""] = path;
    for (const auto& controller : split(controllers, ',')) own[controller] = path;
  }
  return own;
}

bool has_word(const std::string& text, std::string_view word) {
  std::istringstream words(text);
  for (std::string w; words >> w;)
    if (w == word) return true;
  return false;
}

// Why no node can be made there; empty: it can, as far as can be told without making one. access(2) asks the mount too.
std::string why_closed(const std::string& directory) {
  if (::access(directory.c_str(), W_OK) == 0) return {};
  const int code = errno;
  if (code != EROFS && ::geteuid() != 0) return {};  // root's to say
  return directory + ": " + strerrordesc_np(code);
}

// On the v2 tree our root node stands directly below the mount: a node with processes cannot have children with
// controllers ("no internal processes", cgroup-v2.rst), so the caller's own session is no place for it.
Result<CgroupLayout> find_layout(const std::string& mountinfo, const std::string& own_text) {
  const CgroupMounts mounts = read_mounts(mountinfo);
  const auto own = read_own_cgroups(own_text);
  CgroupLayout layout;
  if (mounts.v2.empty()) {
    layout.reason = "no cgroup2 file system is mounted; mount one (mount -t cgroup2 none /sys/fs/cgroup/unified)";
    return layout;
  }
  layout.v2_parent = mounts.v2;
  if (const std::string closed = why_closed(mounts.v2); !closed.empty()) {
    layout.reason = closed;
    return layout;
  }
  const auto listed = read_file(mounts.v2 + "/cgroup.controllers");
  if (!listed && is_shortage(listed.error().code)) return std::unexpected(listed.error());
  const std::string available = listed.value_or("");
  if (has_word(available, "memory") && has_word(available, "pids") && has_word(available, "cpu")) {
    layout.mode = CgroupMode::v2;
    layout.io = has_word(available, "io");
    return layout;
  }
  for (const char* controller : {"memory", "cpu", "pids", "blkio"}) {
    const auto mount = mounts.v1.find(controller);
    const bool is_io = controller == std::string_view("blkio");
    if (mount == mounts.v1.end() && is_io) continue;  // needed only by a policy that limits it
    if (mount == mounts.v1.end()) {
      layout.reason = std::string("the ") + controller + " controller is on neither the v2 tree nor a v1 hierarchy";
      return layout;
    }
    // Below our own node, so that a limit somebody put on us holds for all that we start.
    const auto path = own.find(controller);
    std::string directory = mount->second;
    if (path != own.end() && path->second != "/" && exists(directory + path->second)) directory += path->second;
    if (const std::string closed = why_closed(directory); !closed.empty()) {
      layout.v1.clear();
      layout.reason = closed;
      return layout;
    }
    layout.v1[is_io ? "io" : controller] = directory;
    layout.io = layout.io || is_io;
  }
  layout.mode = CgroupMode::hybrid;
  return layout;
}

// A filter above us may answer that the kernel has none: what the kernel shows is believed before the filter is.
bool has_keyrings() {
  if (exists("/proc/sys/kernel/keys") || exists("/proc/keys")) return true;
  constexpr long kNoOperation = -1;
  return ::syscall(SYS_keyctl, kNoOperation) >= 0 || errno != ENOSYS;
}

}  // namespace

Result<HostFacts> probe_host() {
  HostFacts facts;
  utsname uts{};
  if (::uname(&uts) != 0) return errno_error("uname");
  facts.kernel = uts.release;
  BULKHEAD_ASSIGN(const std::string mountinfo, read_file("/proc/self/mountinfo"));
  BULKHEAD_ASSIGN(const std::string own, read_file("/proc/self/cgroup"));
  BULKHEAD_ASSIGN(facts.cgroups, find_layout(mountinfo, own));
  constexpr ino_t kInitialUserNamespace = 0xEFFFFFFD;  // PROC_USER_INIT_INO, include/linux/proc_ns.h
  struct stat own_namespace{};
  facts.in_user_namespace =
      ::stat("/proc/self/ns/user", &own_namespace) == 0 && own_namespace.st_ino != kInitialUserNamespace;
  if (const auto last = read_file("/proc/sys/kernel/cap_last_cap"))
    std::from_chars(last->data(), last->data() + last->size(), facts.last_capability);
  facts.landlock_abi = landlock::supported_abi();
  if (facts.landlock_abi == 0) facts.landlock_reason = errno_error("landlock_create_ruleset").error().text();
  facts.keyrings = has_keyrings();
  for (const std::string_view device : kDeviceNames) {
    struct stat st{};
    const std::string path = "/dev/" + std::string(device);
    if (::stat(path.c_str(), &st) == 0 && S_ISCHR(st.st_mode)) facts.device_nodes.emplace_back(device);
  }
  return facts;
}

}  // namespace bulkhead
