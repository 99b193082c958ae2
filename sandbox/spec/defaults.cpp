#include <array>
#include <string_view>

#include "sandbox/spec/device_names.h"
#include "sandbox/spec/spec.h"

namespace bulkhead {
namespace {

using nlohmann::json;

// What of the host an ordinary program needs to run: programs, libraries and the few harmless files of /etc that
// loaders, TLS and time zones read. An allow-list: nothing of /etc that is not named here is in a sandbox. passwd,
// group and hosts are not the host's: the launcher writes its own.
constexpr auto kHostPaths = std::to_array<std::string_view>({
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    // the dynamic loader, and the linker that looks where it would
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    // cc -> gcc and the like
    "/etc/alternatives",
    // certificates and settings of TLS libraries, on Debian and on Fedora; never /etc/ssl/private
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust/extracted",
    "/etc/crypto-policies",
    // names of services, protocols, file types, time, the system
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/services",
    "/etc/mime.types",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/os-release",
    "/etc/debian_version",
    // where Debian keeps settings of languages without which they do not start or lose modules
    "/etc/python3",
    "/etc/python3.9",
    "/etc/python3.11",
    "/etc/python3.12",
    "/etc/python3.13",
    "/etc/perl",
    "/etc/java-11-openjdk",
    "/etc/java-17-openjdk",
    "/etc/java-21-openjdk",
    "/etc/java-25-openjdk",
});

const json& host_paths() {
  static const json paths = json(kHostPaths);
  return paths;
}

const json& built_in() {
  static const json defaults = {{"version", 1},
                                {"name", "unnamed"},
                                {"root", {{"from", "host"}, {"paths", host_paths()}}},
                                {"mounts",
                                 {{"/tmp", {{"tmpfs", "1Gi"}, {"inodes", 262144}, {"executable", true}}},
                                  {"/home/agent", {{"tmpfs", "1Gi"}, {"inodes", 262144}, {"executable", true}}},
                                  {"/dev/shm", {{"tmpfs", "256Mi"}, {"inodes", 16384}, {"executable", false}}}}},
                                {"devices", kDeviceNames},
                                {"environment",
                                 {{"pass", {"LANG", "LANGUAGE", "LC_*", "TERM", "COLORTERM", "NO_COLOR", "TZ"}},
                                  {"set",
                                   {{"HOME", "/home/agent"},
                                    {"USER", "agent"},
                                    {"LOGNAME", "agent"},
                                    {"SHELL", "/bin/sh"},
                                    {"TMPDIR", "/tmp"},
                                    {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}}}}},
                                {"limits",
                                 {{"memory", "2Gi"},
                                  {"memory_high", "unlimited"},
                                  {"swap", "0"},
                                  {"cpu", "unlimited"},
                                  {"cpu_weight", 100},
                                  {"pids", 512},
                                  {"io_read", "unlimited"},
                                  {"io_write", "unlimited"},
                                  {"wall", "unlimited"},
                                  {"cpu_time", "unlimited"},
                                  {"open_files", 4096},
                                  {"file_size", "unlimited"},
                                  {"disk", "10Gi"},
                                  {"inodes", 1000000},
                                  {"output", "16Mi"}}},
                                {"seccomp", "default"},
                                {"seccomp_allow", json::array()},
                                {"tcp", {{"bind", "any"}, {"connect", "any"}}},
                                {"hostname", "bulkhead"},
                                {"capabilities", json::array()},
                                {"allow", json::array()},
                                {"require", walls_required_by_default()}};
  return defaults;
}

// Adds to `map` what it does not name. A null says "not this one" and stays for the reader to pass over.
void fill(json& map, const json& defaults) {
  for (const auto& [key, value] : defaults.items())
    if (!map.contains(key)) map[key] = value;
}

// The same, where "/tmp/" names "/tmp".
void fill_mounts(json& mounts, const json& defaults) {
  for (const auto& [target, mount] : defaults.items()) {
    bool named = false;
    for (const auto& [key, value] : mounts.items()) {
      const auto path = SandboxPath::parse(key);
      named = named || (path && path->str() == target);
    }
    if (!named) mounts[target] = mount;
  }
}

}  // namespace

json apply_defaults(json policy) {
  // What has the wrong type is left as it is: the reader says so, with its place.
  if (!policy.is_object()) return policy;
  const json& defaults = built_in();
  for (const char* key : {"mounts", "environment", "limits", "root", "tcp"}) {
    if (!policy.contains(key) || !policy[key].is_object()) continue;
    json& given = policy[key];
    if (key == std::string_view("mounts")) {
      fill_mounts(given, defaults[key]);
    } else if (key == std::string_view("root")) {
      if (given.value("from", json()) == "host" && !given.contains("paths")) given["paths"] = host_paths();
    } else {
      fill(given, defaults[key]);
      if (key == std::string_view("environment") && given["set"].is_object()) fill(given["set"], defaults[key]["set"]);
    }
  }
  fill(policy, defaults);
  return policy;
}

}  // namespace bulkhead
