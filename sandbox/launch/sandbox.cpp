#include "sandbox/launch/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "sandbox/init/init_protocol.h"
#include "sandbox/launch/child.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(200);

std::unexpected<SetupFailure> failed(Step step, Error error) {
  return std::unexpected(SetupFailure{std::string(name(step)), std::move(error)});
}

std::uint64_t namespace_flags(const std::string& words) {
  std::uint64_t flags = 0;
  for (const auto& word : split(words, ' ')) {
    if (word == "mount") flags |= CLONE_NEWNS;
    if (word == "pid") flags |= CLONE_NEWPID;
    if (word == "ipc") flags |= CLONE_NEWIPC;
    if (word == "uts") flags |= CLONE_NEWUTS;
    if (word == "net") flags |= CLONE_NEWNET;
  }
  return flags;
}

std::vector<std::uint32_t> numbers(const std::string& text) {
  std::vector<std::uint32_t> out;
  for (const auto& word : split(text, ',')) {
    std::uint32_t number = 0;
    if (std::from_chars(word.data(), word.data() + word.size(), number).ec == std::errc{}) out.push_back(number);
  }
  return out;
}

// Everything the child will read, kept alive and unmoving until the clone has returned.
struct Prepared {
  std::vector<ChildOperation> operations;
  std::vector<std::string> strings;  // reserved: addresses stay
  std::vector<gid_t> groups;
  std::vector<int> v1_tasks;
  std::vector<Fd> high;  // descriptors above kFirstPrivateFd
  std::vector<DescriptorMove> moves;
  std::vector<std::string> environment;
  std::vector<char*> argv, envp;
  ChildContext context;

  const char* keep(std::string text) {
    strings.push_back(std::move(text));
    return strings.back().c_str();
  }
};

void split_target(Prepared& p, ChildOperation& op, const std::string& target) {
  op.target = p.keep(target);
  if (target.size() < 2 || target.front() != '/') return;
  const auto slash = target.rfind('/');
  op.parent = p.keep(slash == 0 ? "." : target.substr(1, slash - 1));
  op.leaf = p.keep(target.substr(slash + 1));
}

// The identity the plan asks for: host ids of what the sandbox owns, ids to become, groups.
void prepare_identity(Prepared& p, const LaunchPlan& plan) {
  for (const Operation& op : plan.operations) {
    if (op.step == Step::user_namespace) {
      const std::uint32_t inside = (op.flags & 1) ? 0 : kInsideUserId;
      p.context.owner_uid = static_cast<uid_t>(op.number) + inside;
      p.context.owner_gid = p.context.owner_uid;
      p.context.uid = inside;
      p.context.gid = inside;
    }
    if (op.step == Step::host_identity) {
      const auto ids = numbers(op.text);
      p.context.owner_uid = static_cast<uid_t>(op.number);
      p.context.uid = static_cast<uid_t>(op.number);
      p.context.gid = ids.empty() ? 0 : ids.front();
      p.context.owner_gid = p.context.gid;
      for (std::size_t i = 1; i < ids.size(); ++i) p.groups.push_back(ids[i]);
    }
    if (op.step == Step::capabilities)
      for (const auto capability : numbers(op.text)) p.context.kept_capabilities |= 1ULL << capability;
  }
  p.context.groups = p.groups.data();
  p.context.group_count = p.groups.size();
}

void prepare_operations(Prepared& p, const LaunchPlan& plan, bool tail_only) {
  p.strings.reserve(plan.operations.size() * 4 + 16);
  p.operations.reserve(plan.operations.size());
  bool tail = false;
  for (const Operation& op : plan.operations) {
    // A further command shares the namespaces and the tree; what follows the pivot concerns the process itself.
    if (tail_only && !tail) {
      tail = op.step == Step::pivot;
      continue;
    }
    ChildOperation child{.step = op.step, .number = op.number, .inodes = op.inodes, .flags = op.flags, .mode = op.mode};
    if (!op.target.empty()) split_target(p, child, op.target);
    if (op.step == Step::working_directory) child.target = p.keep(plan.command.directory.str());
    child.text = p.keep(op.text);
    p.operations.push_back(child);
  }
  p.context.operations = p.operations.data();
  p.context.count = p.operations.size();
  const auto program = [](const std::vector<sock_filter>& code) {
    return sock_fprog{.len = static_cast<unsigned short>(code.size()), .filter = const_cast<sock_filter*>(code.data())};
  };
  p.context.guard = program(plan.terminal_guard);
  p.context.filter = program(plan.seccomp);
}

