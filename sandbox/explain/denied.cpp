#include "sandbox/explain/denied.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <set>

#include "sandbox/base/text.h"
#include "sandbox/explain/path_verdict.h"
#include "sandbox/spec/device_names.h"
#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead {
namespace {

using nlohmann::json;

constexpr const char* kBuiltIn = "built-in";
constexpr std::size_t kLongestProposed = 1024;  // as look_at_host() has it: proposals are journaled, and shown

// Rule and way out for each thing that was asked for.
class Judge {
 public:
  Judge(const View& view, const HostAnswers& host) : view_(view), host_(host) {
    for (const HostPath& path : host.look.paths) there_.emplace(path.wanted, &path);
  }

  void calls(const ExitRecord& record) {
    for (const Denial& denial : record.denials) {
      const bool named = !denial.call.starts_with("call ");  // "call 9999"
      Denied row{.what = (named ? "system call " : "system ") + denial.call,
                 .who = denial.who,
                 .times = denial.times,
                 .wall = "seccomp",
                 .rule = view_.seccomp_origin};
      if (denial.call == kOtherCalls)
        row = {.what = "further system calls",
               .times = denial.times,
               .wall = "seccomp",
               .rule = view_.seccomp_origin,
               .reason = "only the first that differ are told apart"};
      else if (with_allowed({}, {denial.call}))
        row.change["seccomp_allow"] = {denial.call};
      else
        row.reason = "it has no name here";
      if (const std::string group = group_of(denial.call); !group.empty()) row.reason = "it is one of " + group;
      add(std::move(row));
    }
    if (record.reason == EndReason::seccomp)
      add({.what = "a system call",
           .times = 1,
           .wall = "seccomp",
           .rule = view_.seccomp_origin,
           .reason = "the filter killed for it; which it was is not known"});
  }

  void limits(const ExitRecord& record) {
    for (LimitReached& limit : limits_reached(view_.limits, record)) {
      Denied row{.kind = DeniedKind::limit,
                 .what = std::move(limit.what),
                 .times = limit.times,
                 .wall = "limits",
                 .rule = limit_rule(limit.key),
                 .reason = std::move(limit.why)};
      row.change["limits"][limit.key] = std::move(limit.twice);
      add(std::move(row));
    }
  }

  void observation(const Observation& seen) {
    switch (seen.seen) {
      case InitSeen::missing:
        return missing(seen);
      case InitSeen::unwritable:
        return unwritable(seen);
      case InitSeen::unreadable:
        return unreadable(seen);
      case InitSeen::unexecutable:
        return unexecutable(seen);
      case InitSeen::masked: {
        Denied row = file(seen, "open " + seen.path, "proc mask", kBuiltIn);
        row.change["allow"] = {"unmasked-proc"};
        return add(std::move(row));
      }
      case InitSeen::device_node: {
        Denied row = file(seen, "make the device " + seen.path, view_.landlock ? "landlock" : "permissions", kBuiltIn);
        row.reason = "no sandbox makes device nodes; the policy's `devices` names those it has";
        return add(std::move(row));
      }
      case InitSeen::connect:
      case InitSeen::send:
      case InitSeen::bind:
        return address(seen);
      case InitSeen::own_listener:
        return add({.what = "to listen to system calls (seccomp)",
                    .who = seen.who,
                    .times = seen.times,
                    .wall = "seccomp",
                    .rule = kBuiltIn,
                    .reason = "a process has one listener at most, and the sandbox's is Bulkhead's"});
      case InitSeen::terminal: {
        Denied row{.what = "to type into a terminal (TIOCSTI or TIOCLINUX)",
                   .who = seen.who,
                   .times = seen.times,
                   .wall = "guard",
                   .rule = kBuiltIn};
        row.change["allow"] = {"terminal-injection"};
        return add(std::move(row));
      }
      case InitSeen::open_files: {
        Denied row{.kind = DeniedKind::limit,
                   .what = "open files beyond their limit",
                   .who = seen.who,
                   .times = seen.times,
                   .wall = "limits",
                   .rule = limit_rule("open_files")};
        row.change["limits"]["open_files"] = 2 * view_.limits.open_files;
        return add(std::move(row));
      }
      case InitSeen::more:
      case InitSeen::closed:
        return;
    }
  }

