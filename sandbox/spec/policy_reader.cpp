#include "sandbox/spec/policy_reader.h"

#include <algorithm>

#include "sandbox/base/text.h"
#include "sandbox/spec/capability_names.h"

namespace bulkhead {
namespace {

constexpr std::string_view kBuiltIn = "built-in";

const std::vector<std::string>& top_level_keys() {
  static const std::vector<std::string> keys{
      "$schema", "version", "name",     "description",  "root",  "mounts", "devices",       "environment",
      "limits",  "seccomp", "hostname", "capabilities", "allow", "tcp",    "seccomp_allow", "require"};
  return keys;
}

bool is_name(std::string_view text) {
  constexpr std::string_view first = "abcdefghijklmnopqrstuvwxyz0123456789";
  constexpr std::string_view later = "abcdefghijklmnopqrstuvwxyz0123456789._-";
  return !text.empty() && text.size() <= 63 && first.find(text[0]) != std::string_view::npos &&
         text.find_first_not_of(later) == std::string_view::npos;
}

// RFC 1123 labels, in the 64 bytes that the kernel keeps (uname(2)).
bool is_hostname(std::string_view text) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
  if (text.empty() || text.size() > 64) return false;
  return std::ranges::all_of(split(text, '.'), [&](const std::string& label) {
    return !label.empty() && label.front() != '-' && label.back() != '-' &&
           label.find_first_not_of(letters) == std::string::npos;
  });
}

}  // namespace

Result<SandboxSpec> SandboxSpec::from_policy(const nlohmann::json& policy,
                                             const std::map<std::string, nlohmann::json>& profiles) {
  return PolicyReader(policy, profiles).read();
}

const Origin& SandboxSpec::origin(const std::string& key) const {
  static const Origin built_in(kBuiltIn);
  const auto at = origins_.find(key);
  return at == origins_.end() ? built_in : at->second;
}

PolicyReader::PolicyReader(const nlohmann::json& policy, const std::map<std::string, nlohmann::json>& profiles)
    : given_(policy), completed_(apply_defaults(policy)), profiles_(profiles) {}

Result<SandboxSpec> PolicyReader::read() {
  BULKHEAD_TRY(JsonNode("policy", given_).object_of(top_level_keys()));
  for (const std::string& key : top_level_keys())
    if (given_.contains(key)) spec_.origins_[key] = "/" + key;
  // `allow` first: every other part may ask for a loosening.
  BULKHEAD_TRY(read_head());
  BULKHEAD_TRY(read_allow());
  BULKHEAD_TRY(read_root());
  BULKHEAD_TRY(read_mounts());
  BULKHEAD_TRY(read_devices());
  BULKHEAD_TRY(read_environment());
  BULKHEAD_TRY(read_limits());
  BULKHEAD_TRY(read_capabilities());
  BULKHEAD_TRY(read_seccomp());
  BULKHEAD_TRY(read_tcp());
  BULKHEAD_TRY(read_require());
  return std::move(spec_);
}

Result<> PolicyReader::read_head() {
  const JsonNode document("policy", given_);
  const auto version = document.find("version");
  if (!version) return document.refuse("needs 'version: 1'");
  if (version->value() != 1) return version->expected("version 1");
  for (const char* text : {"$schema", "description"})
    if (const auto node = document.find(text)) BULKHEAD_TRY(node->string());

  const JsonNode name = part("name");
  BULKHEAD_ASSIGN(spec_.name_, name.string());
  if (!is_name(spec_.name_))
    return name.expected("a name of at most 63 characters of a-z, 0-9, '.', '_' and '-', a letter or digit first");

  const JsonNode hostname = part("hostname");
  BULKHEAD_ASSIGN(spec_.hostname_, hostname.string());
  if (!is_hostname(spec_.hostname_)) return hostname.expected("a host name of at most 64 letters, digits, '-' and '.'");
  return {};
}

Result<> PolicyReader::read_allow() {
  BULKHEAD_ASSIGN(const auto words, part("allow").elements());
  std::map<Loosening, JsonNode> at;
  for (const JsonNode& node : words) {
    BULKHEAD_ASSIGN(const std::string word, node.string());
    auto loosening = parse_loosening(word);
    if (!loosening) return node.refuse("unknown loosening " + loosening.error().object, loosening.error().hint);
    if (!at.emplace(*loosening, node).second) return node.refuse("'" + word + "' is there twice");
    spec_.allowed_.insert(*loosening);
  }
  // A host uid has no range of its own in which it could be root or hold a capability.
  for (const Loosening other : {Loosening::inside_root, Loosening::capabilities})
    if (spec_.allows(Loosening::host_identity) && spec_.allows(other))
      return at.at(other).refuse("'" + std::string(bulkhead::name(other)) + "' contradicts 'host-identity'",
                                 "a sandbox that runs as a host user holds no privilege: drop one of the two");
  return {};
}

