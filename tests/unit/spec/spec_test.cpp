#include "sandbox/spec/spec.h"

#include <gtest/gtest.h>

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>

#include <algorithm>
#include <fstream>

#include "tests/support/bpf_eval.h"

namespace bulkhead {
namespace {

using nlohmann::json;

#if defined(__x86_64__)
constexpr std::uint32_t kNativeAudit = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t kNativeAudit = AUDIT_ARCH_AARCH64;
#endif

json read_json_file(const std::string& path) {
  std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/" + path);
  return json::parse(file);
}

const std::map<std::string, json>& profiles() {
  static const std::map<std::string, json> all{{"default", read_json_file("policies/seccomp/default.json")}};
  return all;
}

// A policy of version 1 with what `text` adds.
json policy(const std::string& text = "{}") {
  json document = {{"version", 1}, {"name", "test"}};
  document.update(json::parse(text));
  return document;
}

SandboxSpec spec(const std::string& text = "{}") { return SandboxSpec::from_policy(policy(text), profiles()).value(); }

// "pointer: why | hint"
std::string refusal_of(const json& document) {
  const auto result = SandboxSpec::from_policy(document, profiles());
  if (result) return "accepted";
  const Error& error = result.error();
  EXPECT_EQ(error.operation, "policy");
  return error.object + ": " + error.detail + (error.hint.empty() ? "" : " | " + error.hint);
}
std::string refusal(const std::string& text) { return refusal_of(policy(text)); }

const MountSpec* mount_at(const SandboxSpec& spec, std::string_view target) {
  const auto at = std::ranges::find_if(spec.mounts(), [&](const MountSpec& m) { return m.target.str() == target; });
  return at == spec.mounts().end() ? nullptr : &*at;
}

TEST(DefaultPolicy, IsWhatASilentPolicyGets) {
  EXPECT_EQ(read_json_file("policies/default.json"), apply_defaults({{"version", 1}, {"name", "default"}}));
}

TEST(DefaultPolicy, IsTheSameSpecWhetherSaidOrNot) {
  SandboxSpec said = SandboxSpec::from_policy(apply_defaults(policy()), profiles()).value();
  const SandboxSpec silent = spec();
  EXPECT_EQ(said.limits().memory_bytes, silent.limits().memory_bytes);
  EXPECT_EQ(said.environment_set(), silent.environment_set());
  EXPECT_EQ(said.mounts().size(), silent.mounts().size());
  EXPECT_EQ(silent.origin("limits"), "built-in");
  EXPECT_EQ(said.origin("limits"), "/limits");
  EXPECT_EQ(silent.origin("no such key"), "built-in");
}

TEST(DefaultPolicy, LoosensNothing) {
  const SandboxSpec s = spec();
  EXPECT_TRUE(s.allowed().empty());
  EXPECT_TRUE(s.capabilities().empty());
  EXPECT_TRUE(s.root_directory().empty());
  EXPECT_EQ(s.limits().memory_bytes, 2ULL << 30);
  EXPECT_EQ(s.limits().swap_bytes, 0U);
  EXPECT_EQ(s.limits().cpu_milli, 0U);
  EXPECT_EQ(s.limits().pids, 512U);
  EXPECT_EQ(s.limits().wall.count(), 0);
  EXPECT_EQ(s.limits().open_files, 4096U);
  EXPECT_EQ(s.limits().file_bytes, 0U);
  EXPECT_EQ(s.limits().output_bytes, 16ULL << 20);
  EXPECT_EQ(s.seccomp().name, "default");
  EXPECT_EQ(s.hostname(), "bulkhead");
  EXPECT_EQ(s.environment_set().at("HOME"), "/home/agent");
  for (const MountSpec& mount : s.mounts()) {
    if (mount.type == MountType::bind) {
      EXPECT_EQ(mount.access, MountAccess::read_only) << mount.target.str();
    } else {
      EXPECT_GT(mount.size_bytes, 0U) << mount.target.str();
      EXPECT_GT(mount.inodes, 0U) << mount.target.str();
    }
  }
}

TEST(DefaultPolicy, ShowsNothingOfTheHostThatHoldsSecrets) {
  for (const MountSpec& mount : spec().mounts()) {
    for (const char* secret : {"/etc/shadow", "/etc/ssh", "/etc/ssl/private", "/etc/passwd", "/etc/gitconfig", "/root",
                               "/home/x", "/run", "/var", "/proc", "/sys", "/etc/machine-id"}) {
      const SandboxPath path = SandboxPath::parse(secret).value();
      EXPECT_FALSE(mount.type == MountType::bind && (path == mount.target || path.is_below(mount.target)))
          << mount.target.str() << " holds " << secret;
    }
  }
}

TEST(ShippedPolicies, AreRight) {
  for (const char* name : {"default", "worker", "copy-worker", "owner-worker", "image-worker"}) {
    const json document = read_json_file("policies/" + std::string(name) + ".json");
    const auto s = SandboxSpec::from_policy(document, profiles());
    ASSERT_TRUE(s) << name << ": " << s.error().text();
    EXPECT_EQ(s->name(), name);
  }
}

TEST(ShippedPolicies, GiveWorkersWhatTheyNeedAndNoMore) {
  const auto worker = SandboxSpec::from_policy(read_json_file("policies/worker.json"), profiles()).value();
  EXPECT_EQ(worker.allowed(), std::set{Loosening::writable_host});
  EXPECT_TRUE(worker.capabilities().empty());
  EXPECT_TRUE(worker.environment_pass().empty());
  EXPECT_EQ(worker.limits().memory_bytes, 1ULL << 30);
  EXPECT_EQ(worker.limits().pids, 64U);
  EXPECT_EQ(worker.limits().wall, std::chrono::minutes(10));
  EXPECT_EQ(mount_at(worker, "/home/agent"), nullptr);
  EXPECT_NE(mount_at(worker, "/usr"), nullptr);

  const auto copy = SandboxSpec::from_policy(read_json_file("policies/copy-worker.json"), profiles()).value();
  EXPECT_EQ(copy.allowed(), (std::set{Loosening::inside_root, Loosening::capabilities, Loosening::writable_host}));
  EXPECT_EQ(copy.capabilities(), (std::vector{0, 1, 3}));

  const auto owner = SandboxSpec::from_policy(read_json_file("policies/owner-worker.json"), profiles()).value();
  EXPECT_EQ(owner.allowed(), (std::set{Loosening::host_identity, Loosening::writable_host}));
  EXPECT_TRUE(owner.capabilities().empty());

  const auto image = SandboxSpec::from_policy(read_json_file("policies/image-worker.json"), profiles()).value();
  EXPECT_EQ(image.allowed(), std::set{Loosening::writable_host});
  EXPECT_TRUE(image.capabilities().empty());
  EXPECT_LE(image.limits().memory_bytes, 512u << 20);
  EXPECT_GT(image.limits().wall.count(), 0);
  EXPECT_EQ(mount_at(image, "/tmp"), nullptr);
}

TEST(ApplyDefaults, IsIdempotentAndLeavesWhatItIsGiven) {
  const json once = apply_defaults(policy(R"({"limits": {"pids": 9}, "mounts": {"/tmp/": {"tmpfs": "1Mi"}}})"));
  EXPECT_EQ(apply_defaults(once), once);
  EXPECT_EQ(once["limits"]["pids"], 9);
  EXPECT_EQ(once["limits"]["memory"], "2Gi");
  EXPECT_FALSE(once["mounts"].contains("/tmp"));  // "/tmp/" is it
  EXPECT_TRUE(once["mounts"].contains("/dev/shm"));
}

TEST(ApplyDefaults, TakesDocumentsOfAnyShape) {
  for (const char* text :
       {"null", "[]", "3", "\"x\"", R"({"mounts": 3, "limits": [], "environment": {"set": 1}, "root": "host"})",
        R"({"root": {"from": 3}})", R"({"environment": {"set": null}})", R"({"mounts": {"": 1, "x": []}})"}) {
    const json document = json::parse(text);
    EXPECT_NO_THROW(static_cast<void>(SandboxSpec::from_policy(apply_defaults(document), profiles()))) << text;
    EXPECT_FALSE(SandboxSpec::from_policy(document, profiles())) << text;
  }
}

TEST(Policy, SaysWhatVersionItIs) {
  EXPECT_EQ(refusal_of(json::parse("{}")), ": needs 'version: 1'");
  EXPECT_EQ(refusal_of({{"version", 2}}), "/version: expected version 1, got number 2");
  EXPECT_EQ(refusal_of({{"version", "1"}}), "/version: expected version 1, got '1'");
  EXPECT_EQ(refusal_of(json::array()), ": expected a map, got a list");
}

TEST(Policy, RefusesKeysItDoesNotKnow) {
  EXPECT_EQ(refusal(R"({"limit": {}})"), "/limit: unknown key 'limit' | did you mean 'limits'?");
  EXPECT_EQ(refusal(R"({"limits": {"memroy": "1Gi"}})"),
            "/limits/memroy: unknown key 'memroy' | did you mean 'memory'?");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"source": "/x", "acess": "read_only"}}})"),
            "/mounts/~1a/acess: unknown key 'acess' | did you mean 'access'?");
  EXPECT_EQ(refusal(R"({"environment": {"keep": []}})"),
            "/environment/keep: unknown key 'keep' | a key here is one of 'pass' or 'set'");
  EXPECT_EQ(refusal(R"({"root": {"from": "host", "path": "/x"}})"),
            "/root/path: unknown key 'path' | did you mean 'paths'?");
}