  std::vector<Denied> take() {
    std::vector<Denied> sorted, rest;
    for (Denied& row : rows_) (row.change.empty() ? rest : sorted).push_back(std::move(row));
    std::ranges::move(rest, std::back_inserter(sorted));
    return sorted;
  }

 private:
  Origin limit_rule(const std::string& key) const {
    const auto found = view_.limits.origins.find(key);
    return found == view_.limits.origins.end() ? kBuiltIn : found->second;
  }

  // The same thing by another call is the same thing.
  void add(Denied row) {
    const auto [known, fresh] = known_.emplace(std::string(name(row.kind)) + row.what, rows_.size());
    if (fresh)
      rows_.push_back(std::move(row));
    else
      rows_[known->second].times += row.times;
  }

  static Denied file(const Observation& seen, std::string what, std::string wall, Origin rule) {
    return {.kind = DeniedKind::file,
            .what = std::move(what),
            .who = seen.who,
            .times = seen.times,
            .wall = std::move(wall),
            .rule = std::move(rule)};
  }

  void missing(const Observation& seen) {
    const auto found = there_.find(seen.path);
    if (found == there_.end()) return missing_name(seen);
    const PathVerdict verdict = judge_path(*found->second, view_);
    if (verdict.mounts.empty() && verdict.reason.empty()) return;
    const std::string subject = verdict.path.empty() ? seen.path : verdict.path;
    if (view_.own_network && (subject == "/etc/resolv.conf" || seen.path == "/etc/resolv.conf")) {
      Denied row = file(seen, "to look up names (/etc/resolv.conf)", "network namespace", kBuiltIn);
      row.kind = DeniedKind::network;
      row.change["allow"] = {"host-network"};
      row.reason = "there is no network to ask; with it, mount the file too";
      return add(std::move(row));
    }
    Denied row = file(seen,
                      (seen.runs                ? "run "
                       : seen.call == "connect" ? "connect to "
                                                : "find ") +
                          subject,
                      "mounts", view_.root_origin);
    if (found->second->kind == HostKind::socket) row.kind = DeniedKind::network;
    for (const std::string& mount : verdict.mounts) row.change["mounts"][mount] = {{"source", mount}};
    row.reason = verdict.reason;
    add(std::move(row));
  }

  // Sockets and devices, whose names are known without looking for them. What the host has not either was not refused.
  void missing_name(const Observation& seen) {
    const std::string path = normal_path(seen.path);
    const ViewMount* cover = view_.cover(path);
    if (host_.names.sockets.contains(path) && (cover == nullptr || !cover->writable)) {
      Denied row = file(seen, "connect to " + path, "mounts", view_.root_origin);
      row.kind = DeniedKind::network;
      row.reason = "a socket leads to something of the host";
      return add(std::move(row));
    }
    const std::string device = path.starts_with("/dev/") ? path.substr(5) : "";
    if (!host_.names.devices.contains(device)) return;
    Denied row = file(seen, "open " + path, "mounts", view_.devices_origin);
    if (std::ranges::find(kDeviceNames, device) != kDeviceNames.end())
      row.change["devices"] = {device};
    else
      row.reason = "no policy gives this device";
    add(std::move(row));
  }

