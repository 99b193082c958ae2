// A policy that has been checked. The only way to a SandboxSpec is SandboxSpec::from_policy: an unchecked one cannot
// exist. It is a value: it copies, compares, and knows for each part the policy line (a JSON pointer) that asked for
// it.
//
// Pure: reads no file and asks no kernel. What the host can do is HostFacts' business (sandbox/host), what is done
// about it is the plan's (sandbox/plan).
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/base/walls.h"
#include "sandbox/spec/path.h"
#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead {

// JSON pointer (RFC 6901) into the policy, "" for the document; "built-in" for what every sandbox gets unasked.
using Origin = std::string;

enum class MountAccess { read_only, read_write };
enum class MountType { bind, tmpfs };

struct MountSpec {
  MountType type = MountType::bind;
  SandboxPath target;  // inside
  std::string source;  // host path, absolute; empty for tmpfs
  MountAccess access = MountAccess::read_only;
  bool executable = true;        // else noexec
  bool optional = false;         // a missing source is passed over instead of refused
  std::uint64_t size_bytes = 0;  // tmpfs only: bound of bytes
  std::uint64_t inodes = 0;      // tmpfs only: bound of inodes
  Origin origin;
  bool operator==(const MountSpec&) const = default;
};

// A root that is unpacked from an OCI image layout, once, and shared read-only.
struct ImageRoot {
  std::string layout;                    // host directory, absolute
  std::string reference;                 // org.opencontainers.image.ref.name; empty: the only image there
  std::string digest;                    // "sha256:…" of a manifest or an index; empty: whichever it is
  std::vector<std::string> environment;  // names taken from the image's configuration, "X*" for all that begin so
  bool keep_user_attributes = false;     // extended attributes in user.*
  std::uint64_t bytes = 0;               // bound of what its layers hold together
  std::uint64_t entries = 0;
  std::string text() const;  // "LAYOUT:REFERENCE@DIGEST", for people
  bool operator==(const ImageRoot&) const = default;
};

// TCP ports that Landlock (ABI 4) lets be bound or connected to.
struct TcpPorts {
  bool any = true;
  std::set<std::uint16_t> ports;
  bool operator==(const TcpPorts&) const = default;
};

struct Limits {
  std::uint64_t memory_bytes = 0;  // cgroup memory.max
  std::uint64_t swap_bytes = 0;    // 0: no swap
  std::uint64_t memory_high = 0;   // cgroup memory.high: above it processes are slowed and reclaimed from; 0: none
  std::uint32_t cpu_milli = 0;     // 1000 = one CPU; 0: no quota
  std::uint32_t cpu_weight = 100;  // share of the CPU among those that want it (cgroup cpu.weight, 1 to 10000)
  std::uint32_t pids = 0;
  // Bytes a second from and to each disk (cgroup io.max); 0: unlimited.
  std::uint64_t io_read = 0, io_write = 0;
  std::chrono::milliseconds wall{0};      // 0: none
  std::chrono::milliseconds cpu_time{0};  // 0: none
  std::uint64_t open_files = 0;           // RLIMIT_NOFILE
  std::uint64_t file_bytes = 0;           // RLIMIT_FSIZE, 0: none
  std::uint64_t output_bytes = 0;         // what is kept of captured stdout and of stderr, each
  std::uint64_t disk_bytes = 0;  // of all that a sandbox keeps on disk together; 0: no bound, of inodes neither
  std::uint64_t disk_inodes = 0;
  std::map<std::string, Origin> origins;  // "memory" -> "/limits/memory"
  bool operator==(const Limits&) const = default;
};