TEST(Policy, HasANameAndAHostName) {
  EXPECT_EQ(refusal(R"({"name": "My policy"})"),
            "/name: expected a name of at most 63 characters of a-z, 0-9, '.', '_' and '-', a letter or digit first, "
            "got 'My policy'");
  EXPECT_EQ(refusal(R"({"name": 7})"), "/name: expected a string, got number 7 | put it in quotes");
  EXPECT_EQ(refusal(R"({"hostname": "a_b"})"),
            "/hostname: expected a host name of at most 64 letters, digits, '-' and '.', got 'a_b'");
  EXPECT_EQ(refusal(R"({"hostname": "-a"})"),
            "/hostname: expected a host name of at most 64 letters, digits, '-' and '.', got '-a'");
  EXPECT_EQ(spec(R"({"hostname": "agent-7.local"})").hostname(), "agent-7.local");
  EXPECT_EQ(spec(R"({"$schema": "policy.schema.json", "description": "text"})").name(), "test");
  EXPECT_EQ(refusal(R"({"description": 5})"), "/description: expected a string, got number 5 | put it in quotes");
}

TEST(Limits, AreReadWithTheirUnits) {
  const SandboxSpec s = spec(R"({"limits": {"memory": "512Mi", "swap": "1Gi", "cpu": "1.5", "pids": 10, "wall": "1h30m",
                                 "cpu_time": "10s", "open_files": 100, "file_size": 4096, "output": 0}})");
  const Limits& limits = s.limits();
  EXPECT_EQ(limits.memory_bytes, 512ULL << 20);
  EXPECT_EQ(limits.swap_bytes, 1ULL << 30);
  EXPECT_EQ(limits.cpu_milli, 1500U);
  EXPECT_EQ(limits.pids, 10U);
  EXPECT_EQ(limits.wall, std::chrono::minutes(90));
  EXPECT_EQ(limits.cpu_time, std::chrono::seconds(10));
  EXPECT_EQ(limits.open_files, 100U);
  EXPECT_EQ(limits.file_bytes, 4096U);
  EXPECT_EQ(limits.output_bytes, 0U);
  EXPECT_EQ(limits.disk_bytes, 10ULL << 30);
  EXPECT_EQ(limits.disk_inodes, 1000000U);
  EXPECT_EQ(limits.origins.at("disk"), "built-in");
  EXPECT_EQ(limits.origins.at("memory"), "/limits/memory");
  EXPECT_EQ(spec(R"({"limits": {"memory": "1Gi"}})").limits().origins.at("pids"), "built-in");
  EXPECT_EQ(spec(R"({"limits": {"cpu": 0.5}})").limits().cpu_milli, 500U);
  EXPECT_EQ(spec(R"({"limits": {"cpu": 2}})").limits().cpu_milli, 2000U);
}

