#include "supervisor/core/journal/sqlite.h"

namespace bulkhead::sqlite {

std::unexpected<Error> error(sqlite3* database, std::string operation, const std::string& path) {
  const int code = sqlite3_errcode(database) & 0xFF;
  Error out{.operation = std::move(operation), .object = path};
  switch (code) {
    case SQLITE_NOTADB:
      out.detail = "this is not a journal";
      out.hint = "move the file away, or name another state directory with --state";
      return std::unexpected(std::move(out));
    case SQLITE_CORRUPT:
      out.detail = "the journal is damaged: " + std::string(sqlite3_errmsg(database));
      out.hint = "keep a copy, then restore a backup or name another state directory with --state";
      return std::unexpected(std::move(out));
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_FULL:
      out.code = sqlite3_system_errno(database);
      out.detail = sqlite3_errmsg(database);
      return std::unexpected(std::move(out));
    default:
      out.detail = sqlite3_errmsg(database);
      return std::unexpected(std::move(out));
  }
}

Result<Database> open(const std::string& path, int flags) {
  sqlite3* raw = nullptr;
  // NOMUTEX: one thread uses a connection. NOFOLLOW: the state directory is ours, a link in it is not.
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, nullptr);
  Database database(raw);
  if (raw == nullptr) return fail("open journal", path, "out of memory");
  if (code != SQLITE_OK) return error(raw, "open journal", path);
  sqlite3_extended_result_codes(raw, 1);
  // A reader may hold off a checkpoint, and a writer's recovery a reader, for moments.
  sqlite3_busy_timeout(raw, 5'000);
  return database;
}

Result<Statement> prepare(sqlite3* database, std::string_view sql, const std::string& path) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v3(database, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &raw,
                         nullptr) != SQLITE_OK)
    return error(database, "read journal", path);
  return Statement(raw);
}

Result<> execute(sqlite3* database, const char* sql, const std::string& path) {
  if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return error(database, "prepare journal", path);
  return {};
}

Result<std::int64_t> query_number(sqlite3* database, std::string_view sql, const std::string& path) {
  BULKHEAD_ASSIGN(Statement statement, prepare(database, sql, path));
  if (sqlite3_step(statement.get()) != SQLITE_ROW) return error(database, "read journal", path);
  return column_number(statement.get(), 0);
}

// Binding fails only for a wrong parameter number (a bug) or without memory; step() then reports a NOT NULL violation.
void bind(sqlite3_stmt* statement, int parameter, std::int64_t value) {
  sqlite3_bind_int64(statement, parameter, value);
}

void bind(sqlite3_stmt* statement, int parameter, std::string_view value) {
  sqlite3_bind_text64(statement, parameter, value.data(), value.size(), SQLITE_STATIC, SQLITE_UTF8);
}

std::int64_t column_number(sqlite3_stmt* statement, int column) { return sqlite3_column_int64(statement, column); }

std::string column_text(sqlite3_stmt* statement, int column) {
  const unsigned char* text = sqlite3_column_text(statement, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_column_bytes(statement, column))};
}

}  // namespace bulkhead::sqlite
