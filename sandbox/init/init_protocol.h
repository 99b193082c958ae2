// What the launcher and bulkhead-init agree on: descriptor numbers and the exit record. Plain C shapes: init is a
// static program that shares nothing else with us.
#pragma once

#include <cstdint>

namespace bulkhead {

// Descriptors init is started with. Extra descriptors of workers stay below kInitRecordFd.
inline constexpr int kInitRecordFd = 32;  // write-only, host-only: init appends one InitRecord to it
inline constexpr int kInitStdoutFd = 33;  // captured output goes here, at most `limit` bytes each
inline constexpr int kInitStderrFd = 34;

// argv of init: [0] "bulkhead-init", [1] mode letters, [2] capture limit in bytes (decimal), [3…] the command.
// Modes: 'i' be pid 1; 'x' only look up and execute the command (a further command in a live sandbox);
// 'c' capture output; 'd' end when the launcher dies.
inline constexpr std::uint32_t kInitRecordMagic = 0x31484b42;  // "BKH1"

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

}  // namespace bulkhead