TEST(Limits, OfADiskComeTogether) {
  const Limits limits = spec(R"({"limits": {"disk": "64Mi", "inodes": 500}})").limits();
  EXPECT_EQ(limits.disk_bytes, 64ULL << 20);
  EXPECT_EQ(limits.disk_inodes, 500U);
  EXPECT_EQ(limits.origins.at("inodes"), "/limits/inodes");
  // One inode for each 4Ki at most: a small disk needs no second key.
  EXPECT_EQ(spec(R"({"limits": {"disk": "16Mi"}})").limits().disk_inodes, 4096U);
  const Limits lifted = spec(R"({"limits": {"disk": "unlimited"}, "allow": ["unbounded-disk"]})").limits();
  EXPECT_EQ(lifted.disk_bytes, 0U);
  EXPECT_EQ(lifted.disk_inodes, 0U);
  // The word alone lifts nothing where the host can bound a disk.
  EXPECT_EQ(spec(R"({"allow": ["unbounded-disk"]})").limits().disk_bytes, 10ULL << 30);
  EXPECT_EQ(
      refusal(R"({"limits": {"disk": "unlimited"}})"),
      "/limits/disk: a sandbox without a disk limit needs the loosening 'unbounded-disk' | add 'unbounded-disk' to "
      "the list 'allow'");
  EXPECT_EQ(refusal(R"({"limits": {"disk": "1Mi"}})"), "/limits/disk: expected a size of at least 16Mi, got '1Mi'");
  EXPECT_EQ(refusal(R"({"limits": {"disk": "9Ti"}})"), "/limits/disk: expected a size of at most 8Ti, got '9Ti'");
  EXPECT_EQ(refusal(R"({"limits": {"inodes": 5}})"),
            "/limits/inodes: expected a whole number from 64 to 2147483648, got number 5");
  EXPECT_EQ(spec(R"({"limits": {"disk": "32Gi", "inodes": 8192}})").limits().disk_inodes, 8192U);
  EXPECT_EQ(spec(R"({"limits": {"disk": "8Ti"}})").limits().disk_inodes, 2097152U);
  EXPECT_EQ(refusal(R"({"limits": {"disk": "32Gi", "inodes": 1000}})"),
            "/limits/inodes: expected at least 8192, one for each 4Mi of limits.disk, got number 1000");
  EXPECT_EQ(refusal(R"({"limits": {"inodes": "unlimited"}})"),
            "/limits/inodes: expected a whole number from 64 to 2147483648, got 'unlimited'");
}

TEST(Limits, AreRefusedWithWhatWasExpected) {
  EXPECT_EQ(refusal(R"({"limits": {"memory": "2 gigs"}})"),
            "/limits/memory: expected a size such as 512Mi or 2Gi, got '2 gigs'");
  EXPECT_EQ(refusal(R"({"limits": {"memory": true}})"),
            "/limits/memory: expected a size such as 512Mi or 2Gi, got true");
  EXPECT_EQ(refusal(R"({"limits": {"memory": null}})"),
            "/limits/memory: expected a size such as 512Mi or 2Gi, got nothing (null)");
  EXPECT_EQ(refusal(R"({"limits": {"memory": "1Ki"}})"), "/limits/memory: expected a size of at least 4Mi, got '1Ki'");
  EXPECT_EQ(refusal(R"({"limits": {"memory": "2Ei"}})"), "/limits/memory: expected a size of at most 1Ei, got '2Ei'");
  EXPECT_EQ(refusal(R"({"limits": {"memory": "99Ei"}})"), "/limits/memory: '99Ei' is more than 64 bits hold");
  EXPECT_EQ(refusal(R"({"limits": {"memory": -1}})"),
            "/limits/memory: expected a whole number from 0 to 18446744073709551615, got number -1");
  EXPECT_EQ(refusal(R"({"limits": {"pids": 1}})"),
            "/limits/pids: expected a whole number from 2 to 4194304, got number 1");
  EXPECT_EQ(refusal(R"({"limits": {"pids": "512"}})"),
            "/limits/pids: expected a whole number from 2 to 4194304, got '512'");
  EXPECT_EQ(refusal(R"({"limits": {"cpu": "5m"}})"),
            "/limits/cpu: expected at least 10m, a hundredth of a CPU, got '5m'");
  EXPECT_EQ(refusal(R"({"limits": {"cpu": []}})"),
            "/limits/cpu: expected a number of CPUs such as 2, 1.5 or 500m, got a list");
  EXPECT_EQ(refusal(R"({"limits": {"cpu": -1}})"),
            "/limits/cpu: expected a number of CPUs such as 2, 1.5 or 500m, got number -1");
  EXPECT_EQ(
      refusal(R"({"limits": {"wall": 30}})"),
      "/limits/wall: expected a duration such as 250ms, 10s, 30m or 1h30m, got number 30 | write the unit too: 30s");
  EXPECT_EQ(refusal(R"({"limits": {"wall": "0s"}})"),
            "/limits/wall: expected more than nothing, got '0s' | write 'unlimited' for no bound");
  EXPECT_EQ(refusal(R"({"limits": {"swap": "unlimited"}})"),
            "/limits/swap: expected a size such as 512Mi, or 0, got 'unlimited'");
  EXPECT_EQ(refusal(R"({"limits": {"open_files": 3}})"),
            "/limits/open_files: expected a whole number from 16 to 1048576, got number 3");
  EXPECT_EQ(refusal(R"({"limits": "2Gi"})"), "/limits: expected a map, got '2Gi'");
}

