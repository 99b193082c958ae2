#include "sandbox/spec/policy_diff.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "sandbox/base/units.h"
#include "sandbox/spec/capability_names.h"
#include "sandbox/spec/policy_diff_parts.h"

namespace bulkhead {
namespace {

using Changes = std::vector<PolicyChange>;

void more_of(Changes& more, const char* key, const char* what, std::uint64_t from, std::uint64_t to,
             std::string (*format)(std::uint64_t), bool zero_is_unlimited = true) {
  const auto text = [&](std::uint64_t value) {
    return zero_is_unlimited && value == 0 ? std::string("unlimited") : format(value);
  };
  const bool unlimited = zero_is_unlimited && to == 0;
  const bool was_unlimited = zero_is_unlimited && from == 0;
  if (from == to || was_unlimited || (!unlimited && to < from)) return;
  more.push_back({std::string("limits.") + key, std::string(what) + ": " + text(to) + " instead of " + text(from)});
}

void more_limits(const Limits& a, const Limits& b, Changes& more) {
  const auto count = [](std::uint64_t n) { return std::to_string(n); };
  const auto time = [](std::uint64_t ms) { return format_duration(std::chrono::milliseconds(ms)); };
  const auto cpu = [](std::uint64_t milli) { return format_cpu(static_cast<std::uint32_t>(milli)); };
  const auto ms = [](std::chrono::milliseconds t) { return static_cast<std::uint64_t>(t.count()); };
  more_of(more, "memory", "use more memory", a.memory_bytes, b.memory_bytes, format_bytes);
  more_of(more, "memory_high", "use more memory before it is slowed", a.memory_high, b.memory_high, format_bytes);
  more_of(more, "swap", "use more swap", a.swap_bytes, b.swap_bytes, format_bytes, false);
  more_of(more, "cpu", "use more CPUs", a.cpu_milli, b.cpu_milli, cpu);
  more_of(more, "cpu_weight", "have a larger share of the CPU", a.cpu_weight, b.cpu_weight, count, false);
  more_of(more, "pids", "have more processes", a.pids, b.pids, count);
  more_of(more, "io_read", "read more from each disk in a second", a.io_read, b.io_read, format_bytes);
  more_of(more, "io_write", "write more to each disk in a second", a.io_write, b.io_write, format_bytes);
  more_of(more, "wall", "run longer", ms(a.wall), ms(b.wall), time);
  more_of(more, "cpu_time", "use more CPU time", ms(a.cpu_time), ms(b.cpu_time), time);
  more_of(more, "open_files", "open more files", a.open_files, b.open_files, count);
  more_of(more, "file_size", "write larger files", a.file_bytes, b.file_bytes, format_bytes);
  more_of(more, "output", "have more output kept", a.output_bytes, b.output_bytes, format_bytes, false);
  more_of(more, "disk", "keep more on disk", a.disk_bytes, b.disk_bytes, format_bytes);
  more_of(more, "inodes", "have more files", a.disk_inodes, b.disk_inodes, count);
}

// A pattern of environment.pass: a name, or the beginning of one with "*".
bool covers(const std::string& pattern, const std::string& other) {
  if (!pattern.ends_with('*')) return pattern == other;
  return std::string_view(other).starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
}

void more_environment(const SandboxSpec& from, const SandboxSpec& to, Changes& more) {
  for (const std::string& name : to.environment_pass())
    if (std::ranges::none_of(from.environment_pass(), [&](const std::string& known) { return covers(known, name); }))
      more.push_back({"environment.pass", "see the caller's variable " + name});
}

void more_of_image(const SandboxSpec& from, const SandboxSpec& to, Changes& more) {
  if (!to.root_image()) return;
  static const ImageRoot none;
  const ImageRoot &a = from.root_image() ? *from.root_image() : none, &b = *to.root_image();
  for (const std::string& name : b.environment)
    if (std::ranges::none_of(a.environment, [&](const std::string& known) { return covers(known, name); }))
      more.push_back({"root.environment", "have its variable " + name + " set by the image"});
  if (b.keep_user_attributes && !a.keep_user_attributes)
    more.push_back({"root.keep", "see the image's extended attributes"});
  if (!from.root_image()) return;
  if (b.bytes > a.bytes)
    more.push_back(
        {"root.size", "have a larger image: " + format_bytes(b.bytes) + " instead of " + format_bytes(a.bytes)});
  if (b.entries > a.entries)
    more.push_back({"root.inodes", "have an image of more files: " + std::to_string(b.entries) + " instead of " +
                                       std::to_string(a.entries)});
}

void more_ports(const char* key, const char* what, const TcpPorts& a, const TcpPorts& b, Changes& more) {
  if (a.any) return;
  std::string ports;
  for (const std::uint16_t port : b.ports)
    if (!a.ports.contains(port)) ports += (ports.empty() ? "" : ", ") + std::to_string(port);
  if (b.any) ports = "any";
  if (!ports.empty()) more.push_back({key, std::string(what) + ports});
}

Changes more(const SandboxSpec& from, const SandboxSpec& to) {
  Changes more;
  for (const Loosening loosening : to.allowed())
    if (!from.allows(loosening)) more.push_back({"allow", "be loosened by the word " + std::string(name(loosening))});
  for (const Wall wall : from.required())
    if (!to.required().contains(wall) && !(wall == Wall::landlock && to.allows(Loosening::no_landlock)) &&
        about(wall).need != WallNeed::always)
      more.push_back({"require", "be made without the wall " + std::string(name(wall)) + ", where a host lacks it"});
  more_paths(from, to, more);
  for (const std::string& device : to.devices())
    if (std::ranges::find(from.devices(), device) == from.devices().end())
      more.push_back({"devices", "use the device /dev/" + device});
  more_calls(from, to, more);
  for (const int capability : to.capabilities())
    if (std::ranges::find(from.capabilities(), capability) == from.capabilities().end())
      more.push_back(
          {"capabilities", "have the capability " + capability_names()[static_cast<std::size_t>(capability)]});
  more_ports("tcp.bind", "listen at TCP ports: ", from.tcp_bind(), to.tcp_bind(), more);
  more_ports("tcp.connect", "connect to TCP ports: ", from.tcp_connect(), to.tcp_connect(), more);
  more_limits(from.limits(), to.limits(), more);
  more_environment(from, to, more);
  more_of_image(from, to, more);
  return more;
}

Changes others(const SandboxSpec& from, const SandboxSpec& to) {
  Changes other;
  if (from.hostname() != to.hostname())
    other.push_back({"hostname", "the hostname is " + to.hostname() + " instead of " + from.hostname()});
  const auto value = [](const SandboxSpec& spec, const std::string& key) {
    const auto found = spec.environment_set().find(key);
    return found == spec.environment_set().end() ? std::string("not set") : "'" + found->second + "'";
  };
  std::set<std::string> names;
  for (const SandboxSpec* spec : {&from, &to})
    for (const auto& [key, text] : spec->environment_set()) names.insert(key);
  for (const std::string& key : names)
    if (value(from, key) != value(to, key))
      other.push_back({"environment.set", key + " is " + value(to, key) + " instead of " + value(from, key)});
  return other;
}

nlohmann::json rows(const Changes& changes) {
  nlohmann::json array = nlohmann::json::array();
  for (const PolicyChange& change : changes) array.push_back({{"key", change.key}, {"text", change.text}});
  return array;
}

}  // namespace

PolicyDiff diff_policies(const SandboxSpec& from, const SandboxSpec& to) {
  return {.allows = more(from, to), .takes = more(to, from), .other = others(from, to)};
}

void to_json(nlohmann::json& json, const PolicyDiff& diff) {
  json = {{"allows", rows(diff.allows)}, {"takes", rows(diff.takes)}, {"other", rows(diff.other)}};
}

}  // namespace bulkhead
