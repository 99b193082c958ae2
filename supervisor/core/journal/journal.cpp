#include "supervisor/core/journal/journal.h"

#include <fcntl.h>

#include <limits>

#include "sandbox/sys/files.h"
#include "supervisor/core/journal/sqlite.h"

namespace bulkhead {

namespace {

constexpr std::int64_t kApplicationId = 0x424B484A;  // "BKHJ", sqlite.org/pragma.html#pragma_application_id
constexpr std::int64_t kSchemaVersion = 1;

// INSERT OR REPLACE would delete without firing a DELETE trigger, so the INSERT trigger refuses any seq but the next.
constexpr const char* kSchema = R"sql(
  BEGIN IMMEDIATE;
  CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    time_unix_ms INTEGER NOT NULL,
    run TEXT NOT NULL,
    agent TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    type TEXT NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL CHECK (length(CAST(body AS BLOB)) <= 4096)
  ) STRICT;
  CREATE INDEX events_by_run ON events (run, seq);
  CREATE TRIGGER events_are_appended BEFORE INSERT ON events
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM events)
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only: events are added at its end'); END;
  CREATE TRIGGER events_do_not_change BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only: events do not change'); END;
  CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only: events are not removed'); END;
  PRAGMA application_id = 1112229962;
  PRAGMA user_version = 1;
  COMMIT;
)sql";
static_assert(kApplicationId == 1112229962 && kSchemaVersion == 1);

constexpr std::string_view kColumns = "seq, time_unix_ms, run, agent, attempt, type, version, body";

}  // namespace

struct Journal::Connection {
  sqlite::Database database;
  sqlite::Statement insert;  // writers only
  JournalMode mode = JournalMode::read;
  Durability set = Durability::process;

  Result<> set_durability(Durability durability, const std::string& path);
  Result<> insert_one(Event& event, const std::string& body, const std::string& path);
};

Journal::Journal(std::string path, std::unique_ptr<Connection> connection)
    : path_(std::move(path)), connection_(std::move(connection)) {}
Journal::Journal(Journal&&) noexcept = default;
Journal& Journal::operator=(Journal&&) noexcept = default;
Journal::~Journal() = default;

namespace {

Result<> check_identity(sqlite3* database, const std::string& path) {
  BULKHEAD_ASSIGN(std::int64_t application, sqlite::query_number(database, "PRAGMA application_id", path));
  BULKHEAD_ASSIGN(std::int64_t schema, sqlite::query_number(database, "PRAGMA user_version", path));
  if (application != kApplicationId)
    return fail("open journal", path, "this is not a journal",
                "move the file away, or name another state directory with --state");
  if (schema > kSchemaVersion)
    return fail("open journal", path,
                "it was written by a newer Bulkhead (schema " + std::to_string(schema) + ", this one reads " +
                    std::to_string(kSchemaVersion) + ")",
                "use that Bulkhead, or name another state directory with --state");
  return {};
}

Result<bool> is_new(sqlite3* database, const std::string& path) {
  BULKHEAD_ASSIGN(std::int64_t application, sqlite::query_number(database, "PRAGMA application_id", path));
  BULKHEAD_ASSIGN(std::int64_t objects, sqlite::query_number(database, "SELECT count(*) FROM sqlite_schema", path));
  return application == 0 && objects == 0;
}

}  // namespace