TEST(Limits, AreLiftedOnlyByName) {
  EXPECT_EQ(refusal(R"({"limits": {"memory": "unlimited"}})"),
            "/limits/memory: a sandbox without a memory limit needs the loosening 'unlimited-memory' | add "
            "'unlimited-memory' to "
            "the list 'allow'");
  EXPECT_EQ(refusal(R"({"limits": {"pids": "unlimited"}})"),
            "/limits/pids: a sandbox without a limit of processes needs the loosening 'unlimited-pids' | add "
            "'unlimited-pids' to the "
            "list 'allow'");
  const SandboxSpec s = spec(R"({"limits": {"memory": "unlimited", "pids": "unlimited", "wall": "unlimited"},
                                 "allow": ["unlimited-memory", "unlimited-pids"]})");
  EXPECT_EQ(s.limits().memory_bytes, 0U);
  EXPECT_EQ(s.limits().pids, 0U);
}

TEST(Mounts, AddToTheBuiltInOnes) {
  const SandboxSpec s = spec(R"({"mounts": {"/data/": {"source": "/srv//data", "executable": false, "optional": true},
                                            "/cache": {"tmpfs": "64Mi", "executable": true}}})");
  const MountSpec* data = mount_at(s, "/data");
  ASSERT_NE(data, nullptr);
  EXPECT_EQ(data->type, MountType::bind);
  EXPECT_EQ(data->source, "/srv/data");
  EXPECT_EQ(data->access, MountAccess::read_only);
  EXPECT_FALSE(data->executable);
  EXPECT_TRUE(data->optional);
  EXPECT_EQ(data->origin, "/mounts/~1data~1");
  const MountSpec* cache = mount_at(s, "/cache");
  ASSERT_NE(cache, nullptr);
  EXPECT_EQ(cache->type, MountType::tmpfs);
  EXPECT_EQ(cache->access, MountAccess::read_write);
  EXPECT_EQ(cache->size_bytes, 64ULL << 20);
  EXPECT_EQ(cache->inodes, 65'536U);
  EXPECT_TRUE(cache->executable);
  ASSERT_NE(mount_at(s, "/tmp"), nullptr);
  EXPECT_EQ(mount_at(s, "/tmp")->origin, "built-in");
  EXPECT_EQ(mount_at(s, "/usr")->origin, "built-in");
}

TEST(Mounts, CanBeReplacedOrDropped) {
  const SandboxSpec s = spec(R"({"mounts": {"/tmp": {"tmpfs": "8Mi"}, "/home/agent": null}})");
  EXPECT_EQ(mount_at(s, "/tmp")->size_bytes, 8ULL << 20);
  EXPECT_EQ(mount_at(s, "/tmp")->origin, "/mounts/~1tmp");
  EXPECT_EQ(mount_at(s, "/home/agent"), nullptr);
}

TEST(Mounts, StandInMountOrder) {
  const SandboxSpec s =
      spec(R"({"mounts": {"/a/b/c": {"tmpfs": "1Mi"}, "/a": {"tmpfs": "1Mi"}, "/a-z": {"tmpfs": "1Mi"}}})");
  for (auto child = s.mounts().begin(); child != s.mounts().end(); ++child)
    for (auto later = child; later != s.mounts().end(); ++later) EXPECT_FALSE(child->target.is_below(later->target));
}

TEST(Mounts, CannotTouchWhatASandboxMakesItself) {
  EXPECT_EQ(refusal(R"({"mounts": {"/": {"tmpfs": "1Mi"}}})"),
            "/mounts/~1: '/' is the root itself | say what it is with the key 'root'");
  EXPECT_EQ(refusal(R"({"mounts": {"/proc/sys": {"tmpfs": "1Mi"}}})"),
            "/mounts/~1proc~1sys: nothing can be mounted on /proc: every sandbox has its own");
  EXPECT_EQ(refusal(R"({"mounts": {"//sys/": {"tmpfs": "1Mi"}}})"),
            "/mounts/~1~1sys~1: nothing can be mounted on /sys: every sandbox has its own");
  EXPECT_EQ(refusal(R"({"mounts": {"/dev/null": {"source": "/x"}}})"),
            "/mounts/~1dev~1null: nothing but /dev/shm can be mounted on /dev: every sandbox has its own | name what "
            "it shall hold with "
            "the key 'devices'");
  EXPECT_EQ(refusal(R"({"mounts": {"/dev/shm": {"source": "/x"}}})"),
            "/mounts/~1dev~1shm: /dev/shm can only be a tmpfs");
  EXPECT_EQ(mount_at(spec(R"({"mounts": {"/process": {"tmpfs": "1Mi"}}})"), "/process")->type, MountType::tmpfs);
}

TEST(Mounts, CannotBringTheHostsKernelIn) {
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"source": "/proc/1"}}})"),
            "/mounts/~1a/source: the host's /proc cannot be in a sandbox");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"source": "/dev"}}})"),
            "/mounts/~1a/source: the host's /dev cannot be in a sandbox");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"source": "/"}}})"),
            "/mounts/~1a/source: the host's whole file system cannot be in a sandbox | name directories of it");
  EXPECT_EQ(refusal(R"({"root": {"from": "host", "paths": ["/sys/fs"]}})"),
            "/root/paths/0: the host's /sys cannot be in a sandbox");
  EXPECT_EQ(refusal(R"({"root": {"from": "directory", "path": "/"}})"),
            "/root/path: the host's whole file system cannot be in a sandbox | name directories of it");
}

