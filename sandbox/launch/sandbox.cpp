#include "sandbox/launch/sandbox.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "sandbox/base/text.h"
#include "sandbox/base/units.h"
#include "sandbox/launch/child_arguments.h"
#include "sandbox/launch/disk_ending.h"
#include "sandbox/launch/init_record.h"
#include "sandbox/launch/own_binds.h"
#include "sandbox/launch/prepared_root.h"
#include "sandbox/launch/spare_networks.h"
#include "sandbox/launch/user_namespace.h"
#include "sandbox/sys/channel.h"
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

Result<std::optional<Cgroup>> make_cgroup(const LaunchSite& site, const LaunchPlan& plan) {
  std::set<std::string> controllers{"memory"};  // for its peak, limited or not
  for (const Operation& op : plan.operations)
    if (op.step == Step::limit_cgroup) controllers.insert(op.target.substr(0, op.target.find('_')));  // cpu_weight: cpu
  std::optional<Cgroup> cgroup;
  for (const Operation& op : plan.operations) {
    if (op.step == Step::create_cgroup) {
      BULKHEAD_ASSIGN(cgroup, Cgroup::create(site.cgroups, site.cgroup_root, op.target, controllers));
    }
    if (op.step == Step::limit_cgroup && cgroup)
      if (auto limited = cgroup->limit(op.target, op.number); !limited) {
        (void)cgroup->remove();
        return std::unexpected(limited.error());
      }
  }
  return cgroup;
}

}  // namespace

// Between the cgroup, which is made, and the life of the sandbox.
std::expected<Sandbox, SetupFailure> Sandbox::start(const LaunchSite& site, const LaunchPlan& plan,
                                                    const Cgroup* cgroup, int user_namespace, const Stdio& stdio,
                                                    int record) {
  const auto binds = open_own_binds(plan);
  if (!binds) return std::unexpected(binds.error());
  auto root = site.roots->root_for(plan, *binds);
  if (!root) return std::unexpected(std::move(root.error()));
  ChildArguments p;
  p.set_identity(plan);
  if (auto set = p.set_operations(plan, root->operations, *binds); !set) return std::unexpected(set.error());
  std::string mode = "i";
  if (stdio.capture) mode += 'c';
  // Without a cgroup nobody would find it once its launcher is gone.
  if (site.end_with_launcher || cgroup == nullptr) mode += 'd';
  const bool learns = !plan.learning.empty();
  if (learns) mode += 'l';
  p.set_command(plan.command, mode, plan.output_bytes);
  p.context.observe_refusals = !learns;
  if (cgroup != nullptr) p.set_v1_tasks(cgroup->v1_tasks());
  p.context.user_namespace = user_namespace;
  p.context.last_capability = site.last_capability;
  p.context.init_fd = site.init_fd;
  if (learns)
    if (auto placed = p.set_learning(plan.learning, stdio.learn); !placed) return failed(Step::seccomp, placed.error());
  std::uint64_t flags = 0;
  for (const Operation& op : plan.operations) {
    if (op.step == Step::new_namespaces) flags = namespace_flags(op.text);
    if (op.step == Step::seccomp) p.context.must_observe = (op.flags & kMustBeSeen) != 0;
  }
  Fd network;
  if (flags & CLONE_NEWNET) network = site.networks->take();
  if (network.valid()) flags &= ~std::uint64_t{CLONE_NEWNET};
  p.context.network = network.get();
  auto guests = Channel::pair();
  if (!guests) return failed(Step::exec_init, guests.error());
  if (auto placed = p.set_descriptors(stdio, record, guests->second.fd()); !placed)
    return failed(Step::exec_init, placed.error());

  Sandbox sandbox;
  sandbox.guests_ = keep(guests->first.take());
  sandbox.started_ = Clock::now();
  int pidfd = -1;
  if (auto entered = site.roots->enter(*root); !entered) return failed(Step::new_namespaces, entered.error());
  sandbox.pid_ = clone_child(p.context, flags, cgroup != nullptr ? cgroup->v2_fd() : -1, pidfd);
  const int code = errno;
  site.roots->leave();
  if (sandbox.pid_ < 0) return failed(Step::new_namespaces, Error{.operation = "clone", .code = code});
  sandbox.pidfd_ = keep(Fd(pidfd));
  if (p.context.failed_errno != 0) {
    sandbox.reap();
    return std::unexpected(p.failure());
  }
  sandbox.start_time_ = process_start_time(sandbox.pid_).value_or(0);
  sandbox.unseen_errno_ = p.context.unseen_errno;
  return sandbox;
}

