// Policy and host in, operations out. Each mechanism adds its piece from one function of its own; compile_plan() at the
// end is the order in which the kernel sees them, on one screen.
#include <algorithm>
#include <set>

#include "sandbox/host/landlock_abi.h"
#include "sandbox/plan/landlock_rules.h"
#include "sandbox/plan/plan.h"
#include "sandbox/plan/required_walls.h"
#include "sandbox/spec/seccomp_observed.h"

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
  MissingWalls missing;           // and not required
  std::vector<LeftOut> left_out;

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

  // What `build` adds, or, where the wall is missing, what is left out.
  template <class Build>
  void part_of(Wall wall, Build build) {
    const auto answer = missing.find(wall);
    if (answer == missing.end()) return build();
    std::vector<Operation> others = std::move(ops);
    ops.clear();
    build();
    left_out.push_back({wall, answer->second, std::move(ops)});
    ops = std::move(others);
  }

  bool lacks(Wall wall) const { return missing.contains(wall); }
  // Three identities: an own range in a user namespace; where there are none, an own uid out of that range; a host
  // user.
  bool in_range() const { return !place.use_host_identity && !lacks(Wall::user_namespace); }
  bool own_uid() const { return !place.use_host_identity && lacks(Wall::user_namespace); }
  std::uint32_t uid() const {
    return in_range() ? inside_uid() : own_uid() ? place.range_base + kInsideUid : place.host_uid;
  }
  std::uint32_t gid() const { return place.use_host_identity ? place.host_gid : uid(); }
  std::uint32_t inside_uid() const { return spec.allows(Loosening::inside_root) ? 0 : kInsideUid; }
};

Origin origin_of(const Limits& limits, const char* key) {
  const auto found = limits.origins.find(key);
  return found == limits.origins.end() ? Origin(kBuiltIn) : found->second;
}