TEST(Mounts, ContradictionsAreRefused) {
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"source": "/x", "tmpfs": "1Mi"}}})"),
            "/mounts/~1a: has both 'source' and 'tmpfs' | a mount is one of the two: drop the other");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {}}})"),
            "/mounts/~1a: needs the key 'source' (a host path) or 'tmpfs' (a size)");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"sorce": "/x"}}})"),
            "/mounts/~1a/sorce: unknown key 'sorce' | did you mean 'source'?");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"source": "/x", "inodes": 5}}})"),
            "/mounts/~1a/inodes: 'inodes' is for a tmpfs; this mount has a 'source'");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"tmpfs": "1Mi", "access": "read_only"}}})"),
            "/mounts/~1a/access: 'access' is for a mount with a 'source'; this one is a tmpfs");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"source": "/x"}, "/a/": {"source": "/y"}}})"),
            "/mounts/~1a~1: '/a' is mounted twice | the other is /mounts/~1a");
  EXPECT_EQ(refusal(R"({"mounts": {"/usr": {"source": "/y"}}})"),
            "/mounts/~1usr: '/usr' is mounted twice | the other is /root/paths/0");
  EXPECT_EQ(refusal(R"({"root": {"from": "host", "paths": ["/usr", "/usr/"]}})"),
            "/root/paths/1: '/usr' is mounted twice | the other is /root/paths/0");
}

TEST(Mounts, AreRefusedWithWhatWasExpected) {
  EXPECT_EQ(refusal(R"({"mounts": []})"), "/mounts: expected a map, got a list");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": "/x"}})"), "/mounts/~1a: expected a map, got '/x'");
  EXPECT_EQ(refusal(R"({"mounts": {"a": {"source": "/x"}}})"),
            "/mounts/a: the target 'a' is not an absolute path | write the whole path inside the sandbox");
  EXPECT_EQ(refusal(R"({"mounts": {"/a/../b": {"source": "/x"}}})"),
            "/mounts/~1a~1..~1b: the target '/a/../b' holds '..' | write the whole path inside the sandbox");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"source": "x"}}})"),
            "/mounts/~1a/source: 'x' is not an absolute path | write the whole path on the host");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"source": "/x", "access": "rw"}}})"),
            "/mounts/~1a/access: expected 'read_only' or 'read_write', got 'rw'");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"source": "/x", "executable": "yes"}}})"),
            "/mounts/~1a/executable: expected true or false, got 'yes'");
  EXPECT_EQ(refusal(R"({"mounts": {"/a": {"tmpfs": 0}}})"),
            "/mounts/~1a/tmpfs: expected a size of at least 4Ki, got number 0");
}

TEST(Mounts, WriteToTheHostOnlyByName) {
  const char* document = R"({"mounts": {"/a": {"source": "/x", "access": "read_write"}}})";
  EXPECT_EQ(refusal(document),
            "/mounts/~1a/access: writing to the host's '/x' needs the loosening 'writable-host' | add 'writable-host' "
            "to the list 'allow'");
  const SandboxSpec s =
      spec(R"({"mounts": {"/a": {"source": "/x", "access": "read_write"}}, "allow": ["writable-host"]})");
  EXPECT_EQ(mount_at(s, "/a")->access, MountAccess::read_write);
}

TEST(Root, IsTheHostsOrADirectory) {
  const SandboxSpec directory = spec(R"({"root": {"from": "directory", "path": "/srv/root/"}})");
  EXPECT_EQ(directory.root_directory(), "/srv/root");
  EXPECT_EQ(mount_at(directory, "/usr"), nullptr);
  EXPECT_NE(mount_at(directory, "/tmp"), nullptr);
  const SandboxSpec some = spec(R"({"root": {"from": "host", "paths": ["/opt"]}})");
  EXPECT_EQ(mount_at(some, "/usr"), nullptr);
  ASSERT_NE(mount_at(some, "/opt"), nullptr);
  EXPECT_TRUE(mount_at(some, "/opt")->optional);
  EXPECT_TRUE(mount_at(some, "/opt")->executable);
  EXPECT_EQ(mount_at(some, "/opt")->origin, "/root/paths/0");
  EXPECT_NE(mount_at(spec(R"({"root": {"from": "host"}})"), "/usr"), nullptr);
}

TEST(Root, IsAnImage) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const SandboxSpec least = spec(R"({"root": {"from": "image", "path": "/srv/image"}})");
  ASSERT_TRUE(least.root_image());
  EXPECT_EQ(*least.root_image(), (ImageRoot{.layout = "/srv/image",
                                            .reference = {},
                                            .digest = {},
                                            .environment = {},
                                            .bytes = 8ULL << 30,
                                            .entries = 1'000'000}));
  EXPECT_EQ(least.root_directory(), "");
  EXPECT_EQ(mount_at(least, "/usr"), nullptr);
  EXPECT_NE(mount_at(least, "/tmp"), nullptr);
  const SandboxSpec all =
      spec(R"({"root": {"from": "image", "path": "/srv/image", "reference": "app:1.2", "digest": ")" + digest +
           R"(", "environment": ["PATH", "GO*"], "keep": ["xattrs"], "size": "1Gi", "inodes": 5000}})");
  EXPECT_EQ(*all.root_image(), (ImageRoot{.layout = "/srv/image",
                                          .reference = "app:1.2",
                                          .digest = digest,
                                          .environment = {"PATH", "GO*"},
                                          .keep_user_attributes = true,
                                          .bytes = 1ULL << 30,
                                          .entries = 5000}));
  EXPECT_EQ(all.root_image()->text(), "/srv/image:app:1.2@" + digest);
}

TEST(Root, AnImageIsRefusedWithWhatWasExpected) {
  const auto with = [](const std::string& member) {
    return refusal(R"({"root": {"from": "image", "path": "/srv/image", )" + member + "}}");
  };
  EXPECT_EQ(refusal(R"({"root": {"from": "image"}})"),
            "/root: needs the key 'path': the directory of an OCI image layout");
  EXPECT_EQ(refusal(R"({"root": {"from": "image", "path": "layout"}})").substr(0, 12), "/root/path: ");
  EXPECT_EQ(with(R"("refernce": "x")"), "/root/refernce: unknown key 'refernce' | did you mean 'reference'?");
  EXPECT_EQ(with(R"("reference": "")"),
            "/root/reference: expected an image's name in its layout, at most 255 characters, got ''");
  EXPECT_EQ(with(R"("digest": "sha256:12")"),
            "/root/digest: expected 'sha256:' and 64 hexadecimal digits, got 'sha256:12' | index.json of the layout "
            "lists the digests");
  EXPECT_EQ(with(R"("digest": "sha256:)" + std::string(64, 'A') + "\"").substr(0, 14), "/root/digest: ");
  EXPECT_EQ(with(R"("environment": ["*"])"),
            "/root/environment/0: expected the name of a variable, or the beginning of one and '*', got '*'");
  EXPECT_EQ(with(R"("environment": ["A", "A"])"), "/root/environment/1: 'A' is there twice");
  for (const std::string word : {"setuid", "devices"})
    EXPECT_EQ(with(R"("keep": [")" + word + "\"]"),
              "/root/keep/0: '" + word +
                  "' cannot be kept | in every sandbox setuid bits and device nodes of files are without effect");
  EXPECT_EQ(with(R"("keep": ["acls"])"), "/root/keep/0: expected 'xattrs', got 'acls'");
  EXPECT_EQ(with(R"("inodes": 3)").substr(0, 14), "/root/inodes: ");
}

