#include "sandbox/plan/landlock_rules.h"

#include "sandbox/host/landlock_abi.h"

namespace bulkhead {
namespace {

using namespace landlock;

constexpr std::uint64_t kLook = kReadFile | kReadDir | kExecute;

// Whatever a file system of files needs; no device nodes, no device's own commands. Whoever may make sockets somewhere
// may connect to those there, whoever made them.
constexpr std::uint64_t kChange = kWriteFile | kTruncate | kRemoveDir | kRemoveFile | kMakeDir | kMakeReg | kMakeSock |
                                  kMakeFifo | kMakeSym | kRefer | kResolveUnix;

Operation path_rule(const std::string& target, std::uint64_t rights, Origin origin) {
  Operation op{.step = Step::landlock_path, .origin = std::move(origin)};
  op.target = target;
  op.number = rights;
  return op;
}

void add_ports(std::vector<Operation>& rules, const TcpPorts& ports, std::uint64_t right) {
  for (const std::uint16_t port : ports.ports) {
    Operation op{.step = Step::landlock_port, .origin = "/tcp"};
    op.number = right;
    op.inodes = port;
    rules.push_back(std::move(op));
  }
}

}  // namespace

std::vector<Operation> landlock_rules(const SandboxSpec& spec, const HostFacts& host,
                                      const std::vector<Operation>& operations) {
  if (host.landlock_abi < kLeastAbi || spec.allows(Loosening::no_landlock)) return {};
  const std::uint64_t files = file_rights(host.landlock_abi);
  std::vector<Operation> rules;
  Operation ruleset{.step = Step::landlock_ruleset, .origin = "built-in"};
  ruleset.number = files;
  if (knows_tcp(host.landlock_abi)) {
    if (!spec.tcp_bind().any) ruleset.inodes |= kBindTcp;
    if (!spec.tcp_connect().any) ruleset.inodes |= kConnectTcp;
  }
  ruleset.mode = static_cast<std::uint32_t>(scopes(host.landlock_abi));
  rules.push_back(ruleset);
  rules.push_back(path_rule("/", files & kLook, "built-in"));
  // /proc's own files say who may write them, and all that is the host's is read-only or masked there.
  rules.push_back(path_rule("/proc", files & (kLook | kWriteFile | kTruncate), "built-in"));
  rules.push_back(path_rule("/dev", files & (kLook | kWriteFile | kTruncate | kIoctlDev), spec.origin("devices")));
  for (const Operation& op : operations) {
    const bool own_tmpfs = op.step == Step::tmpfs && (op.flags & kSandboxOwned);
    const bool writable_bind = op.step == Step::bind && !(op.flags & (kReadOnly | kDevice));
    if (own_tmpfs || writable_bind) rules.push_back(path_rule(op.target, files & (kLook | kChange), op.origin));
    // Sockets of the host by their own name only: the launcher passes this over where the source is no socket.
    const bool named = op.step == Step::bind && op.origin.starts_with("/mounts/") && !writable_bind;
    if (named && (files & kResolveUnix)) rules.push_back(path_rule(op.target, kResolveUnix, op.origin));
  }
  if (knows_tcp(host.landlock_abi)) {
    add_ports(rules, spec.tcp_bind(), kBindTcp);
    add_ports(rules, spec.tcp_connect(), kConnectTcp);
  }
  return rules;
}

}  // namespace bulkhead