void add_cgroup(Builder& b) {
  b.add(Step::create_cgroup, kBuiltIn).target = b.place.cgroup;
  const Limits& limits = b.spec.limits();
  const auto limit = [&](Step step, const char* target, std::uint64_t number, const char* key) {
    Operation& op = b.add(step, origin_of(limits, key));
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
  if (limits.io_read != 0) limit(Step::limit_cgroup, "io_read", limits.io_read, "io_read");
  if (limits.io_write != 0) limit(Step::limit_cgroup, "io_write", limits.io_write, "io_write");
  if (limits.cpu_time.count() != 0)
    limit(Step::limit_cpu_time, "cpu_time", static_cast<std::uint64_t>(limits.cpu_time.count()), "cpu_time");
}

void add_disk(Builder& b) {
  const Limits& limits = b.spec.limits();
  if (b.place.disk.empty() || limits.disk_bytes == 0) return;
  const auto limit = [&](Step step, std::uint64_t number, const char* key) {
    Operation& op = b.add(step, origin_of(limits, key));
    op.target = b.place.disk;
    op.number = number;
  };
  limit(Step::limit_disk, limits.disk_bytes, "disk");
  limit(Step::limit_inodes, limits.disk_inodes, "inodes");
}

// By the launcher's own clock.
void add_wall_time(Builder& b) {
  const Limits& limits = b.spec.limits();
  if (limits.wall.count() == 0) return;
  Operation& op = b.add(Step::limit_wall, origin_of(limits, "wall"));
  op.target = "wall";
  op.number = static_cast<std::uint64_t>(limits.wall.count());
}

void add_identity_choice(Builder& b) {
  if (!b.place.use_host_identity)
    b.part_of(Wall::user_namespace, [&] {
      Operation& op = b.add(Step::user_namespace, kBuiltIn);
      op.number = b.place.range_base;
      op.flags = (b.inside_uid() == 0 ? kInsideRoot : 0u) | (b.lacks(Wall::no_namespaces_below) ? 0u : kNoneBelow);
    });
  b.part_of(Wall::no_namespaces_below, [] {});  // by a flag of that operation
  if (b.in_range()) return;
  if (b.own_uid()) {
    Operation& op = b.add(Step::host_identity, b.spec.origin("require"));
    op.number = b.uid();
    op.text = std::to_string(b.gid());
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
  // A kernel without keyrings has none to hide.
  if (b.host.keyrings) b.part_of(Wall::keyring, [&] { b.add(Step::session_keyring, kBuiltIn); });
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
  const auto uid = std::to_string(b.uid());
  const auto gid = std::to_string(b.gid());
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
  {
    Operation& op = b.add(Step::proc, kBuiltIn);
    op.target = "/proc";
    op.flags = b.host.in_user_namespace ? kCovers : 0u;
  }
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
  // Inside a user namespace the kernel gives a /proc only to whom another one is in full view (mount_too_revealing() in
  // fs/namespace.c). It stands in the shared root, where nobody runs, and goes when the fresh one comes.
  if (b.host.in_user_namespace && !b.lacks(Wall::fresh_proc)) {
    Operation& op = b.add(Step::bind, kBuiltIn);
    op.target = "/proc";
    op.text = "/proc";
    op.flags = kReadOnly | kNoExec;
  }
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
  // Without it /proc stays what the shared root has there: an empty directory that is read-only.
  b.part_of(Wall::fresh_proc, [&] { add_proc(b); });
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
  if (!b.lacks(Wall::limits)) return;
  // What stands in for a cgroup, each process by itself: RLIMIT_DATA counts private writable memory (not what is only
  // reserved, as RLIMIT_AS would, with which some runtimes do not start).
  if (b.spec.limits().memory_bytes != 0) limit("data", b.spec.limits().memory_bytes, origin("memory"));
  if (b.spec.limits().cpu_time.count() != 0)
    limit("cpu", static_cast<std::uint64_t>(b.spec.limits().cpu_time.count() + 999) / 1000, origin("cpu_time"));
  // Counts all processes and threads of a uid: right for a uid that is the sandbox's own, and nobody else's business.
  const bool own = !b.place.use_host_identity && !b.place.shares_uid;
  if (b.spec.limits().pids != 0 && own) limit("nproc", b.spec.limits().pids, origin("pids"));
}

void add_privileges(Builder& b) {
  std::string kept;
  for (const int capability : b.spec.capabilities()) kept += (kept.empty() ? "" : ",") + std::to_string(capability);
  if (b.in_range()) b.add(Step::enter_user_namespace, kBuiltIn).number = b.place.range_base;
  b.add(Step::bounding_set, b.spec.origin("capabilities")).text = kept;
  Operation& identity = b.add(Step::identity, b.in_range()  ? Origin(kBuiltIn)
                                              : b.own_uid() ? b.spec.origin("require")
                                                            : b.spec.origin("allow"));
  identity.number = b.uid();
  b.add(Step::capabilities, b.spec.origin("capabilities")).text = kept;
  b.add(Step::no_new_privs, kBuiltIn);
}

Result<> add_seccomp(Builder& b, LaunchPlan& plan, const WallSet& required) {
  const auto filter = [&](Step step, const std::vector<sock_filter>& program, std::string text, Origin origin) {
    if (program.empty()) return;
    Operation& op = b.add(step, std::move(origin));
    op.text = std::move(text);
    op.number = program.size();
    if (step == Step::seccomp && required.contains(Wall::refusals_seen)) op.flags = kMustBeSeen;
  };
  plan.guard = b.spec.guard();
  plan.seccomp = b.spec.seccomp_program();
  if (required.contains(Wall::refusals_seen) && !plan.seccomp.empty() && !tells_refusals(b.spec.seccomp()))
    return fail("plan", b.spec.origin("seccomp"),
                "what the profile's default refuses cannot be seen: calls that bulkhead-init needs are allowed under "
                "conditions alone",
                "allow these without conditions, or leave refusals-seen out of require");
  if (b.place.learn && !b.lacks(Wall::fresh_proc)) {  // what is asked for is read there
    BULKHEAD_ASSIGN(LearningPrograms programs,
                    compile_learning(plan.seccomp.empty() ? nullptr : &b.spec.seccomp(),
                                     {.terminal = !b.spec.allows(Loosening::terminal_injection)}));
    plan.guard = told(std::move(plan.guard));
    plan.seccomp = std::move(programs.base);
    plan.learning = std::move(programs.command);
  } else {
    b.part_of(Wall::refusals_seen, [] {});  // the filter is the same: the launch finds out that nobody can listen
  }
  filter(Step::guard, plan.guard, "", kBuiltIn);
  filter(Step::seccomp, plan.seccomp, b.spec.seccomp().name, b.spec.origin("seccomp"));
  return {};
}

std::vector<Operation> add_landlock(Builder& b) {
  if (b.lacks(Wall::landlock)) {  // what it would refuse depends on the ABI that is not there
    b.part_of(Wall::landlock, [&] { b.add(Step::landlock_ruleset, kBuiltIn); });
    return {};
  }
  std::vector<Operation> rules = landlock_rules(b.spec, b.host, b.ops);
  b.ops.insert(b.ops.end(), rules.begin(), rules.end());
  return rules;
}

// What only a user namespace can give.
Result<> check_identity(const Builder& b) {
  if (!b.own_uid()) return {};
  for (const Loosening word : {Loosening::inside_root, Loosening::capabilities})
    if (b.spec.allows(word))
      return fail("plan", "/allow",
                  "'" + std::string(name(word)) + "' needs a user namespace: " + b.missing.at(Wall::user_namespace),
                  "drop the word, or run where the wall user-namespace stands (`bulkhead doctor`)");
  return {};
}

Result<> check(const SandboxSpec& spec, const CommandSpec& command, const Placement& place, const HostFacts& host) {
  if (command.argv.empty() || command.argv.front().empty()) return fail("plan", "command", "is empty");
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
  const bool limited = !missing_walls(host).contains(Wall::limits);  // else that is what is said
  for (const auto& [key, number] : {std::pair{"io_read", spec.limits().io_read}, {"io_write", spec.limits().io_write}})
    if (number != 0 && limited && !host.cgroups.io)
      return fail("plan", std::string("/limits/") + key,
                  host.cgroups.mode == CgroupMode::v2
                      ? "needs the io controller, which " + host.cgroups.v2_parent + "/cgroup.controllers does not name"
                      : "needs the blkio controller, which is mounted as no v1 hierarchy",
                  "write 'unlimited', or mount or delegate that controller");
  for (const auto& device : spec.devices())
    if (std::find(host.device_nodes.begin(), host.device_nodes.end(), device) == host.device_nodes.end())
      return fail("plan", "/devices", "this host has no /dev/" + device, "remove it from the policy's devices");
  return {};
}

}  // namespace

Result<LaunchPlan> compile_plan(const SandboxSpec& spec, const CommandSpec& command, const Placement& placement,
                                const HostFacts& host) {
  BULKHEAD_TRY(check(spec, command, placement, host));
  const MissingWalls missing = missing_walls(host);
  const WallSet required = required_here(spec, placement);
  BULKHEAD_TRY(check_required(required, missing));
  LaunchPlan plan;
  plan.command = command;
  plan.output_bytes = spec.limits().output_bytes;
  Builder b{.spec = spec,
            .place = placement,
            .host = host,
            .ops = {},
            .made = {},
            .mounted = {},
            .missing = {},
            .left_out = {}};
  const WallSet walls = walls_of(spec, placement);
  for (const auto& [wall, answer] : missing)
    if (walls.contains(wall)) b.missing.emplace(wall, answer);
  BULKHEAD_TRY(check_identity(b));
  b.part_of(Wall::limits, [&] { add_cgroup(b); });
  add_wall_time(b);
  add_disk(b);
  add_identity_choice(b);
  add_namespaces(b);
  const std::vector<MountSpec> mounts = merged_mounts(b);
  const OwnMounts own = own_mounts(b, mounts);
  add_shared_root(b, mounts, own);
  add_inside_namespaces(b);
  add_own_tree(b, mounts, own);
  b.add(Step::working_directory, kBuiltIn).target = command.directory.str();
  add_rlimits(b);
  const std::vector<Operation> landlock = add_landlock(b);
  add_privileges(b);
  if (!landlock.empty()) b.add(Step::landlock_enforce, kBuiltIn);
  BULKHEAD_TRY(add_seccomp(b, plan, required));
  b.add(Step::exec_init, kBuiltIn);
  plan.operations = std::move(b.ops);
  plan.left_out = std::move(b.left_out);
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