TEST(Root, IsRefusedWithWhatWasExpected) {
  EXPECT_EQ(refusal(R"({"root": {}})"),
            "/root: needs the key 'from' | 'from' is one of 'host', 'directory' or 'image'");
  EXPECT_EQ(refusal(R"({"root": {"from": "tape"}})"),
            "/root/from: expected 'host', 'directory' or 'image', got 'tape'");
  EXPECT_EQ(refusal(R"({"root": {"from": "directory"}})"),
            "/root: needs the key 'path': the directory that becomes the root");
  EXPECT_EQ(refusal(R"({"root": {"from": "directory", "path": "/x", "paths": []}})"),
            "/root/paths: unknown key 'paths' | did you mean 'path'?");
  EXPECT_EQ(refusal(R"({"root": "host"})"), "/root: expected a map, got 'host'");
  EXPECT_EQ(refusal(R"({"root": {"from": "host", "paths": "/usr"}})"), "/root/paths: expected a list, got '/usr'");
}

TEST(Environment, MergesWhatIsSetAndReplacesWhatIsPassed) {
  const SandboxSpec s =
      spec(R"({"environment": {"pass": ["LANG", "MY_*"], "set": {"HOME": "/x", "NEW": "a=b c", "USER": null}}})");
  EXPECT_EQ(s.environment_pass(), (std::vector<std::string>{"LANG", "MY_*"}));
  EXPECT_EQ(s.environment_set().at("HOME"), "/x");
  EXPECT_EQ(s.environment_set().at("NEW"), "a=b c");
  EXPECT_EQ(s.environment_set().count("USER"), 0U);
  EXPECT_EQ(s.environment_set().count("PATH"), 1U);
}

TEST(Environment, IsRefusedWithWhatWasExpected) {
  EXPECT_EQ(refusal(R"({"environment": {"pass": ["*"]}})"),
            "/environment/pass/0: expected the name of a variable, or the beginning of one and '*', got '*'");
  EXPECT_EQ(refusal(R"({"environment": {"pass": ["A*B"]}})"),
            "/environment/pass/0: expected the name of a variable, or the beginning of one and '*', got 'A*B'");
  EXPECT_EQ(refusal(R"({"environment": {"pass": [""]}})"),
            "/environment/pass/0: expected the name of a variable, or the beginning of one and '*', got ''");
  EXPECT_EQ(refusal(R"({"environment": {"pass": ["A", "A"]}})"), "/environment/pass/1: 'A' is there twice");
  EXPECT_EQ(refusal(R"({"environment": {"set": {"A=B": "x"}}})"),
            "/environment/set/A=B: 'A=B' cannot be the name of a variable");
  EXPECT_EQ(refusal(R"({"environment": {"set": {"A": 1}}})"),
            "/environment/set/A: expected a string, got number 1 | put it in quotes");
  EXPECT_EQ(refusal(R"({"environment": {"set": {"A": "x\u0000y"}}})"), "/environment/set/A: holds a NUL character");
  EXPECT_EQ(refusal(R"({"environment": {"set": null}})"), "/environment/set: expected a map, got nothing (null)");
}

TEST(Devices, AreNamedOnce) {
  EXPECT_EQ(spec(R"({"devices": ["null"]})").devices(), std::vector<std::string>{"null"});
  EXPECT_EQ(
      refusal(R"({"devices": ["nul"]})"),
      "/devices/0: expected 'null', 'zero', 'full', 'random', 'urandom' or 'tty', got 'nul' | did you mean 'null'?");
  EXPECT_EQ(refusal(R"({"devices": ["kvm"]})"),
            "/devices/0: expected 'null', 'zero', 'full', 'random', 'urandom' or 'tty', got 'kvm'");
  EXPECT_EQ(refusal(R"({"devices": ["null", "null"]})"), "/devices/1: 'null' is there twice");
}

TEST(Capabilities, AreKeptOnlyByName) {
  EXPECT_EQ(refusal(R"({"capabilities": ["CAP_CHOWN"]})"),
            "/capabilities: a sandbox that keeps capabilities needs the loosening 'capabilities' | add 'capabilities' "
            "to the list 'allow'");
  EXPECT_EQ(spec(R"({"capabilities": ["CAP_FOWNER", "CAP_CHOWN"], "allow": ["capabilities"]})").capabilities(),
            (std::vector{0, 3}));
  EXPECT_EQ(refusal(R"({"capabilities": ["CAP_CHWON"], "allow": ["capabilities"]})"),
            "/capabilities/0: unknown capability 'CAP_CHWON' | did you mean 'CAP_CHOWN'?");
  EXPECT_EQ(refusal(R"({"capabilities": ["everything"], "allow": ["capabilities"]})"),
            "/capabilities/0: unknown capability 'everything' | names are those of capabilities(7), such as CAP_CHOWN");
  EXPECT_EQ(refusal(R"({"capabilities": ["CAP_CHOWN", "CAP_CHOWN"], "allow": ["capabilities"]})"),
            "/capabilities/1: 'CAP_CHOWN' is there twice");
}