std::expected<Sandbox, SetupFailure> Sandbox::launch(const LaunchSite& site, std::string id, LaunchPlan plan,
                                                     int user_namespace, const Stdio& stdio, Fd record) {
  auto cgroup = make_cgroup(site, plan);
  if (!cgroup) return failed(Step::create_cgroup, cgroup.error());

  auto launched = start(site, plan, *cgroup ? &**cgroup : nullptr, user_namespace, stdio, record.get());
  if (!launched) {
    if (*cgroup) (void)(*cgroup)->remove();
    return std::unexpected(std::move(launched.error()));
  }
  Sandbox sandbox = std::move(*launched);
  sandbox.id_ = std::move(id);
  sandbox.record_ = keep(std::move(record));
  sandbox.cgroup_ = std::move(*cgroup);
  if (sandbox.cgroup_) sandbox.cgroup_->close_entrances();
  sandbox.oom_kills_all_ = site.cgroups.mode == CgroupMode::v2;
  for (const Operation& op : plan.operations) {
    if (op.step == Step::limit_wall) sandbox.wall_deadline_ = sandbox.started_ + std::chrono::milliseconds(op.number);
    if (op.step == Step::limit_cpu_time) sandbox.cpu_limit_us_ = op.number * 1000;
  }
  // What is done is done: kept is what explains an ending. With a thousand sandboxes the rest would be most of our
  // memory.
  std::erase_if(plan.operations,
                [](const Operation& op) { return op.step >= Step::root_tmpfs && op.step != Step::seccomp; });
  plan.operations.shrink_to_fit();
  plan.command.argv.resize(1);
  plan.command.environment.clear();
  sandbox.plan_ = std::move(plan);
  return sandbox;
}

Result<> Sandbox::kill(EndReason cause) {
  // A frozen one dies too: cgroup.kill thaws what it kills (cgroup-v2.rst). It is a file to be opened, for which there
  // may be no descriptor left; init is signalled by one we have, and with it the kernel ends all of its pid namespace
  // (pid_namespaces(7)).
  if (!cgroup_ || !cgroup_->kill()) BULKHEAD_TRY(signal(SIGKILL));
  if (!cause_) cause_ = cause;  // only now: a limit whose kill failed is looked at again
  return {};
}

Result<> Sandbox::signal(int number) {
  if (::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0) != 0)
    return errno_error("signal sandbox", id_);
  return {};
}

Result<> Sandbox::set_frozen(bool frozen) {
  if (!cgroup_) return fail("freeze", id_, "has no cgroup: the wall limits is missing here", "see `bulkhead doctor`");
  BULKHEAD_TRY(cgroup_->set_frozen(frozen));
  frozen_ = frozen;
  return {};
}

std::optional<Clock::time_point> Sandbox::first_look() const {
  if (!cgroup_) return wall_deadline_;
  if (cpu_limit_us_ == 0 && oom_kills_all_) return wall_deadline_;
  const auto soon = started_ + kLookAgain;
  return wall_deadline_ ? std::min(soon, *wall_deadline_) : soon;
}