// Loosenings of the default, each a word that a reviewer can grep for in the policy's `allow` list. A part of a policy
// that needs one and does not find it is refused with a message that names the word.
enum class Loosening {
  host_identity,  // run as a host uid instead of an own range (workers of ours that serve a repository's owner)
  inside_root,    // uid 0 inside the sandbox's own range instead of 1000
  capabilities,   // keep capabilities inside the sandbox's user namespace (`capabilities`)
  host_network,   // no network namespace of its own
  writable_host,  // `read_write` binds of host paths
  unlimited_memory,
  unlimited_pids,
  unbounded_disk,  // `limits.disk: unlimited`, and hosts that can bound no directory
  no_seccomp,
  no_landlock,        // mounts alone decide what can be written
  unmasked_proc,      // all of /proc as the kernel shows it, its settings writable to whom they are
  terminal_injection  // TIOCSTI and TIOCLINUX
};
Result<Loosening> parse_loosening(std::string_view word);  // "host-identity", ...
std::string_view name(Loosening loosening);

class SandboxSpec {
 public:
  // Checks `policy`, a canonical JSON document (policies/policy.schema.json is its published shape). Errors carry the
  // JSON pointer of the offending place in Error::object; unknown keys are refused with the nearest known one as the
  // hint. `profiles` answers for seccomp profiles by name ("default"): parsed OCI documents, given by the caller who
  // may read files.
  static Result<SandboxSpec> from_policy(const nlohmann::json& policy,
                                         const std::map<std::string, nlohmann::json>& profiles);

  const std::string& name() const { return name_; }
  const std::vector<MountSpec>& mounts() const { return mounts_; }  // in mount order: parents before children
  const Limits& limits() const { return limits_; }
  const std::vector<std::string>& environment_pass() const {
    return environment_pass_;
  }  // names copied from the caller; "LC_*" allowed
  const std::map<std::string, std::string>& environment_set() const { return environment_set_; }
  const SeccompProfile& seccomp() const { return seccomp_; }
  // Compiled once, here: every sandbox of the policy loads the same program. Refusals are told to a listener (see
  // observed()). Empty with no-seccomp.
  const std::vector<sock_filter>& seccomp_program() const { return seccomp_program_.code; }
  const std::vector<sock_filter>& guard() const { return guard_.code; }
  const std::set<Loosening>& allowed() const { return allowed_; }
  bool allows(Loosening loosening) const { return allowed_.contains(loosening); }
  const std::vector<int>& capabilities() const { return capabilities_; }  // kept inside, empty by default
  const TcpPorts& tcp_bind() const { return tcp_bind_; }
  const TcpPorts& tcp_connect() const { return tcp_connect_; }
  const std::string& hostname() const { return hostname_; }
  const std::vector<std::string>& devices() const {
    return devices_;
  }  // names under /dev: null zero full random urandom tty
  // An absolute host directory that is the read-only root, or empty: the root is a tmpfs that holds only mounts().
  const std::string& root_directory() const { return root_directory_; }
  // Walls that must stand (`require`), with those that always must. Another that is missing is gone on without.
  const WallSet& required() const { return required_; }
  // Or an image; then root_directory() is empty.
  const std::optional<ImageRoot>& root_image() const { return root_image_; }
  const Origin& origin(const std::string& key) const;  // of a top-level key: "seccomp" -> "/seccomp" or "built-in"

  bool operator==(const SandboxSpec&) const = default;

 private:
  SandboxSpec() = default;
  friend class PolicyReader;
  std::string name_;
  std::vector<MountSpec> mounts_;
  Limits limits_;
  std::vector<std::string> environment_pass_;
  std::map<std::string, std::string> environment_set_;
  SeccompProfile seccomp_;
  SeccompProgram seccomp_program_, guard_;
  std::set<Loosening> allowed_;
  std::vector<int> capabilities_;
  TcpPorts tcp_bind_, tcp_connect_;
  std::string hostname_;
  std::vector<std::string> devices_;
  std::string root_directory_;
  WallSet required_;
  std::optional<ImageRoot> root_image_;
  std::map<std::string, Origin> origins_;
};

// The smallest document that loosens nothing: what `policy` gets where it is silent. Also the content of
// policies/default.json.
nlohmann::json apply_defaults(nlohmann::json policy);

}  // namespace bulkhead