Result<Journal> Journal::open(const std::string& path, JournalMode mode) {
  auto connection = std::make_unique<Connection>();
  connection->mode = mode;
  if (mode == JournalMode::read) {
    if (!exists(path)) return errno_error("open journal", path, ENOENT);
    BULKHEAD_ASSIGN(connection->database, sqlite::open(path, SQLITE_OPEN_READONLY));
    BULKHEAD_TRY(check_identity(connection->database.get(), path));
    return Journal(path, std::move(connection));
  }
  // SQLite creates files with 0644; its -wal and -shm files take the mode of the database.
  BULKHEAD_TRY(open_file(path, O_RDWR | O_CREAT, 0600));
  BULKHEAD_ASSIGN(connection->database, sqlite::open(path, SQLITE_OPEN_READWRITE));
  sqlite3* database = connection->database.get();
  BULKHEAD_ASSIGN(const bool fresh, is_new(database, path));
  if (!fresh) BULKHEAD_TRY(check_identity(database, path));
  BULKHEAD_TRY(sqlite::execute(database, "PRAGMA journal_mode = WAL", path));
  BULKHEAD_TRY(sqlite::execute(database, "PRAGMA synchronous = NORMAL", path));
  if (fresh) BULKHEAD_TRY(sqlite::execute(database, kSchema, path));
  BULKHEAD_ASSIGN(connection->insert,
                  sqlite::prepare(database,
                                  "INSERT INTO events (seq, time_unix_ms, run, agent, attempt, type, version, body) "
                                  "VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM events), ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                                  path));
  return Journal(path, std::move(connection));
}

// In WAL mode a commit under NORMAL writes the log without fsync, under FULL with one; the fsync covers the whole log,
// so everything appended before becomes power-durable too (sqlite.org/pragma.html#pragma_synchronous). The setting
// cannot change inside a transaction.
Result<> Journal::Connection::set_durability(Durability durability, const std::string& path) {
  if (durability == set) return {};
  BULKHEAD_TRY(sqlite::execute(
      database.get(), durability == Durability::power ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
      path));
  set = durability;
  return {};
}

Result<> Journal::Connection::insert_one(Event& event, const std::string& body, const std::string& path) {
  sqlite3_stmt* statement = insert.get();
  sqlite::bind(statement, 1, event.time_unix_ms);
  sqlite::bind(statement, 2, event.run);
  sqlite::bind(statement, 3, event.agent);
  sqlite::bind(statement, 4, std::int64_t{event.attempt});
  sqlite::bind(statement, 5, event.type);
  sqlite::bind(statement, 6, std::int64_t{event.version});
  sqlite::bind(statement, 7, body);
  const bool done = sqlite3_step(statement) == SQLITE_DONE;
  Result<> result;
  if (!done) result = sqlite::error(database.get(), "append " + event.type + " to journal", path);
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  if (done) event.seq = static_cast<std::uint64_t>(sqlite3_last_insert_rowid(database.get()));
  return result;
}

Result<std::vector<Event>> Journal::append(std::vector<Event> events, Durability durability) {
  if (connection_->mode != JournalMode::write)
    return fail("append to journal", path_, "it was opened for reading", "open it for writing");
  std::vector<std::string> bodies;
  for (const Event& event : events) {
    // Invalid UTF-8 would make dump() throw; it can only come from a path or a name, where a replaced byte is legible.
    std::string body = event.body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (body.size() > kMaxEventBody)
      return fail("append " + event.type + " to journal", path_,
                  "the body has " + std::to_string(body.size()) + " bytes, at most " + std::to_string(kMaxEventBody) +
                      " are allowed",
                  "put large content into the blob store and name it by its hash");
    bodies.push_back(std::move(body));
  }
  if (events.empty()) return events;
  sqlite3* database = connection_->database.get();
  BULKHEAD_TRY(connection_->set_durability(durability, path_));
  BULKHEAD_TRY(sqlite::execute(database, "BEGIN IMMEDIATE", path_));
  Result<> result;
  for (std::size_t i = 0; i < events.size() && result; ++i)
    result = connection_->insert_one(events[i], bodies[i], path_);
  if (result) result = sqlite::execute(database, "COMMIT", path_);
  if (!result) {
    // A failed COMMIT may have rolled back already; the error worth telling is the first.
    if (sqlite3_get_autocommit(database) == 0) sqlite3_exec(database, "ROLLBACK", nullptr, nullptr, nullptr);
    return std::unexpected(std::move(result).error());
  }
  return events;
}

Result<Event> Journal::append(Event event, Durability durability) {
  std::vector<Event> one;
  one.push_back(std::move(event));
  BULKHEAD_ASSIGN(std::vector<Event> appended, append(std::move(one), durability));
  return std::move(appended.front());
}

namespace {

Result<std::vector<Event>> read_rows(sqlite3* database, sqlite3_stmt* statement, const std::string& path) {
  std::vector<Event> events;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
    Event event{.seq = static_cast<std::uint64_t>(sqlite::column_number(statement, 0)),
                .time_unix_ms = sqlite::column_number(statement, 1),
                .run = sqlite::column_text(statement, 2),
                .agent = sqlite::column_text(statement, 3),
                .attempt = static_cast<unsigned>(sqlite::column_number(statement, 4)),
                .type = sqlite::column_text(statement, 5),
                .version = static_cast<int>(sqlite::column_number(statement, 6))};
    event.body = nlohmann::json::parse(sqlite::column_text(statement, 7), nullptr, false);
    if (event.body.is_discarded())
      return fail("read journal", path, "the body of event " + std::to_string(event.seq) + " is not JSON",
                  "keep a copy, then restore a backup or name another state directory with --state");
    events.push_back(std::move(event));
  }
  if (code != SQLITE_DONE) return sqlite::error(database, "read journal", path);
  return events;
}

std::int64_t sql_limit(std::size_t limit) {
  constexpr auto kMost = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max());
  return limit > kMost ? -1 : static_cast<std::int64_t>(limit);  // -1: no limit
}

}  // namespace