Result<> move_fd(Prepared& p, int from, int to) {
  Fd high(fcntl(from, F_DUPFD_CLOEXEC, kFirstPrivateFd));
  if (!high.valid()) return errno_error("duplicate descriptor", std::to_string(from));
  p.moves.push_back({high.get(), to});
  p.high.push_back(std::move(high));
  return {};
}

Result<> prepare_descriptors(Prepared& p, const Stdio& stdio, int record) {
  Fd null;
  if (stdio.in < 0 || stdio.out < 0 || stdio.err < 0) {
    BULKHEAD_ASSIGN(null, open_file("/dev/null", O_RDWR));
  }
  const auto or_null = [&](int fd) { return fd >= 0 ? fd : null.get(); };
  BULKHEAD_TRY(move_fd(p, or_null(stdio.in), 0));
  if (stdio.capture) {
    // init's pipes replace these in the command.
    BULKHEAD_TRY(move_fd(p, or_null(-1), 1));
    BULKHEAD_TRY(move_fd(p, or_null(-1), 2));
    BULKHEAD_TRY(move_fd(p, or_null(stdio.out), kInitStdoutFd));
    BULKHEAD_TRY(move_fd(p, or_null(stdio.err), kInitStderrFd));
  } else {
    BULKHEAD_TRY(move_fd(p, or_null(stdio.out), 1));
    BULKHEAD_TRY(move_fd(p, or_null(stdio.err), 2));
  }
  if (record >= 0) BULKHEAD_TRY(move_fd(p, record, kInitRecordFd));
  for (const auto& [ours, inside] : stdio.extra) {
    if (inside < 3 || inside >= kInitRecordFd)
      return fail("launch", "descriptor " + std::to_string(inside), "must be from 3 to 31");
    BULKHEAD_TRY(move_fd(p, ours, inside));
  }
  p.context.moves = p.moves.data();
  p.context.move_count = p.moves.size();
  // What the child still needs after the moves must not stand where one of them goes.
  for (int* needed : {&p.context.user_namespace, &p.context.init_fd}) {
    if (*needed < 0) continue;
    Fd high(fcntl(*needed, F_DUPFD_CLOEXEC, kFirstPrivateFd));
    if (!high.valid()) return errno_error("duplicate descriptor", std::to_string(*needed));
    *needed = high.get();
    p.high.push_back(std::move(high));
  }
  return {};
}

void prepare_command(Prepared& p, const CommandSpec& command, std::string mode, std::uint64_t output_bytes) {
  const auto push = [&](const std::string& text) { p.argv.push_back(const_cast<char*>(text.c_str())); };
  p.environment.reserve(command.environment.size() + 4);
  p.environment.push_back("bulkhead-init");
  p.environment.push_back(std::move(mode));
  p.environment.push_back(std::to_string(output_bytes));
  for (std::size_t i = 0; i < 3; ++i) push(p.environment[i]);
  for (const auto& argument : command.argv) push(argument);
  p.argv.push_back(nullptr);
  for (const auto& [key, value] : command.environment) {
    p.environment.push_back(key + "=" + value);
    p.envp.push_back(p.environment.back().data());
  }
  p.envp.push_back(nullptr);
  p.context.argv = p.argv.data();
  p.context.environment = p.envp.data();
}

// The child's {step, errno} as the same error text every layer prints.
SetupFailure explain(const Prepared& p) {
  const ChildContext& c = p.context;
  if (c.failed_at >= c.count) {
    const std::string what = c.failed_what ? static_cast<const char*>(c.failed_what) : "start";
    return {what, Error{.operation = what, .code = c.failed_errno}};
  }
  const ChildOperation& op = p.operations[c.failed_at];
  Error error{.operation = std::string(name(op.step)), .object = op.target ? op.target : "", .code = c.failed_errno};
  if (op.step == Step::bind && op.text) error.detail = std::string("from ") + op.text;
  return {std::string(name(op.step)), std::move(error)};
}

