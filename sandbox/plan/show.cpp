// The plan for people and programs: text and JSON. On its way to the launcher: wire.cpp.
#include <array>
#include <nlohmann/json.hpp>
#include <span>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "sandbox/host/landlock_abi.h"
#include "sandbox/plan/plan.h"

namespace bulkhead {
namespace {

constexpr std::array kStepNames{"create_cgroup",
                                "limit_cgroup",
                                "limit_wall",
                                "limit_cpu_time",
                                "limit_disk",
                                "limit_inodes",
                                "user_namespace",
                                "host_identity",
                                "new_namespaces",
                                "root_tmpfs",
                                "root_bind",
                                "root_layer",
                                "directory",
                                "mount_point",
                                "bind",
                                "tmpfs",
                                "file",
                                "symlink",
                                "seal",
                                "pivot",
                                "cgroup_namespace",
                                "session_keyring",
                                "loopback",
                                "hostname",
                                "proc",
                                "devpts",
                                "mask",
                                "read_only",
                                "working_directory",
                                "rlimit",
                                "landlock_ruleset",
                                "landlock_path",
                                "landlock_port",
                                "enter_user_namespace",
                                "bounding_set",
                                "identity",
                                "capabilities",
                                "no_new_privs",
                                "landlock_enforce",
                                "guard",
                                "seccomp",
                                "exec_init"};
static_assert(kStepNames.size() == static_cast<std::size_t>(Step::exec_init) + 1);

using FlagWord = std::pair<std::uint32_t, const char*>;
constexpr FlagWord kUserNamespaceWords[] = {{kInsideRoot, "uid 0 inside"}, {kNoneBelow, "no namespaces below"}};
constexpr FlagWord kSeccompWords[] = {{kMustBeSeen, "refusals must be seen"}};
constexpr FlagWord kMountWords[] = {
    {kReadOnly, "read-only"},         {kNoExec, "noexec"}, {kOptional, "optional"}, {kDevice, "device"},
    {kSandboxOwned, "sandbox-owned"}, {kFile, "file"},     {kCovers, "covers"},     {kReplace, "replacing"}};

// The same bit is another flag in another step.
std::span<const FlagWord> flag_words(Step step) {
  if (step == Step::user_namespace) return kUserNamespaceWords;
  if (step == Step::seccomp) return kSeccompWords;
  return kMountWords;
}

std::string flags_text(const Operation& op) {
  std::string text;
  for (const auto& [flag, word] : flag_words(op.step))
    if (op.flags & flag) text += std::string(text.empty() ? "" : ",") + word;
  return text;
}

// "read execute write …"
std::string rights_text(std::uint64_t rights) {
  using namespace landlock;
  std::string text;
  for (const auto& [right, word] :
       {std::pair{kReadFile, "read"}, std::pair{kExecute, "execute"}, std::pair{kWriteFile, "write"},
        std::pair{kMakeReg, "create"}, std::pair{kRemoveFile, "remove"}, std::pair{kMakeChar | kMakeBlock, "devices"},
        std::pair{kIoctlDev, "ioctl"}})
    if (rights & right) text += " " + std::string(word);
  return text;
}

// The operation as one sentence, without its origin.
std::string sentence(const Operation& op) {
  std::string out(name(op.step));
  if (!op.target.empty()) out += " " + op.target;
  if (op.step == Step::file) {
    out += " (" + std::to_string(op.text.size()) + " bytes)";
  } else if (!op.text.empty() || op.step == Step::capabilities || op.step == Step::bounding_set) {
    out += (op.step == Step::symlink                                                             ? " -> "
            : op.step == Step::bind || op.step == Step::root_bind || op.step == Step::root_layer ? " from "
                                                                                                 : " ") +
           (op.text.empty() ? std::string("none") : op.text);
  }
  switch (op.step) {
    case Step::limit_cgroup:
      out += " " + (op.target == "pids" || op.target == "cpu_weight" ? std::to_string(op.number)
                    : op.target == "cpu"                             ? format_cpu(static_cast<std::uint32_t>(op.number))
                                                                     : format_bytes(op.number));
      if (op.target.starts_with("io_")) out += " a second on each disk";
      break;
    case Step::limit_disk:
      out += " " + format_bytes(op.number);
      break;
    case Step::limit_inodes:
      out += " " + std::to_string(op.number);
      break;
    case Step::limit_wall:
    case Step::limit_cpu_time:
      out += " " + format_duration(std::chrono::milliseconds(op.number));
      break;
    case Step::user_namespace:
      out += " uids " + std::to_string(op.number) + "-" + std::to_string(op.number + 65535);
      break;
    case Step::host_identity:
    case Step::identity:
      out += " uid " + std::to_string(op.number);
      break;
    case Step::tmpfs:
      if (op.number != 0) out += " size " + format_bytes(op.number);
      if (op.inodes != 0) out += " inodes " + std::to_string(op.inodes);
      break;
    case Step::rlimit:
      out += " " + std::to_string(op.number);
      break;
    case Step::landlock_ruleset:
      if (op.number == 0) break;  // left out
      out += " refuses" + rights_text(op.number) + (op.inodes != 0 ? " tcp" : "") +
             (op.mode != 0 ? " abstract-sockets signals" : "") + " unless allowed";
      break;
    case Step::landlock_path:
      out += rights_text(op.number);
      break;
    case Step::landlock_port:
      out += std::string(op.number & landlock::kBindTcp ? " bind" : "") +
             (op.number & landlock::kConnectTcp ? " connect" : "") + " port " + std::to_string(op.inodes);
      break;
    case Step::guard:
    case Step::seccomp:
      out += " (" + std::to_string(op.number) + " instructions)";
      break;
    default:
      break;
  }
  const std::string flags = flags_text(op);
  if (!flags.empty()) out += " [" + flags + "]";
  return out;
}

}  // namespace

std::string_view name(Step step) { return kStepNames.at(static_cast<std::size_t>(step)); }

namespace {

nlohmann::json rows(const std::vector<Operation>& list) {
  nlohmann::json operations = nlohmann::json::array();
  for (const Operation& op : list) {
    nlohmann::json row = {{"step", name(op.step)}, {"origin", op.origin}};
    if (!op.target.empty()) row["target"] = op.target;
    if (!op.text.empty()) row["text"] = op.text;
    if (op.number != 0) row["number"] = op.number;
    if (op.inodes != 0) row["inodes"] = op.inodes;
    if (op.flags != 0) row["flags"] = flags_text(op);
    if (op.mode != 0) row["mode"] = op.mode;
    operations.push_back(std::move(row));
  }
  return operations;
}

}  // namespace

nlohmann::json to_json(const LaunchPlan& plan) {
  nlohmann::json missing = nlohmann::json::array();
  for (const LeftOut& out : plan.left_out)
    missing.push_back({{"wall", name(out.wall)},
                       {"answer", out.answer},
                       {"instead", about(out.wall).instead},
                       {"lost", about(out.wall).lost},
                       {"left_out", rows(out.operations)}});
  return {{"operations", rows(plan.operations)},
          {"missing_walls", std::move(missing)},
          {"command",
           {{"argv", plan.command.argv},
            {"environment", plan.command.environment},
            {"directory", plan.command.directory.str()}}},
          {"output_bytes", plan.output_bytes},
          {"seccomp_instructions", plan.seccomp.size() + plan.guard.size()}};
}

std::string render(const LaunchPlan& plan) {
  std::size_t width = 0;
  std::vector<std::string> rows;
  for (const Operation& op : plan.operations) {
    rows.push_back(printable(sentence(op)));
    width = std::max(width, std::min<std::size_t>(rows.back().size(), 72));
  }
  std::string out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out += rows[i];
    if (rows[i].size() < width) out.append(width - rows[i].size(), ' ');
    out += "  # " + plan.operations[i].origin + "\n";
  }
  for (const LeftOut& without : plan.left_out) {
    out += "# without " + printable(missing_text(without.wall, without.answer)) + "\n";
    for (const Operation& op : without.operations)
      out += "#   left out: " + printable(sentence(op)) + "  # " + op.origin + "\n";
  }
  return out;
}

}  // namespace bulkhead