Result<std::vector<Event>> Journal::read(const std::string& run, std::uint64_t from_seq, std::size_t limit) const {
  sqlite3* database = connection_->database.get();
  const std::string sql =
      "SELECT " + std::string(kColumns) + " FROM events WHERE run = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3";
  BULKHEAD_ASSIGN(sqlite::Statement statement, sqlite::prepare(database, sql, path_));
  sqlite::bind(statement.get(), 1, run);
  sqlite::bind(statement.get(), 2, static_cast<std::int64_t>(from_seq));
  sqlite::bind(statement.get(), 3, sql_limit(limit));
  return read_rows(database, statement.get(), path_);
}

Result<std::vector<Event>> Journal::read_all(std::uint64_t from_seq, std::size_t limit) const {
  sqlite3* database = connection_->database.get();
  const std::string sql = "SELECT " + std::string(kColumns) + " FROM events WHERE seq >= ?1 ORDER BY seq LIMIT ?2";
  BULKHEAD_ASSIGN(sqlite::Statement statement, sqlite::prepare(database, sql, path_));
  sqlite::bind(statement.get(), 1, static_cast<std::int64_t>(from_seq));
  sqlite::bind(statement.get(), 2, sql_limit(limit));
  return read_rows(database, statement.get(), path_);
}

Result<std::vector<RunListing>> Journal::runs() const {
  sqlite3* database = connection_->database.get();
  BULKHEAD_ASSIGN(sqlite::Statement statement,
                  sqlite::prepare(database,
                                  "SELECT r.run, r.first, r.last, a.time_unix_ms, b.time_unix_ms FROM "
                                  "(SELECT run, min(seq) AS first, max(seq) AS last FROM events WHERE run <> '' "
                                  "GROUP BY run) AS r JOIN events AS a ON a.seq = r.first "
                                  "JOIN events AS b ON b.seq = r.last ORDER BY r.first",
                                  path_));
  std::vector<RunListing> runs;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement.get())) == SQLITE_ROW)
    runs.push_back({.run = sqlite::column_text(statement.get(), 0),
                    .first_seq = static_cast<std::uint64_t>(sqlite::column_number(statement.get(), 1)),
                    .last_seq = static_cast<std::uint64_t>(sqlite::column_number(statement.get(), 2)),
                    .first_time_unix_ms = sqlite::column_number(statement.get(), 3),
                    .last_time_unix_ms = sqlite::column_number(statement.get(), 4)});
  if (code != SQLITE_DONE) return sqlite::error(database, "read journal", path_);
  return runs;
}

Result<> Journal::check() const {
  sqlite3* database = connection_->database.get();
  BULKHEAD_ASSIGN(sqlite::Statement statement, sqlite::prepare(database, "PRAGMA integrity_check(1)", path_));
  if (sqlite3_step(statement.get()) != SQLITE_ROW) return sqlite::error(database, "check journal", path_);
  const std::string answer = sqlite::column_text(statement.get(), 0);
  if (answer != "ok")
    return fail("check journal", path_, "the journal is damaged: " + answer,
                "keep a copy, then restore a backup or name another state directory with --state");
  return {};
}

}  // namespace bulkhead
