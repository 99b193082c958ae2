// Stands between SQLite and its own file layer and counts the fsyncs of write-ahead logs (sqlite.org/vfs.html).
#pragma once

namespace bulkhead::test {

// Makes the counting layer SQLite's default, once for the process.
void count_log_syncs();
unsigned log_syncs();  // so far

}  // namespace bulkhead::test