Result<Cgroup> make_cgroup(const LaunchSite& site, const LaunchPlan& plan) {
  std::optional<Cgroup> cgroup;
  for (const Operation& op : plan.operations) {
    if (op.step == Step::create_cgroup) {
      BULKHEAD_ASSIGN(cgroup, Cgroup::create(site.cgroups, site.cgroup_root, op.target));
    }
    if (op.step == Step::limit_cgroup && cgroup)
      if (auto limited = cgroup->limit(op.target, op.number); !limited) {
        (void)cgroup->remove();
        return std::unexpected(limited.error());
      }
  }
  if (!cgroup) return fail("plan", "", "has no create_cgroup");
  return std::move(*cgroup);
}

}  // namespace

std::expected<Sandbox, SetupFailure> Sandbox::launch(const LaunchSite& site, std::string id, LaunchPlan plan,
                                                     int user_namespace, const Stdio& stdio, Fd record) {
  auto cgroup = make_cgroup(site, plan);
  if (!cgroup) return failed(Step::create_cgroup, cgroup.error());

  Prepared p;
  std::uint64_t flags = 0;
  for (const Operation& op : plan.operations)
    if (op.step == Step::new_namespaces) flags = namespace_flags(op.text);
  prepare_identity(p, plan);
  prepare_operations(p, plan, false);
  std::string mode = "i";
  if (stdio.capture) mode += 'c';
  if (site.end_with_launcher) mode += 'd';
  prepare_command(p, plan.command, mode, plan.output_bytes);
  for (const Fd& fd : cgroup->v1_tasks()) p.v1_tasks.push_back(fd.get());
  p.context.v1_tasks = p.v1_tasks.data();
  p.context.v1_count = p.v1_tasks.size();
  p.context.user_namespace = user_namespace;
  p.context.last_capability = site.last_capability;
  p.context.init_fd = site.init_fd;
  if (auto prepared = prepare_descriptors(p, stdio, record.get()); !prepared) {
    (void)cgroup->remove();
    return failed(Step::exec_init, prepared.error());
  }

  Sandbox sandbox;
  sandbox.started_ = Clock::now();
  int pidfd = -1;
  const pid_t pid = clone_child(p.context, flags, cgroup->v2_fd(), pidfd);
  if (pid < 0) {
    Error error{.operation = "clone", .code = errno};
    (void)cgroup->remove();
    return failed(Step::new_namespaces, std::move(error));
  }
  sandbox.pidfd_ = Fd(pidfd);
  sandbox.pid_ = pid;
  if (p.context.failed_errno != 0) {
    SetupFailure failure = explain(p);
    sandbox.reap();
    (void)cgroup->remove();
    return std::unexpected(std::move(failure));
  }
  sandbox.start_time_ = process_start_time(pid).value_or(0);
  sandbox.id_ = std::move(id);
  sandbox.record_ = std::move(record);
  sandbox.cgroup_ = std::move(*cgroup);
  for (const Operation& op : plan.operations) {
    if (op.step == Step::limit_wall) sandbox.wall_deadline_ = sandbox.started_ + std::chrono::milliseconds(op.number);
    if (op.step == Step::limit_cpu_time) sandbox.cpu_limit_us_ = op.number * 1000;
  }
  sandbox.plan_ = std::move(plan);
  return sandbox;
}

std::expected<Sandbox, SetupFailure> Sandbox::launch_into(const LaunchSite& site, std::string id, const Sandbox& host,
                                                          CommandSpec command, int user_namespace, const Stdio& stdio) {
  // What is born into a frozen cgroup does not get as far as its command.
  if (host.frozen_)
    return failed(Step::exec_init, Error{.operation = "enter sandbox",
                                         .object = host.id_,
                                         .code = EBUSY,
                                         .detail = "a checkpoint is being taken",
                                         .hint = "try again in a moment"});
  Prepared p;
  LaunchPlan plan = host.plan_;
  plan.command = std::move(command);
  prepare_identity(p, plan);
  prepare_operations(p, plan, true);
  prepare_command(p, plan.command, "x", 0);
  auto cgroup = Cgroup::open(site.cgroups, site.cgroup_root, host.cgroup_->node());
  if (!cgroup) return failed(Step::create_cgroup, cgroup.error());
  for (const Fd& fd : cgroup->v1_tasks()) p.v1_tasks.push_back(fd.get());
  p.context.v1_tasks = p.v1_tasks.data();
  p.context.v1_count = p.v1_tasks.size();
  p.context.user_namespace = user_namespace;
  p.context.last_capability = site.last_capability;
  p.context.init_fd = site.init_fd;
  p.context.join_pidfd = host.pidfd_.get();  // held since creation: nobody can forge it (CVE-2022-31214)
  p.context.join_namespaces = 0;             // but the cgroup namespace, which the child enters itself
  for (const Operation& op : plan.operations)
    if (op.step == Step::new_namespaces) p.context.join_namespaces |= static_cast<int>(namespace_flags(op.text));
  if (auto prepared = prepare_descriptors(p, stdio, -1); !prepared) return failed(Step::exec_init, prepared.error());

  Sandbox sandbox;
  sandbox.started_ = Clock::now();
  int pidfd = -1;
  const pid_t pid = clone_into(p.context, cgroup->v2_fd(), pidfd);
  if (pid < 0)
    return failed(Step::new_namespaces, Error{.operation = "enter sandbox", .object = host.id_, .code = errno});
  sandbox.pidfd_ = Fd(pidfd);
  sandbox.pid_ = pid;
  if (p.context.failed_errno != 0) {
    SetupFailure failure = explain(p);
    sandbox.reap();
    return std::unexpected(std::move(failure));
  }
  sandbox.start_time_ = process_start_time(pid).value_or(0);
  sandbox.id_ = std::move(id);
  sandbox.plan_ = std::move(plan);
  return sandbox;
}

