#include "sandbox/launch/child_arguments.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>

#include "sandbox/base/text.h"
#include "sandbox/init/init_protocol.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

std::vector<std::uint32_t> numbers(const std::string& text) {
  std::vector<std::uint32_t> out;
  for (const auto& word : split(text, ',')) {
    std::uint32_t number = 0;
    if (std::from_chars(word.data(), word.data() + word.size(), number).ec == std::errc{}) out.push_back(number);
  }
  return out;
}

}  // namespace

const char* ChildOperations::keep(std::string text) {
  strings_.push_back(std::move(text));
  return strings_.back().c_str();
}

ChildOperation& ChildOperations::add(const Operation& op) {
  ChildOperation child{.step = op.step, .number = op.number, .inodes = op.inodes, .flags = op.flags, .mode = op.mode};
  if (!op.target.empty()) child.target = keep(op.target);
  if (op.target.size() > 1 && op.target.front() == '/') {
    const auto slash = op.target.rfind('/');
    child.parent = keep(slash == 0 ? "." : op.target.substr(1, slash - 1));
    child.leaf = keep(op.target.substr(slash + 1));
  }
  child.text = keep(op.text);
  operations_.push_back(child);
  return operations_.back();
}

SetupFailure ChildOperations::explain(std::size_t index, int code) const {
  const ChildOperation& op = operations_[index];
  Error error{.operation = std::string(name(op.step)), .object = op.target ? op.target : "", .code = code};
  if (op.step == Step::bind) error.detail = std::string("from ") + op.text;
  return {std::string(name(op.step)), std::move(error)};
}

void ChildArguments::set_identity(const LaunchPlan& plan) {
  for (const Operation& op : plan.operations) {
    if (op.step == Step::user_namespace) {
      const std::uint32_t inside = (op.flags & kInsideRoot) ? 0 : kInsideUserId;
      context.owner_uid = static_cast<uid_t>(op.number) + inside;
      context.owner_gid = context.owner_uid;
      context.uid = inside;
      context.gid = inside;
    }
    if (op.step == Step::host_identity) {
      const auto ids = numbers(op.text);
      context.owner_uid = static_cast<uid_t>(op.number);
      context.uid = static_cast<uid_t>(op.number);
      context.gid = ids.empty() ? 0 : ids.front();
      context.owner_gid = context.gid;
      for (std::size_t i = 1; i < ids.size(); ++i) groups.push_back(ids[i]);
    }
    if (op.step == Step::capabilities)
      for (const auto capability : numbers(op.text)) context.kept_capabilities |= 1ULL << capability;
  }
  context.groups = groups.data();
  context.group_count = groups.size();
}

Result<> ChildArguments::set_bind(const OwnBind& bind, bool root_has_it) {
  ChildOperation& child = operations.last();
  if (bind.kind == SourceKind::absent || (bind.kind == SourceKind::link && root_has_it)) {
    operations.remove_last();
    return {};
  }
  if (bind.kind == SourceKind::link) {
    child.step = Step::symlink;
    child.text = operations.keep(bind.link);
    return {};
  }
  child.source_is_directory = bind.kind == SourceKind::directory;
  child.source = bind.mount.get();
  return keep_high(child.source);
}

std::expected<void, SetupFailure> ChildArguments::set_operations(const LaunchPlan& plan, std::size_t from,
                                                                 const OwnBinds& binds) {
  const auto root_has = [&](const std::string& target) {
    return std::any_of(plan.operations.begin(), plan.operations.begin() + static_cast<std::ptrdiff_t>(from),
                       [&](const Operation& op) { return op.step == Step::mount_point && op.target == target; });
  };
  for (std::size_t i = from; i < plan.operations.size(); ++i) {
    const Operation& op = plan.operations[i];
    ChildOperation& child = operations.add(op);
    if (op.step == Step::working_directory) child.target = operations.keep(plan.command.directory.str());
    if (op.step != Step::bind) continue;
    if (auto set = set_bind(binds.at(op.target), root_has(op.target)); !set)
      return std::unexpected(SetupFailure{std::string(name(op.step)), set.error()});
  }
  context.operations = operations.all().data();
  context.count = operations.all().size();
  const auto program = [](const std::vector<sock_filter>& code) {
    return sock_fprog{.len = static_cast<unsigned short>(code.size()), .filter = const_cast<sock_filter*>(code.data())};
  };
  context.guard = program(plan.guard);
  context.filter = program(plan.seccomp);
  return {};
}

