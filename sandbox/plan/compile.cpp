// Policy and host in, operations out. Each mechanism adds its piece from one function of its own; compile_plan() at the
// end is the order in which the kernel sees them, on one screen.
#include <algorithm>
#include <set>

#include "sandbox/host/landlock_abi.h"
#include "sandbox/plan/landlock_rules.h"
#include "sandbox/plan/plan.h"

namespace bulkhead {
namespace {

constexpr const char* kBuiltIn = "built-in";
constexpr std::uint32_t kInsideUid = 1000;

struct Builder {
  const SandboxSpec& spec;
  const Placement& place;
  const HostFacts& host;
  std::vector<Operation> ops;
  std::set<std::string> made;     // directories that exist in the tree so far
  std::set<std::string> mounted;  // of them, those that something stands on

  Operation& add(Step step, Origin origin) {
    ops.push_back({.step = step, .origin = std::move(origin)});
    return ops.back();
  }

  // The directories above `path`, as far as none of them is already there or inside something mounted before.
  void parents_of(const SandboxPath& path, const Origin& origin) {
    if (path.is_root() || path.parent().is_root()) return;
    const SandboxPath parent = path.parent();
    if (made.contains(parent.str())) return;
    parents_of(parent, origin);
    Operation& op = add(Step::directory, origin);
    op.target = parent.str();
    op.mode = 0755;
    made.insert(parent.str());
  }

