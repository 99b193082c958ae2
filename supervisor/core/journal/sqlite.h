// SQLite's handles as owners, and its errors as ours (https://sqlite.org/c3ref/intro.html).
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "sandbox/base/result.h"

namespace bulkhead::sqlite {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

// An Error from the last failed call on `database`, with what the code means to the owner of a journal.
std::unexpected<Error> error(sqlite3* database, std::string operation, const std::string& path);

Result<Database> open(const std::string& path, int flags);
Result<Statement> prepare(sqlite3* database, std::string_view sql, const std::string& path);
Result<> execute(sqlite3* database, const char* sql, const std::string& path);
Result<std::int64_t> query_number(sqlite3* database, std::string_view sql, const std::string& path);

// Parameters count from 1, columns from 0 (SQLite's way). Bound text has to outlive the next step().
void bind(sqlite3_stmt* statement, int parameter, std::int64_t value);
void bind(sqlite3_stmt* statement, int parameter, std::string_view value);
std::int64_t column_number(sqlite3_stmt* statement, int column);
std::string column_text(sqlite3_stmt* statement, int column);

}  // namespace bulkhead::sqlite