void ChildArguments::set_command(const CommandSpec& command, std::string mode, std::uint64_t output_bytes) {
  const auto push = [&](const std::string& text) { argv.push_back(const_cast<char*>(text.c_str())); };
  words.reserve(command.environment.size() + 4);
  words.push_back("bulkhead-init");
  words.push_back(std::move(mode));
  words.push_back(std::to_string(output_bytes));
  words.emplace_back(12, '\0').replace(0, 1, "-");
  for (std::size_t i = 0; i < 4; ++i) push(words[i]);
  context.listener_word = words[3].data();
  for (const auto& argument : command.argv) push(argument);
  argv.push_back(nullptr);
  for (const auto& [key, value] : command.environment) {
    words.push_back(key + "=" + value);
    environment.push_back(words.back().data());
  }
  environment.push_back(nullptr);
  context.argv = argv.data();
  context.environment = environment.data();
}

void ChildArguments::set_v1_tasks(const std::vector<Fd>& tasks) {
  for (const Fd& fd : tasks) v1_tasks.push_back(fd.get());
  context.v1_tasks = v1_tasks.data();
  context.v1_count = v1_tasks.size();
}

Result<> ChildArguments::place(int from, int to) {
  int fd = from;
  BULKHEAD_TRY(keep_high(fd));
  moves.push_back({fd, to});
  return {};
}

Result<> ChildArguments::keep_high(int& fd) {
  Fd copy(fcntl(fd, F_DUPFD_CLOEXEC, kFirstPrivateFd));
  if (!copy.valid()) return errno_error("duplicate descriptor", std::to_string(fd));
  fd = copy.get();
  high.push_back(std::move(copy));
  return {};
}

Result<> ChildArguments::set_learning(const std::vector<sock_filter>& program, int paths) {
  if (paths < 0) return fail("launch", "learning", "has no descriptor to write paths to");
  BULKHEAD_ASSIGN(const Fd filter, make_memfd("bulkhead-filter", {reinterpret_cast<const char*>(program.data()),
                                                                  program.size() * sizeof(sock_filter)}));
  BULKHEAD_TRY(place(filter.get(), kInitLearnFilterFd));
  return place(paths, kInitLearnFd);
}

Result<> refuse_directories(const Stdio& stdio) {
  for (const int fd : {stdio.in, stdio.out, stdio.err}) {
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
      return fail("launch", "standard stream", "is a directory", "give the command a file, a pipe or a terminal");
  }
  return {};
}

Result<> ChildArguments::set_descriptors(const Stdio& stdio, int record, int guests) {
  Fd null;
  if (stdio.in < 0 || stdio.out < 0 || stdio.err < 0 || stdio.capture) {
    BULKHEAD_ASSIGN(null, open_file("/dev/null", O_RDWR));
  }
  BULKHEAD_TRY(refuse_directories(stdio));
  const auto or_null = [&](int fd) { return fd >= 0 ? fd : null.get(); };
  BULKHEAD_TRY(place(or_null(stdio.in), 0));
  if (stdio.capture) {
    // init's pipes replace these in the command.
    BULKHEAD_TRY(place(null.get(), 1));
    BULKHEAD_TRY(place(null.get(), 2));
    BULKHEAD_TRY(place(or_null(stdio.out), kInitStdoutFd));
    BULKHEAD_TRY(place(or_null(stdio.err), kInitStderrFd));
  } else {
    BULKHEAD_TRY(place(or_null(stdio.out), 1));
    BULKHEAD_TRY(place(or_null(stdio.err), 2));
  }
  if (record >= 0) BULKHEAD_TRY(place(record, kInitRecordFd));
  if (guests >= 0) BULKHEAD_TRY(place(guests, kInitGuestsFd));
  for (const auto& [ours, inside] : stdio.extra) {
    if (inside < 3 || inside >= kInitRecordFd)
      return fail("launch", "descriptor " + std::to_string(inside), "must be from 3 to 31");
    BULKHEAD_TRY(place(ours, inside));
  }
  context.moves = moves.data();
  context.move_count = moves.size();
  for (int* needed : {&context.user_namespace, &context.network, &context.init_fd})
    if (*needed >= 0) BULKHEAD_TRY(keep_high(*needed));
  return {};
}

SetupFailure ChildArguments::failure() const {
  if (context.failed_at < context.count) return operations.explain(context.failed_at, context.failed_errno);
  const std::string what = context.failed_what ? static_cast<const char*>(context.failed_what) : "start";
  return {what, Error{.operation = what, .code = context.failed_errno}};
}

}  // namespace bulkhead