  void unwritable(const Observation& seen) {
    const std::string path = normal_path(seen.path);
    const ViewMount* cover = view_.cover(path);
    if (is_within(path, "/proc")) {
      Denied row = file(seen, "write " + path, seen.error == EROFS ? "proc mask" : "permissions", kBuiltIn);
      if (seen.error == EROFS)
        row.change["allow"] = {"unmasked-proc"};
      else
        row.reason = "it is root's, who is not inside";
      return add(std::move(row));
    }
    if (cover != nullptr && cover->writable) return;  // its own permissions, or a way that it has not made
    Denied row = file(seen, "write " + path, "mounts", cover != nullptr ? cover->origin : view_.root_origin);
    if (seen.error == ENOENT || seen.error == ENOTDIR) {
      if (!there_.contains(parent_of(path))) return;  // the host has no such directory either
      row.reason = "its directory is not there; ";
    }
    if (cover == nullptr) {
      // In a root of mounts alone nothing else is at the place, so that a tmpfs hides nothing.
      const std::string directory = seen.call.starts_with("mkdir") ? path : parent_of(path);
      const bool free =
          view_.root_directory.empty() && directory != "/" && directory.size() <= kLongestProposed &&
          utf8_prefix(directory) == directory.size() && !is_within(path, "/etc") &&
          std::ranges::none_of(view_.mounts, [&](const ViewMount& m) { return is_within(m.target, directory); });
      if (free) row.change["mounts"][directory] = {{"tmpfs", "64Mi"}};
      row.reason += free ? "a tmpfs takes what need not last" : "the root is never written";
    } else if (cover->of_policy && !cover->tmpfs) {
      row.change["mounts"][cover->target] = {{"access", "read_write"}};
      row.change["allow"] = {"writable-host"};
      row.reason += "and only if the host's permissions let the sandbox's uid";
    } else if (cover->origin == "supervisor") {
      row.reason += "inputs and reports are read-only; copy what is to be changed";
    } else {
      row.reason += "the host's own files are never written; a tmpfs takes what need not last";
    }
    add(std::move(row));
  }

  void unreadable(const Observation& seen) {
    const std::string path = normal_path(seen.path);
    const ViewMount* cover = view_.cover(path);
    if (cover != nullptr && cover->writable) return;  // its own, closed by itself
    Denied row = file(seen, "read " + path, "permissions", cover != nullptr ? cover->origin : view_.root_origin);
    row.reason = "its permissions on the host keep everybody else out, and a sandbox is nobody there";
    add(std::move(row));
  }

  void unexecutable(const Observation& seen) {
    const std::string path = normal_path(seen.path);
    const ViewMount* cover = view_.cover(path);
    Denied row = file(seen, "run " + path, "mounts", cover != nullptr ? cover->origin : view_.root_origin);
    if (cover != nullptr && cover->of_policy)
      row.change["mounts"][cover->target] = {{"executable", true}};
    else
      row.reason = "programs are not run from there";
    add(std::move(row));
  }

  static std::string shown(const SeenAddress& address) {
    if (address.family == SeenAddress::Family::abstract) return "abstract socket " + address.host;
    const std::string protocol = address.protocol == SeenAddress::Protocol::tcp   ? "tcp "
                                 : address.protocol == SeenAddress::Protocol::udp ? "udp "
                                                                                  : "";
    const bool six = address.family == SeenAddress::Family::ipv6;
    return protocol + (six ? "[" : "") + address.host + (six ? "]:" : ":") + std::to_string(address.port);
  }