Result<> PolicyReader::read_capabilities() {
  const auto all = capability_names();
  const JsonNode list = part("capabilities");
  BULKHEAD_ASSIGN(const auto nodes, list.elements());
  for (const JsonNode& node : nodes) {
    BULKHEAD_ASSIGN(const std::string name, node.string());
    const auto known = std::ranges::find(all, name);
    if (known == all.end())
      return node.refuse("unknown capability '" + printable(name, 80) + "'",
                         nearest(name, all).empty() ? "names are those of capabilities(7), such as CAP_CHOWN"
                                                    : "did you mean '" + nearest(name, all) + "'?");
    if (!capability_names_.insert(name).second) return node.refuse("'" + name + "' is there twice");
    spec_.capabilities_.push_back(static_cast<int>(known - all.begin()));
  }
  std::ranges::sort(spec_.capabilities_);
  if (!nodes.empty()) BULKHEAD_TRY(needs(Loosening::capabilities, list, "a sandbox that keeps capabilities"));
  return {};
}

Result<> PolicyReader::read_seccomp() {
  BULKHEAD_ASSIGN(spec_.guard_.code,
                  compile_guard(!spec_.allows(Loosening::terminal_injection), !spec_.allows(Loosening::no_seccomp)));
  const JsonNode node = part("seccomp");
  BULKHEAD_ASSIGN(const std::string wanted, node.string());
  if (wanted == "none") {
    BULKHEAD_TRY(needs(Loosening::no_seccomp, node, "a sandbox without a system call filter"));
    spec_.seccomp_ =
        SeccompProfile{.name = "none", .default_action = "SCMP_ACT_ALLOW", .default_errno = -1, .rules = {}};
    return {};
  }
  const auto profile = profiles_.find(wanted);
  if (profile == profiles_.end()) {
    std::vector<std::string> known{"none"};
    for (const auto& [name, document] : profiles_) known.push_back(name);
    return node.refuse("no seccomp profile '" + printable(wanted, 80) + "'", suggest(wanted, known, "a profile"));
  }
  BULKHEAD_ASSIGN(spec_.seccomp_, parse_seccomp_profile(wanted, profile->second, capability_names_));
  const JsonNode more = part("seccomp_allow");
  BULKHEAD_ASSIGN(const auto elements, more.elements());
  for (const JsonNode& element : elements) {
    BULKHEAD_ASSIGN(const std::string name, element.string());
    auto allowed = with_allowed(std::move(spec_.seccomp_), {name});
    if (!allowed) return element.refuse(allowed.error().detail + " " + allowed.error().object, allowed.error().hint);
    spec_.seccomp_ = *std::move(allowed);
  }
  BULKHEAD_ASSIGN(spec_.seccomp_program_.code, compile_seccomp(observed(spec_.seccomp_)));
  return {};
}

namespace {

Result<TcpPorts> read_ports(const JsonNode& node) {
  TcpPorts ports;
  if (node.value() == "any") return ports;
  ports.any = false;
  if (!node.value().is_array()) return node.expected("'any' or a list of ports");
  BULKHEAD_ASSIGN(const auto elements, node.elements());
  for (const JsonNode& element : elements) {
    BULKHEAD_ASSIGN(const std::uint64_t port, element.integer(0, 65535));
    if (!ports.ports.insert(static_cast<std::uint16_t>(port)).second)
      return element.refuse("port " + std::to_string(port) + " is there twice");
  }
  return ports;
}

}  // namespace

Result<> PolicyReader::read_tcp() {
  const JsonNode tcp = part("tcp");
  const std::vector<std::string> keys{"bind", "connect"};
  BULKHEAD_TRY(tcp.object_of(keys));
  BULKHEAD_ASSIGN(spec_.tcp_bind_, read_ports(*tcp.find("bind")));
  BULKHEAD_ASSIGN(spec_.tcp_connect_, read_ports(*tcp.find("connect")));
  if (spec_.allows(Loosening::no_landlock) && (!spec_.tcp_bind_.any || !spec_.tcp_connect_.any))
    return tcp.refuse("ports are Landlock's wall, which 'no-landlock' takes away", "drop one of the two");
  return {};
}

JsonNode PolicyReader::part(const std::string& key) const { return *JsonNode("policy", completed_).find(key); }

Origin PolicyReader::origin(const std::string& pointer) const {
  return given_.contains(nlohmann::json::json_pointer(pointer)) ? pointer : Origin(kBuiltIn);
}

Result<> PolicyReader::needs(Loosening loosening, const JsonNode& at, std::string_view what) const {
  if (spec_.allows(loosening)) return {};
  const std::string word(bulkhead::name(loosening));
  return at.refuse(std::string(what) + " needs the loosening '" + word + "'", "add '" + word + "' to the list 'allow'");
}

}  // namespace bulkhead