Result<> Sandbox::kill(EndReason cause) {
  if (!cause_) cause_ = cause;
  if (cgroup_) {
    // A frozen cgroup dies too: cgroup.kill thaws what it kills (cgroup-v2.rst).
    return cgroup_->kill();
  }
  return signal(SIGKILL);
}

Result<> Sandbox::signal(int number) {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) != 0)
    return errno_error("signal sandbox", id_);
  return {};
}

Result<> Sandbox::set_frozen(bool frozen) {
  if (!cgroup_) return fail("freeze", id_, "stands inside another sandbox; freeze that one");
  BULKHEAD_TRY(cgroup_->set_frozen(frozen));
  frozen_ = frozen;
  return {};
}

std::optional<Clock::time_point> Sandbox::enforce(Clock::time_point now) {
  if (!cgroup_ || cause_) return std::nullopt;
  if (wall_deadline_ && now >= *wall_deadline_) {
    (void)kill(EndReason::wall_time);
    return std::nullopt;
  }
  const CgroupUsage usage = cgroup_->usage();
  if (cpu_limit_us_ != 0 && usage.cpu_us >= cpu_limit_us_) {
    (void)kill(EndReason::cpu_time);
    return std::nullopt;
  }
  // On v1 nothing kills the rest when the memory limit took one process: what is left is no whole agent.
  if (usage.oom_kills != 0) {
    (void)kill(EndReason::out_of_memory);
    return std::nullopt;
  }
  const auto again = now + kLookAgain;
  return wall_deadline_ ? std::min(again, *wall_deadline_) : again;
}

namespace {

std::optional<InitRecord> read_record(int fd) {
  InitRecord record;
  if (fd < 0 || pread(fd, &record, sizeof record, 0) != static_cast<ssize_t>(sizeof record)) return std::nullopt;
  if (record.magic != kInitRecordMagic || record.outcome > InitOutcome::setup_failed) return std::nullopt;
  return record;
}

const Operation* find(const LaunchPlan& plan, Step step, const char* target) {
  for (const Operation& op : plan.operations)
    if (op.step == step && op.target == target) return &op;
  return nullptr;
}

void describe(ExitRecord& r, const LaunchPlan& plan) {
  const auto rule = [&](Step step, const char* target) -> const Operation* {
    const Operation* op = find(plan, step, target);
    if (op != nullptr) r.origin = op->origin;
    return op;
  };
  switch (r.reason) {
    case EndReason::exited:
      r.detail = "exited with status " + std::to_string(r.exit_code);
      break;
    case EndReason::signalled:
      r.detail = std::string("killed by signal ") +
                 (sigabbrev_np(r.signal) ? std::string("SIG") + sigabbrev_np(r.signal) : std::to_string(r.signal));
      break;
    case EndReason::out_of_memory:
      if (const auto* op = rule(Step::limit_cgroup, "memory"))
        r.detail = "over the memory limit of " + format_bytes(op->number);
      break;
    case EndReason::pids_exhausted:
      if (const auto* op = rule(Step::limit_cgroup, "pids"))
        r.detail = "over the limit of " + std::to_string(op->number) + " processes";
      break;
    case EndReason::wall_time:
      if (const auto* op = rule(Step::limit_wall, "wall"))
        r.detail = "ran longer than " + format_duration(std::chrono::milliseconds(op->number));
      break;
    case EndReason::cpu_time:
      if (const auto* op = rule(Step::limit_cpu_time, "cpu_time"))
        r.detail = "used more than " + format_duration(std::chrono::milliseconds(op->number)) + " of CPU";
      break;
    case EndReason::seccomp:
      r.detail = "made a system call that the filter kills for";
      for (const Operation& op : plan.operations)
        if (op.step == Step::seccomp) r.origin = op.origin;
      break;
    case EndReason::idle:
      r.detail = "did nothing for too long";
      break;
    case EndReason::killed_by_request:
      r.detail = "killed by request";
      break;
    case EndReason::fault_injected:
      r.detail = "killed by an injected fault";
      break;
    case EndReason::setup_failed:
    case EndReason::lost:
      break;
  }
}

}  // namespace