  // Which wall an address meets; the first that does not let it through is the one to be named.
  void address(const Observation& seen) {
    const SeenAddress& to = seen.address;
    const bool binds = seen.seen == InitSeen::bind;
    const bool tcp = to.protocol == SeenAddress::Protocol::tcp;
    const bool udp = to.protocol == SeenAddress::Protocol::udp;
    Denied row = file(seen,
                      (binds                         ? "bind "
                       : seen.seen == InitSeen::send ? "send to "
                                                     : "connect to ") +
                          shown(to),
                      "network namespace", kBuiltIn);
    row.kind = DeniedKind::network;
    if (to.family == SeenAddress::Family::abstract) {
      std::string name = to.host;
      std::ranges::replace(name, '\0', '@');
      if (!host_.names.abstract.contains(name)) return;
      if (!view_.own_network) row.wall = view_.landlock ? "landlock" : row.wall;
      row.reason = "abstract sockets of the host stay outside";
      return add(std::move(row));
    }
    const TcpPorts& ports = binds ? view_.tcp_bind : view_.tcp_connect;
    if (tcp && !ports.any && !ports.ports.contains(to.port)) {
      row.wall = "landlock";
      row.rule = view_.tcp_origin + (view_.tcp_origin == kBuiltIn ? "" : binds ? "/bind" : "/connect");
      row.change["tcp"][binds ? "bind" : "connect"] = {to.port};
      if (view_.own_network && !to.local) {
        row.change["allow"] = {"host-network"};
        row.reason = "its own network namespace has only lo";
      }
      return add(std::move(row));
    }
    if (!view_.own_network) return;
    if (binds && to.local) {
      if (to.port == 0 || to.port >= 1024) return;
      row.wall = "permissions";
      row.reason = "ports below 1024 are root's, who is not inside; take one from 1024 on";
      return add(std::move(row));
    }
    if (to.local) {
      if (to.listening) return;
      const auto& host_ports = udp ? host_.names.udp : host_.names.tcp;
      if (!host_ports.contains(to.port)) return;
      row.reason = "inside nobody listens there; the host's own loopback is another";
    }
    row.change["allow"] = {"host-network"};
    add(std::move(row));
  }

  const View& view_;
  const HostAnswers& host_;
  std::map<std::string, const HostPath*> there_;
  std::vector<Denied> rows_;
  std::map<std::string, std::size_t> known_;
};

bool is_plain(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '.' ||
           c == '_' || c == '-';
  });
}

// YAML's flow style.
std::string flow(const json& value) {
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return is_plain(text) && text.front() != '-' ? text : value.dump(-1, ' ', true, json::error_handler_t::replace);
  }
  if (!value.is_structured()) return value.dump();
  std::string out;
  for (const auto& [key, part] : value.items()) {
    if (!out.empty()) out += ", ";
    if (value.is_object()) out += flow(json(key)) + ": ";
    out += flow(part);
  }
  return value.is_object() ? "{" + out + "}" : "[" + out + "]";
}

}  // namespace

std::string_view name(DeniedKind kind) {
  switch (kind) {
    case DeniedKind::system_call:
      return "system_call";
    case DeniedKind::file:
      return "file";
    case DeniedKind::network:
      return "network";
    case DeniedKind::limit:
      return "limit";
  }
  return "";
}

json to_json(const Denied& d) {
  return {{"kind", name(d.kind)},
          {"what", printable(d.what)},
          {"who", d.who},
          {"times", d.times},
          {"wall", d.wall},
          {"rule", d.rule},
          {"change", d.change},
          {"allow", change_text(d.change)},
          {"reason", printable(d.reason)}};
}

std::string change_text(const json& change) {
  std::string text;
  for (const auto& [key, value] : change.items()) text += (text.empty() ? "" : ", ") + key + ": " + flow(value);
  return text;
}

std::vector<std::string> questions(const Observed& observed, const View& view) {
  std::vector<std::string> paths;
  std::set<std::string> known;
  for (const Observation& seen : observed.rows) {
    const bool no_directory = seen.seen == InitSeen::unwritable && (seen.error == ENOENT || seen.error == ENOTDIR);
    if (seen.seen != InitSeen::missing && !no_directory) continue;
    // What the sandbox writes is its own: the host's file of that name, or a link there, says nothing of it.
    const ViewMount* cover = view.cover(normal_path(seen.path));
    if (cover != nullptr && (cover->writable || cover->target == "/dev")) continue;  // of /dev names are known
    std::string path = no_directory ? parent_of(normal_path(seen.path)) : seen.path;
    if (known.insert(path).second) paths.push_back(std::move(path));
  }
  return paths;
}

std::vector<Denied> denied(const View& view, const ExitRecord& record, const Observed& observed,
                           const HostAnswers& host) {
  Judge judge(view, host);
  judge.calls(record);
  judge.limits(record);
  for (const Observation& seen : observed.rows) judge.observation(seen);
  return judge.take();
}

}  // namespace bulkhead
