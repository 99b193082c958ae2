// The plan: an ordered, printable, comparable list of the kernel operations that make one sandbox, each knowing the
// policy line that asked for it. Compiling is pure; the launcher executes it in this order and in no other way.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/host/host_facts.h"
#include "sandbox/spec/spec.h"

namespace bulkhead {

enum class Step : std::uint8_t {
  // by the launcher, before the clone
  create_cgroup,   // target: node below the launcher's root node
  limit_cgroup,    // target: memory, memory_high, swap, cpu, cpu_weight, pids, io_read, io_write; number
  limit_wall,      // number: milliseconds
  limit_cpu_time,  // number: milliseconds
  limit_disk,      // target: a directory that the launcher was told to bound (attach_disk); number: bytes
  limit_inodes,    // the same; number
  user_namespace,  // number: first host uid of the range; flags: kInsideRoot, kNoneBelow
  host_identity,   // number: uid, text: "gid,group,group…"
  new_namespaces,  // text: "mount pid ipc uts net"
  // the root, up to `pivot`: the same for every sandbox of a policy, so the launcher may prepare it once
  root_tmpfs,   // a tmpfs that becomes /
  root_bind,    // text: host directory that becomes /
  root_layer,   // text: host directory that becomes /, below a tmpfs for what we add; target: what it is, for people
  directory,    // target; mode
  mount_point,  // target; flags: kFile
  bind,         // target, text: host path; flags: MountFlag. A symbolic link as source is made again, not followed
  tmpfs,        // target; number: bytes, inodes; flags; mode
  file,         // target, text: content; mode
  symlink,      // target, text
  seal,         // target: this mount becomes read-only
  pivot,
  // by the child, in its new namespaces, on its own copy of that root
  cgroup_namespace,
  session_keyring,
  loopback,           // bring lo up
  hostname,           // text
  proc,               // target; flags: kCovers
  devpts,             // target
  mask,               // target: an empty file or directory over it; absent is fine
  read_only,          // target: a read-only bind of itself; absent is fine
  working_directory,  // target
  rlimit,             // target: core, nofile, fsize, data, nproc, cpu (seconds); number
  landlock_ruleset,   // number, inodes, mode: rights over files, TCP and scopes that are refused unless a rule grants
                      // them
  landlock_path,      // target, number: rights over files below it
  landlock_port,      // inodes: port, number: rights
  enter_user_namespace,
  bounding_set,  // text: kept capabilities, comma separated numbers
  identity,      // number: uid inside (gid the same)
  capabilities,  // text: kept
  no_new_privs,
  landlock_enforce,
  guard,    // number: instructions
  seccomp,  // text: profile name; flags: kMustBeSeen
  exec_init,
};
std::string_view name(Step step);

// Of other steps.
enum StepFlag : std::uint32_t {
  kInsideRoot = 1,  // user_namespace: uid 0 inside
  kNoneBelow = 2,   // user_namespace: fails where namespaces below it cannot be forbidden
  kMustBeSeen = 1,  // seccomp: fails where there cannot be a listener
};

enum MountFlag : std::uint32_t {
  kReadOnly = 1,
  kNoExec = 2,
  kOptional = 4,
  kDevice = 8,
  kSandboxOwned = 16,
  kFile = 32,     // the launcher says so of a mount point whose source is no directory
  kCovers = 64,   // proc: takes the place of what is mounted there
  kReplace = 128  // of a file: what stands there goes
};

struct Operation {
  Step step{};
  std::string target;
  std::string text;
  std::uint64_t number = 0;
  std::uint64_t inodes = 0;
  std::uint32_t flags = 0;
  std::uint32_t mode = 0;
  Origin origin;
  bool operator==(const Operation&) const = default;
};

struct CommandSpec {
  std::vector<std::string> argv;                   // argv[0] is looked up in the environment's PATH, inside
  std::map<std::string, std::string> environment;  // complete
  SandboxPath directory;
};

// What the caller adds to a policy: where the sandbox stands and what of ours is mounted into it.
struct Placement {
  std::string cgroup;              // node below the launcher's root node: "run/agent/agent"; safe path components
  std::uint32_t range_base = 0;    // own uid range, unless host_uid is used
  bool use_host_identity = false;  // needs the policy's host-identity
  std::uint32_t host_uid = 0, host_gid = 0;
  std::vector<std::uint32_t> host_groups;
  std::vector<MountSpec> mounts;  // ours: workspace, home, inputs, reports; origin says which
  WallSet forgo;                  // walls that the policy requires and that need not stand for this sandbox all the
                                  // same: a worker of ours, for a run whose own policies go on without them
  bool shares_uid = false;        // others of its uid live that are no part of it: a worker of ours in an agent's range
  std::string disk;        // what it keeps on disk stands below this directory, bounded by the launcher; or empty
  std::string image_tree;  // of a policy whose root is an image: where it is unpacked
  bool learn = false;      // observe what the command asks for (`--explain`, `policy learn`)
};

// A wall that the host lacks and the policy does not require: what would have been done, and is not.
struct LeftOut {
  Wall wall{};
  std::string answer;  // the kernel's
  std::vector<Operation> operations;
  bool operator==(const LeftOut&) const = default;
};

struct LaunchPlan {
  std::vector<Operation> operations;
  std::vector<LeftOut> left_out;  // for people; the launcher is not told
  CommandSpec command;
  std::uint64_t output_bytes = 0;
  std::vector<sock_filter> seccomp;  // empty: none
  std::vector<sock_filter> guard;    // of every profile, see compile_guard(); empty: none
  // Not empty: the sandbox is observed. `seccomp` then has no listener, and this is what the command loads beside it:
  // see LearningPrograms.
  std::vector<sock_filter> learning;
};

// Refuses what the host cannot do, with the missing feature named; changes nothing.
Result<LaunchPlan> compile_plan(const SandboxSpec& spec, const CommandSpec& command, const Placement& placement,
                                const HostFacts& host);

// The environment of a command: what `pass` lets through of `caller`, then `set`, then `extra`.
std::map<std::string, std::string> compose_environment(const SandboxSpec& spec,
                                                       const std::map<std::string, std::string>& caller,
                                                       const std::map<std::string, std::string>& extra);

nlohmann::json to_json(const LaunchPlan& plan);  // for people and programs: `sandbox plan --json`
std::string render(const LaunchPlan& plan);      // one operation a line, with its origin

// The launcher's wire form (complete, not for people).
std::string encode(const LaunchPlan& plan);
Result<LaunchPlan> decode(std::string_view bytes);

}  // namespace bulkhead
