// What the launcher and bulkhead-init agree on: descriptor numbers and the exit record. Plain C shapes: init is a
// static program that shares nothing else with us.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bulkhead {

// Descriptors init is started with. Extra descriptors of workers stay below kInitRecordFd.
inline constexpr int kInitRecordFd = 32;  // write-only, host-only: init appends one InitRecord to it
inline constexpr int kInitStdoutFd = 33;  // captured output goes here, at most `limit` bytes each
inline constexpr int kInitStderrFd = 34;
inline constexpr int kInitGuestsFd = 37;  // SOCK_SEQPACKET to the launcher: further commands, see GuestRequest
// Of an observed sandbox only:
inline constexpr int kInitLearnFd = 35;        // write-only, host-only: init appends InitObservations
inline constexpr int kInitLearnFilterFd = 36;  // the filter that the command loads, as struct sock_filter

// argv of init: [0] "bulkhead-init", [1] mode letters, [2] capture limit in bytes (decimal), [4…] the command.
// [3] is the descriptor that tells init of refused system calls (seccomp_unotify(2)), "-" where there is none.
// Modes: 'i' none of these; 'c' capture output; 'd' end when the launcher dies; 'l' observe what the command asks for.
inline constexpr std::uint32_t kInitRecordMagic = 0x32484b42;  // "BKH2"

enum class InitOutcome : std::uint32_t { exited = 0, signalled = 1, exec_failed = 2, setup_failed = 3 };

struct InitRecord {
  std::uint32_t magic = 0;
  InitOutcome outcome{};
  std::int32_t value = 0;  // exit code, signal, or errno
  std::uint32_t reserved = 0;
  std::uint64_t stdout_dropped = 0;
  std::uint64_t stderr_dropped = 0;
  std::int64_t ended_unix_ms = 0;
};
static_assert(sizeof(InitRecord) == 40);

// Behind the record, one after another from kInitDenialsOffset on: each system call that was refused, when it is first
// seen, so that it is known whatever end the sandbox takes. `who` is the agent's own word and trusted by nobody.
struct InitDenial {
  std::int32_t number = -1;  // of the system call; -1: no more
  std::uint32_t times = 0;   // brought up to date at each power of two and at the end
  std::uint64_t arguments[2] = {};
  char who[16] = {};  // comm of the first to call it; not terminated if full
};
static_assert(sizeof(InitDenial) == 40);
inline constexpr std::size_t kInitDenialsOffset = sizeof(InitRecord);
inline constexpr std::size_t kMostInitDenials = 32;            // the last for all calls that differ from those before
inline constexpr std::int32_t kOtherInitDenials = 0x7fffffff;  // its number

// Guests: further commands in a living sandbox. One message is one GuestRequest. Behind one to start: the directory,
// the arguments and the variables ("KEY=VALUE"), each with its NUL; with it three descriptors, to be 0, 1 and 2.
enum class GuestOrder : std::uint32_t { start = 1, signal = 2 };
struct GuestRequest {
  GuestOrder order{};
  std::uint32_t serial = 0;  // the launcher's name for it
  std::uint32_t arguments = 0, variables = 0;
  std::int32_t signal = 0;
};
inline constexpr std::size_t kMostGuestBytes = 192 * 1024;
inline constexpr std::size_t kMostGuestWords = 8192;
inline constexpr std::size_t kMostGuests = 64;  // alive at once in a sandbox

// The answer, once, when it has ended or could not be started.
struct GuestEnd {
  std::uint32_t serial = 0;
  InitOutcome outcome{};
  std::int32_t value = 0;  // as in InitRecord
};

// What init notes of an observed sandbox, one row behind another from the descriptor's beginning. It sees calls before
// the kernel decides them, so a row says what must come of the call, not what came of it. `who` and the text are the
// agent's own word; so are all numbers to who does not trust init.
enum class InitSeen : std::uint8_t {
  missing = 1,   // text: absolute path that is not there inside; error
  unwritable,    // text: path that cannot be changed; error, ENOENT where its directory is not there
  unreadable,    // text: path of somebody else's that cannot be opened
  unexecutable,  // text: program on a mount without execution
  masked,        // text: path in /proc with something over it
  device_node,   // text: path of a device node that was to be made
  connect,       // text: struct sockaddr as it was given; flags
  bind,
  send,
  own_listener,  // of system calls: a process has one at most, and it is init's
  terminal,      // ioctl(2) that types into a terminal: refused
  open_files,    // another file was to be opened, beyond the limit
  more,          // there were more rows than are noted
  closed         // callers' memory cannot be read, so no row has a path or an address: ptrace(2), Yama
};
inline constexpr std::uint32_t kSeenProtocolMask = 0xff;  // flags: IPPROTO_…, 0 where it is not known
inline constexpr std::uint32_t kSeenListening = 0x100;    // somebody inside listens there
inline constexpr std::uint32_t kSeenExecution = 0x200;    // missing: it was to be run
struct InitObservation {
  std::uint32_t size = 0;  // of the row: this, the text, and zeros up to a multiple of 8
  InitSeen seen{};
  std::uint8_t reserved = 0;
  std::uint16_t text = 0;   // its length
  std::int32_t call = -1;   // number of the system call
  std::int32_t error = 0;   // errno
  std::uint32_t times = 0;  // brought up to date at each power of two and at the end
  std::uint32_t flags = 0;
  char who[16] = {};
};
static_assert(sizeof(InitObservation) == 40);
inline constexpr std::size_t kMostObservations = 8192;
inline constexpr std::size_t kMostObservedBytes = 1024 * 1024;

}  // namespace bulkhead
