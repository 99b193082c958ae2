#include "sandbox/launch/guests.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>

#include "sandbox/init/init_protocol.h"
#include "sandbox/launch/child_arguments.h"
#include "sandbox/launch/init_record.h"
#include "sandbox/sys/channel.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

Error cannot_enter(const std::string& host, int code, std::string detail, std::string hint) {
  return {
      .operation = "enter sandbox", .object = host, .code = code, .detail = std::move(detail), .hint = std::move(hint)};
}

// The launcher waits for no init.
Result<> send(const Sandbox& host, const std::string& message, const std::vector<int>& fds) {
  if (host.guests_fd() < 0)
    return std::unexpected(cannot_enter(host.id(), EPIPE, "its init takes no further commands", ""));
  const auto sent = send_message(host.guests_fd(), message, fds, MSG_DONTWAIT);
  if (sent) return {};
  const int code = sent.error().code;
  if (code == EAGAIN) return std::unexpected(cannot_enter(host.id(), EBUSY, "its init is busy", "try again"));
  if (code == EMSGSIZE)
    return std::unexpected(cannot_enter(host.id(), E2BIG, "arguments and environment are too large", ""));
  return std::unexpected(cannot_enter(host.id(), code, "", ""));
}

std::string header(const GuestRequest& request) { return {reinterpret_cast<const char*>(&request), sizeof request}; }

}  // namespace

Result<> Guests::start(const Sandbox& host, const std::string& id, const CommandSpec& command, const Stdio& stdio) {
  // Frozen, it would get to it at some later time.
  if (host.is_frozen())
    return std::unexpected(cannot_enter(host.id(), EBUSY, "a checkpoint is being taken", "try again in a moment"));
  std::string message = header({.order = GuestOrder::start,
                                .serial = ++serial_,
                                .arguments = static_cast<std::uint32_t>(command.argv.size()),
                                .variables = static_cast<std::uint32_t>(command.environment.size()),
                                .signal = 0});
  const auto add = [&](const std::string& text) { message.append(text).push_back('\0'); };
  add(command.directory.str());
  for (const std::string& argument : command.argv) add(argument);
  for (const auto& [key, value] : command.environment) add(key + "=" + value);
  if (message.size() > kMostGuestBytes || command.argv.size() + command.environment.size() > kMostGuestWords)
    return std::unexpected(cannot_enter(host.id(), E2BIG, "arguments and environment are too large", ""));
  Fd null;
  if (stdio.in < 0 || stdio.out < 0 || stdio.err < 0) {
    BULKHEAD_ASSIGN(null, open_file("/dev/null", O_RDWR));
  }
  BULKHEAD_TRY(refuse_directories(stdio));
  const auto or_null = [&](int fd) { return fd >= 0 ? fd : null.get(); };
  BULKHEAD_TRY(send(host, message, {or_null(stdio.in), or_null(stdio.out), or_null(stdio.err)}));
  guests_[id] = {.host = host.id(),
                 .program = command.argv.front(),
                 .serial = serial_,
                 .started = Clock::now(),
                 .cause = std::nullopt};
  return {};
}

Result<> Guests::signal(const Sandbox& host, const std::string& id, int number) const {
  return send(host,
              header({.order = GuestOrder::signal,
                      .serial = guests_.at(id).serial,
                      .arguments = 0,
                      .variables = 0,
                      .signal = number}),
              {});
}

Result<> Guests::kill(const Sandbox& host, const std::string& id, EndReason cause) {
  Guest& guest = guests_.at(id);
  if (!guest.cause) guest.cause = cause;
  return signal(host, id, SIGKILL);
}

ExitRecord Guests::record(const std::string& id, const Guest& guest) {
  ExitRecord r;
  r.id = id;
  r.metered = false;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  r.ended_unix_ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
  r.wall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - guest.started).count();
  return r;
}

std::vector<ExitRecord> Guests::collect(const Sandbox& host, bool& hung_up) {
  std::vector<ExitRecord> records;
  hung_up = false;
  // At most what can be alive: who floods us gets its turn again after the others.
  for (std::size_t i = 0; i < kMostGuests; ++i) {
    GuestEnd end;
    const ssize_t got = ::recv(host.guests_fd(), &end, sizeof end, MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (got != static_cast<ssize_t>(sizeof end) || !is_possible(end.outcome, end.value)) {
      hung_up = true;
      break;
    }
    const auto found = std::ranges::find_if(guests_, [&](const auto& guest) {
      return guest.second.serial == end.serial && guest.second.host == host.id();
    });
    if (found == guests_.end()) continue;
    ExitRecord r = record(found->first, found->second);
    note_guest_end(r, end, found->second.program);
    if (found->second.cause && r.reason == EndReason::signalled) r.reason = *found->second.cause;
    describe_end(r);
    records.push_back(std::move(r));
    guests_.erase(found);
  }
  return records;
}

std::vector<ExitRecord> Guests::end_all(const std::string& host) {
  std::vector<ExitRecord> records;
  std::erase_if(guests_, [&](const auto& guest) {
    if (guest.second.host != host) return false;
    ExitRecord r = record(guest.first, guest.second);
    r.reason = guest.second.cause.value_or(EndReason::signalled);
    r.signal = SIGKILL;
    r.detail = "ended with its sandbox";
    records.push_back(std::move(r));
    return true;
  });
  return records;
}

}  // namespace bulkhead