  bool in_range() const { return !place.use_host_identity; }
  std::uint32_t inside_uid() const { return spec.allows(Loosening::inside_root) ? 0 : kInsideUid; }
};

void add_cgroup(Builder& b) {
  b.add(Step::create_cgroup, kBuiltIn).target = b.place.cgroup;
  const Limits& limits = b.spec.limits();
  const auto origin = [&](const char* key) {
    const auto found = limits.origins.find(key);
    return found == limits.origins.end() ? Origin(kBuiltIn) : found->second;
  };
  const auto limit = [&](Step step, const char* target, std::uint64_t number, const char* key) {
    Operation& op = b.add(step, origin(key));
    op.target = target;
    op.number = number;
  };
  if (limits.memory_bytes != 0) {
    limit(Step::limit_cgroup, "memory", limits.memory_bytes, "memory");
    limit(Step::limit_cgroup, "swap", limits.swap_bytes, "swap");
  }
  if (limits.memory_high != 0) limit(Step::limit_cgroup, "memory_high", limits.memory_high, "memory_high");
  if (limits.cpu_weight != 100) limit(Step::limit_cgroup, "cpu_weight", limits.cpu_weight, "cpu_weight");
  if (limits.cpu_milli != 0) limit(Step::limit_cgroup, "cpu", limits.cpu_milli, "cpu");
  if (limits.pids != 0) limit(Step::limit_cgroup, "pids", limits.pids, "pids");
  if (limits.wall.count() != 0)
    limit(Step::limit_wall, "wall", static_cast<std::uint64_t>(limits.wall.count()), "wall");
  if (limits.cpu_time.count() != 0)
    limit(Step::limit_cpu_time, "cpu_time", static_cast<std::uint64_t>(limits.cpu_time.count()), "cpu_time");
}

void add_identity_choice(Builder& b) {
  if (b.in_range()) {
    Operation& op = b.add(Step::user_namespace, kBuiltIn);
    op.number = b.place.range_base;
    op.flags = b.inside_uid() == 0 ? 1 : 0;
    return;
  }
  Operation& op = b.add(Step::host_identity, b.spec.origin("allow"));
  op.number = b.place.host_uid;
  op.text = std::to_string(b.place.host_gid);
  for (const auto group : b.place.host_groups) op.text += "," + std::to_string(group);
}

void add_namespaces(Builder& b) {
  const bool host_network = b.spec.allows(Loosening::host_network);
  b.add(Step::new_namespaces, host_network ? b.spec.origin("allow") : Origin(kBuiltIn)).text =
      host_network ? "mount pid ipc uts" : "mount pid ipc uts net";
}

void add_inside_namespaces(Builder& b) {
  b.add(Step::cgroup_namespace, kBuiltIn);
  b.add(Step::session_keyring, kBuiltIn);
  if (!b.spec.allows(Loosening::host_network)) b.add(Step::loopback, kBuiltIn);
  b.add(Step::hostname, b.spec.origin("hostname")).text = b.spec.hostname();
}

void add_root(Builder& b) {
  if (const auto& image = b.spec.root_image()) {
    Operation& op = b.add(Step::root_layer, b.spec.origin("root"));
    op.target = image->text();
    op.text = b.place.image_tree;
  } else if (b.spec.root_directory().empty()) {
    b.add(Step::root_tmpfs, b.spec.origin("root"));
  } else {
    b.add(Step::root_bind, b.spec.origin("root")).text = b.spec.root_directory();
  }
}

void add_mount(Builder& b, const MountSpec& mount) {
  b.parents_of(mount.target, mount.origin);
  Operation& op = b.add(mount.type == MountType::tmpfs ? Step::tmpfs : Step::bind, mount.origin);
  op.target = mount.target.str();
  op.text = mount.source;
  op.flags = (mount.access == MountAccess::read_only && mount.type == MountType::bind ? kReadOnly : 0u) |
             (mount.executable ? 0u : kNoExec) | (mount.optional ? kOptional : 0u);
  if (mount.type == MountType::tmpfs) {
    op.number = mount.size_bytes;
    op.inodes = mount.inodes;
    const bool shared = mount.target.str() == "/tmp" || mount.target.str() == "/dev/shm";
    op.mode = shared ? 01777 : 0755;
    op.flags |= kSandboxOwned;
  }
  b.made.insert(mount.target.str());
  b.mounted.insert(mount.target.str());
}

void add_mount_point(Builder& b, const SandboxPath& target, const Origin& origin) {
  b.mounted.insert(target.str());
  if (b.made.contains(target.str())) return;
  b.parents_of(target, origin);
  b.add(Step::mount_point, origin).target = target.str();
  b.made.insert(target.str());
}

void add_file(Builder& b, const std::string& target, std::string content, std::uint32_t flags = 0) {
  if (b.made.contains(target)) return;  // the policy mounts its own
  for (SandboxPath above = SandboxPath::parse(target)->parent(); !above.is_root(); above = above.parent())
    if (b.mounted.contains(above.str())) return;  // as it does here
  b.parents_of(*SandboxPath::parse(target), kBuiltIn);
  Operation& op = b.add(Step::file, kBuiltIn);
  op.target = target;
  op.text = std::move(content);
  op.mode = 0444;
  op.flags = flags;
}

void add_hosts(Builder& b, std::uint32_t flags) {
  add_file(b, "/etc/hosts", "127.0.0.1\tlocalhost " + b.spec.hostname() + "\n::1\tlocalhost\n", flags);
}

// Accounts as the sandbox sees them; the host's own never show.
void add_accounts(Builder& b) {
  const auto uid = std::to_string(b.in_range() ? b.inside_uid() : b.place.host_uid);
  const auto gid = std::to_string(b.in_range() ? b.inside_uid() : b.place.host_gid);
  std::string passwd, group;
  if (uid != "0") passwd += "root:x:0:0:root:/:/usr/sbin/nologin\n";
  if (gid != "0") group += "root:x:0:\n";
  passwd +=
      "agent:x:" + uid + ":" + gid + ":agent:/home/agent:/bin/sh\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n";
  group += "agent:x:" + gid + ":\nnogroup:x:65534:\n";
  add_file(b, "/etc/passwd", passwd);
  add_file(b, "/etc/group", group);
  add_hosts(b, 0);
  add_file(b, "/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n");
}

void add_devices(Builder& b) {
  {
    Operation& op = b.add(Step::tmpfs, b.spec.origin("devices"));
    op.target = "/dev";
    op.number = 64 * 1024;
    op.inodes = 64;
    op.mode = 0755;
    op.flags = kNoExec;
    b.made.insert("/dev");
  }
  for (const auto& device : b.spec.devices()) {
    Operation& op = b.add(Step::bind, b.spec.origin("devices"));
    op.target = "/dev/" + device;
    op.text = "/dev/" + device;
    op.flags = kDevice | kNoExec;
  }
  for (const auto& [link, to] : {std::pair{"/dev/fd", "/proc/self/fd"}, std::pair{"/dev/stdin", "/proc/self/fd/0"},
                                 std::pair{"/dev/stdout", "/proc/self/fd/1"},
                                 std::pair{"/dev/stderr", "/proc/self/fd/2"}, std::pair{"/dev/ptmx", "pts/ptmx"}}) {
    Operation& op = b.add(Step::symlink, b.spec.origin("devices"));
    op.target = link;
    op.text = to;
  }
  add_mount_point(b, *SandboxPath::parse("/dev/pts"), b.spec.origin("devices"));
}

// What the kernel shows in /proc beyond processes: settings read-only, and nothing that names the host's memory,
// keys, timers or other people's work (the list of the OCI default "maskedPaths", plus what is new since).
void add_proc(Builder& b) {
  b.add(Step::proc, kBuiltIn).target = "/proc";
  if (b.spec.allows(Loosening::unmasked_proc)) return;
  for (const char* path : {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"})
    b.add(Step::read_only, kBuiltIn).target = path;
  for (const char* path :
       {"/proc/acpi",       "/proc/asound",     "/proc/interrupts",  "/proc/kcore",         "/proc/keys",
        "/proc/key-users",  "/proc/kmsg",       "/proc/kallsyms",    "/proc/latency_stats", "/proc/sched_debug",
        "/proc/scsi",       "/proc/timer_list", "/proc/timer_stats", "/proc/vmallocinfo",   "/proc/slabinfo",
        "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup", "/proc/modules",       "/proc/config.gz"})
    b.add(Step::mask, kBuiltIn).target = path;
}

// The policy's mounts and ours, parents before children.
std::vector<MountSpec> merged_mounts(const Builder& b) {
  std::vector<MountSpec> mounts = b.spec.mounts();
  for (const MountSpec& mount : b.place.mounts) {
    std::erase_if(mounts, [&](const MountSpec& m) { return m.target == mount.target; });  // ours replace the policy's
    mounts.push_back(mount);
  }
  const auto key = [](const MountSpec& m) {
    return std::pair(std::count(m.target.str().begin(), m.target.str().end(), '/'), m.target.str());
  };
  std::sort(mounts.begin(), mounts.end(), [&](const MountSpec& a, const MountSpec& c) { return key(a) < key(c); });
  return mounts;
}

// A sandbox's own mounts: what it can write to, what differs from one sandbox to the next, and all below such a mount.
// The rest is the root that sandboxes of one policy share, read-only.
struct OwnMounts {
  std::set<std::string> targets;

  bool below(const SandboxPath& target) const {
    for (SandboxPath above = target.parent(); !above.is_root(); above = above.parent())
      if (targets.contains(above.str())) return true;
    return false;
  }
};

OwnMounts own_mounts(const Builder& b, const std::vector<MountSpec>& mounts) {
  OwnMounts own;
  for (const MountSpec& mount : mounts) {
    const bool placed = std::any_of(b.place.mounts.begin(), b.place.mounts.end(),
                                    [&](const MountSpec& m) { return m.target == mount.target; });
    if (placed || mount.type == MountType::tmpfs || mount.access == MountAccess::read_write || own.below(mount.target))
      own.targets.insert(mount.target.str());
  }
  return own;
}

void add_shared_root(Builder& b, const std::vector<MountSpec>& mounts, const OwnMounts& own) {
  add_root(b);
  add_devices(b);
  add_mount_point(b, *SandboxPath::parse("/proc"), kBuiltIn);
  for (const MountSpec& mount : mounts)
    if (!own.targets.contains(mount.target.str())) add_mount(b, mount);
  for (const MountSpec& mount : mounts)
    if (own.targets.contains(mount.target.str()) && !own.below(mount.target))
      add_mount_point(b, mount.target, mount.origin);
  if (b.spec.root_image())
    add_hosts(b, kReplace);  // images have none, or an empty one: whoever runs them brings it
  else if (b.spec.root_directory().empty())
    add_accounts(b);
  b.add(Step::seal, b.spec.origin("devices")).target = "/dev";
  b.add(Step::seal, b.spec.origin("root")).target = "/";
  b.add(Step::pivot, kBuiltIn);
}

void add_own_tree(Builder& b, const std::vector<MountSpec>& mounts, const OwnMounts& own) {
  b.add(Step::devpts, b.spec.origin("devices")).target = "/dev/pts";
  add_proc(b);
  for (const MountSpec& mount : mounts)
    if (own.targets.contains(mount.target.str())) add_mount(b, mount);
}

void add_rlimits(Builder& b) {
  const auto limit = [&](const char* target, std::uint64_t number, Origin origin) {
    Operation& op = b.add(Step::rlimit, std::move(origin));
    op.target = target;
    op.number = number;
  };
  const auto& origins = b.spec.limits().origins;
  const auto origin = [&](const char* key) { return origins.contains(key) ? origins.at(key) : Origin(kBuiltIn); };
  // 1, not 0: with 0 a piped core_pattern still runs its handler, as host root and outside every namespace (core(5)).
  limit("core", 1, kBuiltIn);
  if (b.spec.limits().open_files != 0) limit("nofile", b.spec.limits().open_files, origin("open_files"));
  if (b.spec.limits().file_bytes != 0) limit("fsize", b.spec.limits().file_bytes, origin("file_size"));
}

void add_privileges(Builder& b) {
  std::string kept;
  for (const int capability : b.spec.capabilities()) kept += (kept.empty() ? "" : ",") + std::to_string(capability);
  if (b.in_range()) b.add(Step::enter_user_namespace, kBuiltIn).number = b.place.range_base;
  b.add(Step::bounding_set, b.spec.origin("capabilities")).text = kept;
  Operation& identity = b.add(Step::identity, b.in_range() ? Origin(kBuiltIn) : b.spec.origin("allow"));
  identity.number = b.in_range() ? b.inside_uid() : b.place.host_uid;
  b.add(Step::capabilities, b.spec.origin("capabilities")).text = kept;
  b.add(Step::no_new_privs, kBuiltIn);
}

Result<> add_seccomp(Builder& b, LaunchPlan& plan) {
  const auto filter = [&](Step step, const std::vector<sock_filter>& program, std::string text, Origin origin) {
    if (program.empty()) return;
    Operation& op = b.add(step, std::move(origin));
    op.text = std::move(text);
    op.number = program.size();
  };
  plan.guard = b.spec.guard();
  plan.seccomp = b.spec.seccomp_program();
  if (b.place.learn) {
    BULKHEAD_ASSIGN(LearningPrograms programs, compile_learning(plan.seccomp.empty() ? nullptr : &b.spec.seccomp()));
    plan.seccomp = std::move(programs.base);
    plan.learning = std::move(programs.command);
  }
  filter(Step::guard, plan.guard, "", kBuiltIn);
  filter(Step::seccomp, plan.seccomp, b.spec.seccomp().name, b.spec.origin("seccomp"));
  return {};
}

Result<> check(const SandboxSpec& spec, const CommandSpec& command, const Placement& place, const HostFacts& host) {
  if (command.argv.empty() || command.argv.front().empty()) return fail("plan", "command", "is empty");
  if (host.cgroups.mode == CgroupMode::none)
    return fail("plan", "cgroups", host.cgroups.reason, "`bulkhead doctor` lists what this host lacks");
  if (place.use_host_identity && !spec.allows(Loosening::host_identity))
    return fail("plan", "/allow", "running as a host user needs the word 'host-identity' in the policy's allow list");
  if (!place.use_host_identity && place.range_base == 0) return fail("plan", "identity", "no uid range was given");
  if (std::find(spec.devices().begin(), spec.devices().end(), "null") == spec.devices().end())
    return fail("plan", "/devices", "must have 'null': files of /proc are masked with it");
  if (spec.root_image() && place.image_tree.empty()) return fail("plan", "/root", "its image was not unpacked");
  const bool ports = !spec.tcp_bind().any || !spec.tcp_connect().any;
  if (ports && !landlock::knows_tcp(host.landlock_abi))
    return fail("plan", "/tcp", "ports need Landlock with ABI 4; this kernel has " + std::to_string(host.landlock_abi),
                "write 'any', or use Linux 6.7 or newer");
  for (const auto& device : spec.devices())
    if (std::find(host.device_nodes.begin(), host.device_nodes.end(), device) == host.device_nodes.end())
      return fail("plan", "/devices", "this host has no /dev/" + device, "remove it from the policy's devices");
  return {};
}

}  // namespace

Result<LaunchPlan> compile_plan(const SandboxSpec& spec, const CommandSpec& command, const Placement& placement,
                                const HostFacts& host) {
  BULKHEAD_TRY(check(spec, command, placement, host));
  LaunchPlan plan;
  plan.command = command;
  plan.output_bytes = spec.limits().output_bytes;
  Builder b{.spec = spec, .place = placement, .host = host, .ops = {}, .made = {}, .mounted = {}};
  add_cgroup(b);
  add_identity_choice(b);
  add_namespaces(b);
  const std::vector<MountSpec> mounts = merged_mounts(b);
  const OwnMounts own = own_mounts(b, mounts);
  add_shared_root(b, mounts, own);
  add_inside_namespaces(b);
  add_own_tree(b, mounts, own);
  b.add(Step::working_directory, kBuiltIn).target = command.directory.str();
  add_rlimits(b);
  const std::vector<Operation> landlock = landlock_rules(spec, host, b.ops);
  b.ops.insert(b.ops.end(), landlock.begin(), landlock.end());
  add_privileges(b);
  if (!landlock.empty()) b.add(Step::landlock_enforce, kBuiltIn);
  BULKHEAD_TRY(add_seccomp(b, plan));
  b.add(Step::exec_init, kBuiltIn);
  plan.operations = std::move(b.ops);
  return plan;
}

namespace {
bool matches(const std::string& pattern, const std::string& name) {
  if (!pattern.empty() && pattern.back() == '*') return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}
}  // namespace

std::map<std::string, std::string> compose_environment(const SandboxSpec& spec,
                                                       const std::map<std::string, std::string>& caller,
                                                       const std::map<std::string, std::string>& extra) {
  std::map<std::string, std::string> environment;
  for (const auto& [key, value] : caller)
    for (const auto& pattern : spec.environment_pass())
      if (matches(pattern, key)) environment[key] = value;
  for (const auto& [key, value] : spec.environment_set()) environment[key] = value;
  for (const auto& [key, value] : extra) environment[key] = value;
  return environment;
}

}  // namespace bulkhead
