#include <algorithm>
#include <array>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "sandbox/spec/policy_reader.h"

namespace bulkhead {
namespace {

constexpr std::uint64_t kLeastTmpfs = 4096;       // a page: the kernel takes 0 for "no bound"
constexpr std::uint64_t kMostTmpfs = 1ULL << 44;  // 16 TiB
constexpr std::uint64_t kDefaultInodes = 65'536;
constexpr std::uint64_t kMostInodes = 1ULL << 32;

SandboxPath path_of(std::string_view text) {
  return *SandboxPath::parse(text);  // of literals below, which are right
}

bool is_at_or_below(const SandboxPath& path, std::string_view top) {
  const SandboxPath parent = path_of(top);
  return path == parent || path.is_below(parent);
}

// Targets that a sandbox makes itself and that the kernel's safety rests on.
Result<> check_target(const SandboxPath& target, const JsonNode& at) {
  if (target.is_root()) return at.refuse("'/' is the root itself", "say what it is with the key 'root'");
  for (const char* own : {"/proc", "/sys"})
    if (is_at_or_below(target, own))
      return at.refuse("nothing can be mounted on " + std::string(own) + ": every sandbox has its own");
  if (is_at_or_below(target, "/dev") && target != path_of("/dev/shm"))
    return at.refuse("nothing but /dev/shm can be mounted on /dev: every sandbox has its own",
                     "name what it shall hold with the key 'devices'");
  return {};
}

}  // namespace

Result<std::string> read_host_path(const JsonNode& node) {
  BULKHEAD_ASSIGN(const std::string text, node.string());
  const auto path = SandboxPath::parse(text);
  if (!path) return node.refuse(path.error().object + " " + path.error().detail, "write the whole path on the host");
  // What the kernel shows of the host there is what a sandbox must not see, and binding '/' brings all of it.
  if (path->is_root())
    return node.refuse("the host's whole file system cannot be in a sandbox", "name directories of it");
  for (const char* kernel : {"/proc", "/sys", "/dev"})
    if (is_at_or_below(*path, kernel))
      return node.refuse("the host's " + std::string(kernel) + " cannot be in a sandbox");
  return path->str();
}

Result<> PolicyReader::read_root() {
  const JsonNode root = part("root");
  BULKHEAD_TRY(root.object());
  static const std::vector<std::string> kinds{"host", "directory", "image"};
  const auto from = root.find("from");
  if (!from) return root.refuse("needs the key 'from'", "'from' is one of " + one_of(kinds));
  BULKHEAD_ASSIGN(const std::string kind, from->word(kinds));

  if (kind == "directory") {
    static const std::vector<std::string> keys{"from", "path"};
    BULKHEAD_TRY(root.object_of(keys));
    const auto path = root.find("path");
    if (!path) return root.refuse("needs the key 'path': the directory that becomes the root");
    BULKHEAD_ASSIGN(spec_.root_directory_, read_host_path(*path));
    return {};
  }

  if (kind == "image") return read_image_root(root);

  static const std::vector<std::string> keys{"from", "paths"};
  BULKHEAD_TRY(root.object_of(keys));
  BULKHEAD_ASSIGN(const auto paths, root.find("paths")->elements());
  for (const JsonNode& node : paths) {
    MountSpec mount;
    BULKHEAD_ASSIGN(mount.source, read_host_path(node));
    mount.target = path_of(mount.source);
    mount.optional = true;  // no host has all of them
    mount.origin = origin(node.pointer());
    BULKHEAD_TRY(add_mount(std::move(mount), node));
  }
  return {};
}

Result<> PolicyReader::read_mounts() {
  const JsonNode mounts = part("mounts");
  BULKHEAD_TRY(mounts.object());
  for (const auto& [target, mount] : mounts.members())
    if (!mount.value().is_null()) BULKHEAD_TRY(read_mount(target, mount));  // null: not even the built-in one
  // Parents before children: a path sorts before what is below it.
  std::ranges::sort(spec_.mounts_, {}, &MountSpec::target);
  return {};
}

Result<> PolicyReader::read_mount(const std::string& target, const JsonNode& mount) {
  MountSpec spec;
  auto path = SandboxPath::parse(target);
  if (!path)
    return mount.refuse("the target " + path.error().object + " " + path.error().detail,
                        "write the whole path inside the sandbox");
  spec.target = *std::move(path);
  spec.origin = origin(mount.pointer());
  BULKHEAD_TRY(check_target(spec.target, mount));
  BULKHEAD_TRY(mount.object());
  const bool bind = mount.find("source").has_value();
  const bool tmpfs = mount.find("tmpfs").has_value();
  if (bind && tmpfs) return mount.refuse("has both 'source' and 'tmpfs'", "a mount is one of the two: drop the other");
  if (!bind && !tmpfs) {
    static const std::vector<std::string> all{"source", "tmpfs", "access", "executable", "optional", "inodes"};
    BULKHEAD_TRY(mount.object_of(all));
    return mount.refuse("needs the key 'source' (a host path) or 'tmpfs' (a size)");
  }
  BULKHEAD_TRY(bind ? read_bind(spec, mount) : read_tmpfs(spec, mount));
  return add_mount(std::move(spec), mount);
}

Result<> PolicyReader::read_bind(MountSpec& spec, const JsonNode& mount) {
  static const std::vector<std::string> keys{"source", "access", "executable", "optional"};
  static const std::vector<std::string> accesses{"read_only", "read_write"};
  if (mount.find("inodes")) return mount.find("inodes")->refuse("'inodes' is for a tmpfs; this mount has a 'source'");
  BULKHEAD_TRY(mount.object_of(keys));
  spec.type = MountType::bind;
  if (spec.target == path_of("/dev/shm")) return mount.refuse("/dev/shm can only be a tmpfs");
  BULKHEAD_ASSIGN(spec.source, read_host_path(*mount.find("source")));
  if (const auto node = mount.find("access")) {
    BULKHEAD_ASSIGN(const std::string access, node->word(accesses));
    if (access == "read_write") {
      spec.access = MountAccess::read_write;
      BULKHEAD_TRY(
          needs(Loosening::writable_host, *node, "writing to the host's '" + printable(spec.source, 200) + "'"));
    }
  }
  if (const auto node = mount.find("executable")) {
    BULKHEAD_ASSIGN(spec.executable, node->boolean());
  }
  if (const auto node = mount.find("optional")) {
    BULKHEAD_ASSIGN(spec.optional, node->boolean());
  }
  return {};
}

Result<> PolicyReader::read_tmpfs(MountSpec& spec, const JsonNode& mount) {
  static const std::vector<std::string> keys{"tmpfs", "inodes", "executable"};
  for (const char* key : {"access", "optional"})
    if (const auto node = mount.find(key))
      return node->refuse("'" + std::string(key) + "' is for a mount with a 'source'; this one is a tmpfs");
  BULKHEAD_TRY(mount.object_of(keys));
  spec.type = MountType::tmpfs;
  spec.access = MountAccess::read_write;
  spec.executable = false;
  spec.inodes = kDefaultInodes;
  BULKHEAD_ASSIGN(spec.size_bytes, read_bytes(*mount.find("tmpfs"), kLeastTmpfs, kMostTmpfs));
  if (const auto node = mount.find("inodes")) {
    BULKHEAD_ASSIGN(spec.inodes, node->integer(16, kMostInodes));
  }
  if (const auto node = mount.find("executable")) {
    BULKHEAD_ASSIGN(spec.executable, node->boolean());
  }
  return {};
}

Result<> PolicyReader::add_mount(MountSpec spec, const JsonNode& at) {
  const auto [before, added] = mounted_.emplace(spec.target, at.pointer());
  if (!added)
    return at.refuse("'" + printable(spec.target.str(), 200) + "' is mounted twice", "the other is " + before->second);
  spec_.mounts_.push_back(std::move(spec));
  return {};
}

}  // namespace bulkhead