ExitRecord Sandbox::conclude() {
  ExitRecord r;
  r.id = id_;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  r.ended_unix_ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
  r.wall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - started_).count();

  siginfo_t info{};
  while (waitid(static_cast<idtype_t>(3 /* P_PIDFD */), static_cast<id_t>(pidfd_.get()), &info, WEXITED | WNOWAIT) !=
             0 &&
         errno == EINTR)
    continue;
  const bool by_signal = info.si_code != CLD_EXITED;
  if (by_signal) {
    r.reason = EndReason::signalled;
    r.signal = info.si_status;
  } else {
    r.reason = EndReason::exited;
    r.exit_code = info.si_status;
  }
  const auto record = read_record(record_.get());
  if (record) {
    r.stdout_dropped = record->stdout_dropped;
    r.stderr_dropped = record->stderr_dropped;
    if (!by_signal && record->outcome == InitOutcome::signalled) {
      r.reason = EndReason::signalled;
      r.signal = record->value;
      r.exit_code = -1;
    } else if (record->outcome == InitOutcome::exec_failed || record->outcome == InitOutcome::setup_failed) {
      r.reason = EndReason::setup_failed;
      r.step = record->outcome == InitOutcome::exec_failed ? "exec_command" : "init";
      r.step_errno = record->value;
      r.detail = r.step + " " + plan_.command.argv.front() + ": " + strerrordesc_np(record->value);
    }
  }
  if (cgroup_) {
    const CgroupUsage usage = cgroup_->usage();
    r.cpu_ms = static_cast<std::int64_t>(usage.cpu_us / 1000);
    r.peak_memory = usage.memory_peak;
    r.oom_kills = usage.oom_kills;
    r.pids_refusals = usage.pids_refusals;
  }
  const bool failed = r.reason == EndReason::signalled || (r.reason == EndReason::exited && r.exit_code != 0);
  // A kill that came too late does not rewrite how the command ended.
  const bool ended_itself = !by_signal && record && record->outcome == InitOutcome::exited;
  if (cause_ && !ended_itself) {
    r.reason = *cause_;
  } else if (failed && r.oom_kills != 0) {
    r.reason = EndReason::out_of_memory;
  } else if (failed && r.pids_refusals != 0) {
    r.reason = EndReason::pids_exhausted;
  } else if (r.reason == EndReason::signalled && r.signal == SIGSYS) {
    r.reason = EndReason::seccomp;
  }
  describe(r, plan_);
  return r;
}

ExitRecord record_of_init(const std::string& id, int record_fd) {
  ExitRecord r;
  r.id = id;
  r.detail = "its launcher died before it ended";
  const auto record = read_record(record_fd);
  if (!record) return r;
  r.ended_unix_ms = record->ended_unix_ms;
  r.stdout_dropped = record->stdout_dropped;
  r.stderr_dropped = record->stderr_dropped;
  if (record->outcome == InitOutcome::exited) {
    r.reason = EndReason::exited;
    r.exit_code = record->value;
  } else if (record->outcome == InitOutcome::signalled) {
    r.reason = EndReason::signalled;
    r.signal = record->value;
  } else {
    r.reason = EndReason::setup_failed;
    r.step_errno = record->value;
  }
  return r;
}

void Sandbox::reap() {
  siginfo_t info{};
  while (waitid(static_cast<idtype_t>(3 /* P_PIDFD */), static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0 &&
         errno == EINTR)
    continue;
}

Result<> Sandbox::remove_cgroup() {
  if (!cgroup_) return {};
  return cgroup_->remove();
}

}  // namespace bulkhead
