// The append-only event log of one state directory: an SQLite database in WAL mode (https://sqlite.org/wal.html).
// The database itself refuses UPDATE and DELETE, by triggers.
//
// One writer (the daemon, which holds the state directory's lock) and any number of read-only openings at the same
// time. A Journal is used by one thread. Calls block: process-durable appends take microseconds, power-durable ones an
// fsync.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "supervisor/core/journal/event.h"

struct sqlite3;

namespace bulkhead {

enum class JournalMode { write, read };

// process: survives the death of any process (a committed WAL frame in the page cache). power: also a power cut: the
// WAL is fsynced before append returns, and with it everything appended before.
enum class Durability { process, power };

struct RunListing {
  std::string run;
  std::uint64_t first_seq = 0;
  std::uint64_t last_seq = 0;
  std::int64_t first_time_unix_ms = 0;
  std::int64_t last_time_unix_ms = 0;
  bool operator==(const RunListing&) const = default;
};

class Journal {
 public:
  // `write` creates what is missing (mode 0600); `read` does not and works while a writer lives. Refused with a clear
  // error: a file that is no journal, a damaged one, one that a newer Bulkhead wrote.
  static Result<Journal> open(const std::string& path, JournalMode mode);

  // Appends all or nothing, in order, and hands the events back with their seq. Refuses bodies over kMaxEventBody.
  Result<std::vector<Event>> append(std::vector<Event> events, Durability durability);
  Result<Event> append(Event event, Durability durability);

  // Events of `run` with seq >= from_seq, in order; at most `limit`.
  Result<std::vector<Event>> read(const std::string& run, std::uint64_t from_seq = 0,
                                  std::size_t limit = SIZE_MAX) const;
  Result<std::vector<Event>> read_all(std::uint64_t from_seq = 0, std::size_t limit = SIZE_MAX) const;
  Result<std::vector<RunListing>> runs() const;  // in the order of their first event
  // sqlite's integrity_check: an error that says what is damaged, or nothing. Reads everything.
  Result<> check() const;

  const std::string& path() const { return path_; }

  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;
  ~Journal();

 private:
  struct Connection;
  Journal(std::string path, std::unique_ptr<Connection> connection);
  std::string path_;
  std::unique_ptr<Connection> connection_;
};

}  // namespace bulkhead