TEST(Allow, IsAListOfKnownWords) {
  EXPECT_EQ(refusal(R"({"allow": ["writeable-host"]})"),
            "/allow/0: unknown loosening 'writeable-host' | did you mean 'writable-host'?");
  EXPECT_EQ(refusal(R"({"allow": ["host-network", "host-network"]})"), "/allow/1: 'host-network' is there twice");
  EXPECT_EQ(refusal(R"({"allow": "host-network"})"), "/allow: expected a list, got 'host-network'");
  EXPECT_TRUE(spec(R"({"allow": ["host-network"]})").allows(Loosening::host_network));
}

TEST(Allow, RefusesAHostUserWithPrivilege) {
  EXPECT_EQ(refusal(R"({"allow": ["host-identity", "inside-root"]})"),
            "/allow/1: 'inside-root' contradicts 'host-identity' | a sandbox that runs as a host user holds no "
            "privilege: drop one of the "
            "two");
  EXPECT_EQ(refusal(R"({"allow": ["capabilities", "host-identity"]})"),
            "/allow/0: 'capabilities' contradicts 'host-identity' | a sandbox that runs as a host user holds no "
            "privilege: drop one of the "
            "two");
}

TEST(Loosening, HasAWordEach) {
  for (const char* word :
       {"host-identity", "inside-root", "capabilities", "host-network", "writable-host", "unlimited-memory",
        "unlimited-pids", "unbounded-disk", "no-seccomp", "no-landlock", "unmasked-proc", "terminal-injection"}) {
    const auto loosening = parse_loosening(word);
    ASSERT_TRUE(loosening) << word;
    EXPECT_EQ(name(*loosening), word);
  }
  EXPECT_EQ(parse_loosening("no_seccomp").error().text(), "read loosening 'no_seccomp': no such loosening");
  EXPECT_EQ(parse_loosening("no_seccomp").error().hint, "did you mean 'no-seccomp'?");
}

TEST(Policy, SystemCallsAreAddedByNameAndGroup) {
  const auto allows = [](const SandboxSpec& s, int number) {
    seccomp_data data{};
    data.nr = number;
    data.arch = kNativeAudit;
    return testing::verdict(testing::evaluate_bpf(s.seccomp_program(), data)) == "allow";
  };
  EXPECT_FALSE(allows(spec("{}"), SYS_ptrace));
  const SandboxSpec s = spec(R"({"seccomp_allow": ["@debug", "io_uring_setup"]})");
  EXPECT_TRUE(allows(s, SYS_ptrace));
  EXPECT_TRUE(allows(s, SYS_kcmp));
  EXPECT_TRUE(allows(s, SYS_io_uring_setup));
  EXPECT_FALSE(allows(s, SYS_io_uring_enter));
  EXPECT_FALSE(allows(s, SYS_mount));
  EXPECT_EQ(refusal(R"({"seccomp_allow": ["@debugs"]})"),
            "/seccomp_allow/0: no such group of system calls '@debugs' | did you mean '@debug'?");
  EXPECT_EQ(
      refusal(R"({"seccomp_allow": ["ptrace", "fly"]})"),
      "/seccomp_allow/1: no such system call 'fly' | system calls are named as in syscalls(2); groups begin with '@'");
  EXPECT_EQ(group_of("ptrace"), "@debug");
  EXPECT_EQ(group_of("read"), "");
}

TEST(Policy, RefusalsAreToldToAListenerButNotItsOwnCalls) {
  const auto answer = [](const SandboxSpec& s, int number, std::uint64_t first = 0) {
    seccomp_data data{};
    data.nr = number;
    data.arch = kNativeAudit;
    data.args[0] = first;
    return testing::verdict(testing::evaluate_bpf(s.seccomp_program(), data));
  };
  const SandboxSpec s = spec("{}");
  EXPECT_EQ(answer(s, SYS_unshare), "notify");
  EXPECT_EQ(answer(s, SYS_clone, CLONE_NEWUSER), "notify");
  EXPECT_EQ(answer(s, SYS_clone, SIGCHLD), "allow");
  EXPECT_EQ(answer(s, SYS_clone3), "errno 38");
  // A profile that refuses all it does not name: init's own calls are refused by the filter, for it cannot ask itself.
  const std::map<std::string, json> docker{
      {"default", {{"defaultAction", "SCMP_ACT_ERRNO"}, {"syscalls", json::array()}}}};
  const SandboxSpec closed = SandboxSpec::from_policy(apply_defaults({{"version", 1}}), docker).value();
  EXPECT_EQ(answer(closed, SYS_mount), "notify");
  for (const int number : {SYS_fcntl, SYS_execveat, SYS_ioctl, SYS_ppoll, SYS_pwrite64, SYS_recvmsg, SYS_chdir})
    EXPECT_EQ(answer(closed, number), "errno 1") << number;
}

TEST(Policy, LimitsOfDisksAreBytesASecond) {
  const SandboxSpec s = spec(R"({"limits": {"io_read": "20Mi", "io_write": 1048576}})");
  EXPECT_EQ(s.limits().io_read, 20u << 20);
  EXPECT_EQ(s.limits().io_write, 1u << 20);
  EXPECT_EQ(spec("{}").limits().io_read, 0u);
  EXPECT_EQ(refusal(R"({"limits": {"io_write": "1Ki"}})"),
            "/limits/io_write: expected a size of at least 64Ki, got '1Ki'");
  EXPECT_EQ(refusal(R"({"limits": {"io_read": "fast"}})").substr(0, 17), "/limits/io_read: ");
}

TEST(Policy, SoftLimitsStandBelowTheHardOnes) {
  const SandboxSpec s = spec(R"({"limits": {"memory": "1Gi", "memory_high": "512Mi", "cpu_weight": 50}})");
  EXPECT_EQ(s.limits().memory_high, 512u << 20);
  EXPECT_EQ(s.limits().cpu_weight, 50u);
  EXPECT_EQ(refusal(R"({"limits": {"memory": "1Gi", "memory_high": "1Gi"}})"),
            "/limits/memory_high: expected less than the memory limit, which comes first otherwise, got '1Gi'");
  EXPECT_EQ(refusal(R"({"limits": {"cpu_weight": 0}})"),
            "/limits/cpu_weight: expected a whole number from 1 to 10000, got number 0");
}