std::optional<Clock::time_point> Sandbox::enforce(Clock::time_point now) {
  if (cause_) return std::nullopt;
  const auto end = [&](EndReason cause) -> std::optional<Clock::time_point> {
    if (kill(cause)) return std::nullopt;
    return now + kLookAgain;  // it has just ended by itself, or is to be killed again
  };
  if (wall_deadline_ && now >= *wall_deadline_) return end(EndReason::wall_time);
  if (!cgroup_) return wall_deadline_;
  if (cpu_limit_us_ != 0 && cgroup_->cpu_us() >= cpu_limit_us_) return end(EndReason::cpu_time);
  // On v1 nothing kills the rest when the memory limit took one process: what is left is no whole agent.
  if (!oom_kills_all_ && cgroup_->oom_kills() != 0) return end(EndReason::out_of_memory);
  if (cpu_limit_us_ == 0 && oom_kills_all_) return wall_deadline_;
  const auto again = now + kLookAgain;
  return wall_deadline_ ? std::min(again, *wall_deadline_) : again;
}

namespace {

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
  describe_end(r);
  switch (r.reason) {
    case EndReason::out_of_memory:
      if (const auto* op = rule(Step::limit_cgroup, "memory"))
        r.detail = "over the memory limit of " + format_bytes(op->number);
      break;
    case EndReason::pids_exhausted:
      if (const auto* op = rule(Step::limit_cgroup, "pids"))
        r.detail = "over the limit of " + std::to_string(op->number) + " processes";
      break;
    case EndReason::disk_full: {
      FullDisk full = describe_full_disk(r, plan);
      r.detail = std::move(full.detail);
      r.origin = std::move(full.origin);
      break;
    }
    case EndReason::wall_time:
      if (const auto* op = rule(Step::limit_wall, "wall"))
        r.detail = "ran longer than " + format_duration(std::chrono::milliseconds(op->number));
      break;
    case EndReason::cpu_time:
      if (const auto* op = rule(Step::limit_cpu_time, "cpu_time"))
        r.detail = "used more than " + format_duration(std::chrono::milliseconds(op->number)) + " of CPU";
      break;
    case EndReason::seccomp:
      for (const Operation& op : plan.operations)
        if (op.step == Step::seccomp) r.origin = op.origin;
      break;
    default:
      break;
  }
}

}  // namespace

ExitRecord Sandbox::conclude(const std::optional<DiskUsage>& disk) {
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
  const auto record = read_init_record(record_.get());
  if (record) note_end(r, *record, by_signal ? InitEnd::killed : InitEnd::exited, plan_.command.argv.front());
  r.denials = read_init_denials(record_.get());
  r.metered = cgroup_.has_value();
  if (cgroup_) {
    const CgroupUsage usage = cgroup_->usage();
    r.cpu_ms = static_cast<std::int64_t>(usage.cpu_us / 1000);
    r.peak_memory = usage.memory_peak;
    r.oom_kills = usage.oom_kills;
    r.pids_refusals = usage.pids_refusals;
    r.pressure = {.cpu_ms = static_cast<std::int64_t>(usage.cpu_stalled_us / 1000),
                  .memory_ms = static_cast<std::int64_t>(usage.memory_stalled_us / 1000),
                  .io_ms = static_cast<std::int64_t>(usage.io_stalled_us / 1000)};
  }
  if (disk) {
    r.disk_bytes = disk->bytes;
    r.disk_inodes = disk->inodes;
    r.disk_full = disk->bytes_full || disk->inodes_full;
    r.inodes_full = disk->inodes_full;
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
  } else if (failed && r.disk_full) {
    r.reason = EndReason::disk_full;
  } else if (r.reason == EndReason::signalled && r.signal == SIGSYS) {
    r.reason = EndReason::seccomp;
  }
  describe(r, plan_);
  return r;
}

void Sandbox::reap() {
  siginfo_t info{};
  while (waitid(static_cast<idtype_t>(3 /* P_PIDFD */), static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0 &&
         errno == EINTR)
    continue;
  pidfd_.reset();
}

Result<> Sandbox::remove_cgroup() { return cgroup_ ? cgroup_->remove() : Result<>(); }

}  // namespace bulkhead
