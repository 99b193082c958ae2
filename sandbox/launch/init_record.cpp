#include "sandbox/launch/init_record.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/base/text.h"
#include "sandbox/spec/seccomp_profile.h"

namespace bulkhead {

bool is_possible(InitOutcome outcome, std::int32_t value) {
  switch (outcome) {
    case InitOutcome::exited:
      return value >= 0 && value <= 255;
    case InitOutcome::signalled:
      return value > 0 && value < NSIG;
    case InitOutcome::exec_failed:
    case InitOutcome::setup_failed:
      return value >= 0 && value <= 4095;  // MAX_ERRNO
  }
  return false;
}

std::optional<InitRecord> read_init_record(int fd) {
  InitRecord record;
  if (fd < 0 || pread(fd, &record, sizeof record, 0) != static_cast<ssize_t>(sizeof record)) return std::nullopt;
  if (record.magic != kInitRecordMagic || !is_possible(record.outcome, record.value)) return std::nullopt;
  return record;
}

std::vector<Denial> read_init_denials(int fd) {
  std::vector<Denial> denials;
  InitDenial slots[kMostInitDenials];
  const ssize_t bytes = fd < 0 ? -1 : pread(fd, slots, sizeof slots, static_cast<off_t>(kInitDenialsOffset));
  for (std::size_t i = 0; bytes > 0 && i < static_cast<std::size_t>(bytes) / sizeof(InitDenial); ++i) {
    if (slots[i].number < 0) break;
    const bool others = slots[i].number == kOtherInitDenials;
    Denial denial{.call = others ? std::string(kOtherCalls) : system_call_name(slots[i].number),
                  .times = slots[i].times,
                  .who = {},
                  .arguments = {}};
    denial.who.assign(slots[i].who, ::strnlen(slots[i].who, sizeof slots[i].who));
    denial.who = printable(denial.who);  // the agent's own word
    denial.arguments.assign(std::begin(slots[i].arguments), std::end(slots[i].arguments));
    denials.push_back(std::move(denial));
  }
  return denials;
}

void note_end(ExitRecord& r, const InitRecord& record, InitEnd init, const std::string& program) {
  r.stdout_dropped = record.stdout_dropped;
  r.stderr_dropped = record.stderr_dropped;
  if (init == InitEnd::exited && record.outcome == InitOutcome::signalled) {
    r.reason = EndReason::signalled;
    r.signal = record.value;
    r.exit_code = -1;
  } else if (record.outcome == InitOutcome::exec_failed || record.outcome == InitOutcome::setup_failed) {
    r.reason = EndReason::setup_failed;
    r.step = record.outcome == InitOutcome::exec_failed ? "exec_command" : "init";
    r.step_errno = record.value;
    const char* const why = strerrordesc_np(record.value);  // null for a number that glibc has no words for
    r.detail = r.step + " " + program + ": " + (why != nullptr ? why : "errno " + std::to_string(record.value));
  }
}

void note_guest_end(ExitRecord& r, const GuestEnd& end, const std::string& program) {
  InitRecord record;
  record.outcome = end.outcome;
  record.value = end.value;
  r.reason = EndReason::exited;
  if (end.outcome == InitOutcome::exited) r.exit_code = end.value;
  note_end(r, record, InitEnd::exited, program);
  if (r.reason == EndReason::signalled && r.signal == SIGSYS) r.reason = EndReason::seccomp;
}

ExitRecord record_of_init(const std::string& id, int record_fd) {
  ExitRecord r;
  r.id = id;
  r.detail = "its launcher died before it ended";
  const auto record = read_init_record(record_fd);
  if (!record) return r;
  r.ended_unix_ms = record->ended_unix_ms;
  r.stdout_dropped = record->stdout_dropped;
  r.stderr_dropped = record->stderr_dropped;
  r.denials = read_init_denials(record_fd);
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

}  // namespace bulkhead