TEST(Policy, TcpPortsAreAnyOrNamed) {
  EXPECT_TRUE(spec("{}").tcp_bind().any);
  const SandboxSpec s = spec(R"({"tcp": {"bind": [8080, 0], "connect": []}})");
  EXPECT_EQ(s.tcp_bind(), (TcpPorts{false, {0, 8080}}));
  EXPECT_EQ(s.tcp_connect(), (TcpPorts{false, {}}));
  EXPECT_EQ(refusal(R"({"tcp": {"bind": "all"}})"), "/tcp/bind: expected 'any' or a list of ports, got 'all'");
  EXPECT_EQ(refusal(R"({"tcp": {"bind": [65536]}})"),
            "/tcp/bind/0: expected a whole number from 0 to 65535, got number 65536");
  EXPECT_EQ(refusal(R"({"tcp": {"bind": [1, 1]}})"), "/tcp/bind/1: port 1 is there twice");
  EXPECT_EQ(refusal(R"({"tcp": {"listen": "any"}})"),
            "/tcp/listen: unknown key 'listen' | a key here is one of 'bind' or 'connect'");
  EXPECT_EQ(refusal(R"({"tcp": {"connect": [1]}, "allow": ["no-landlock"]})"),
            "/tcp: ports are Landlock's wall, which 'no-landlock' takes away | drop one of the two");
}

TEST(Seccomp, IsAProfileByNameOrNoneByName) {
  EXPECT_EQ(refusal(R"({"seccomp": "defalt"})"), "/seccomp: no seccomp profile 'defalt' | did you mean 'default'?");
  EXPECT_EQ(refusal(R"({"seccomp": "strict"})"),
            "/seccomp: no seccomp profile 'strict' | a profile is one of 'none' or 'default'");
  EXPECT_EQ(refusal(R"({"seccomp": "none"})"),
            "/seccomp: a sandbox without a system call filter needs the loosening 'no-seccomp' | add 'no-seccomp' to "
            "the list 'allow'");
  const SandboxSpec s = spec(R"({"seccomp": "none", "allow": ["no-seccomp"]})");
  EXPECT_EQ(s.seccomp().default_action, "SCMP_ACT_ALLOW");
  EXPECT_TRUE(s.seccomp().rules.empty());
}

// The words in quotes in the hint of an unknown key, or in the text of a refused word: what the reader knows.
std::set<std::string> known_words(const std::string& text) {
  std::set<std::string> words;
  for (std::size_t at = text.find('\''); at != std::string::npos;) {
    const std::size_t end = text.find('\'', at + 1);
    words.insert(text.substr(at + 1, end - at - 1));
    at = text.find('\'', end + 1);
  }
  return words;
}

std::set<std::string> keys_of(const json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

std::set<std::string> hint_words(const std::string& text) {
  const auto result = SandboxSpec::from_policy(policy(text), profiles());
  EXPECT_FALSE(result);
  return result ? std::set<std::string>() : known_words(result.error().hint);
}

TEST(Schema, KnowsTheKeysThatTheReaderKnows) {
  const json schema = read_json_file("policies/policy.schema.json")["properties"];
  EXPECT_EQ(keys_of(schema), hint_words(R"({"qqqqqqqqqqqq": 1})"));
  EXPECT_EQ(keys_of(schema["limits"]["properties"]), hint_words(R"({"limits": {"qqqqqqqqqqqq": 1}})"));
  EXPECT_EQ(keys_of(schema["environment"]["properties"]), hint_words(R"({"environment": {"qqqqqqqqqqqq": 1}})"));
  const json& mounts = schema["mounts"]["additionalProperties"]["oneOf"];
  EXPECT_EQ(keys_of(mounts[1]["properties"]), hint_words(R"({"mounts": {"/a": {"source": "/x", "qqqqqqqqqqqq": 1}}})"));
  EXPECT_EQ(keys_of(mounts[2]["properties"]), hint_words(R"({"mounts": {"/a": {"tmpfs": "1Mi", "qqqqqqqqqqqq": 1}}})"));
  const json& roots = schema["root"]["oneOf"];
  EXPECT_EQ(keys_of(roots[0]["properties"]), hint_words(R"({"root": {"from": "host", "qqqqqqqqqqqq": 1}})"));
  EXPECT_EQ(keys_of(roots[1]["properties"]), hint_words(R"({"root": {"from": "directory", "qqqqqqqqqqqq": 1}})"));
  EXPECT_EQ(keys_of(roots[2]["properties"]), hint_words(R"({"root": {"from": "image", "qqqqqqqqqqqq": 1}})"));
}

TEST(Schema, KnowsTheWordsThatTheReaderKnows) {
  const json schema = read_json_file("policies/policy.schema.json")["properties"];
  const auto words = schema["allow"]["items"]["enum"].get<std::set<std::string>>();
  EXPECT_EQ(words, known_words(parse_loosening("qqqqqqqqqqqqqqqqqqqqqqqqqqq").error().hint));
  const auto devices = schema["devices"]["items"]["enum"].get<std::set<std::string>>();
  for (const std::string& device : devices)
    EXPECT_TRUE(SandboxSpec::from_policy(policy(R"({"devices": [")" + device + "\"]}"), profiles())) << device;
  for (const std::string name : schema["capabilities"]["items"]["enum"])
    EXPECT_TRUE(SandboxSpec::from_policy(policy(R"({"allow": ["capabilities"], "capabilities": [")" + name + "\"]}"),
                                         profiles()))
        << name;
  EXPECT_EQ(schema["capabilities"]["items"]["enum"].size(), 41U);
}

TEST(Spec, IsAValue) {
  const SandboxSpec a = spec();
  SandboxSpec b = a;
  EXPECT_EQ(a, b);
  b = spec(R"({"limits": {"pids": 7}})");
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace bulkhead
