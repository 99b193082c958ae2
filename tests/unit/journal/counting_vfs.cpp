#include "tests/unit/journal/counting_vfs.h"

#include <sqlite3.h>

#include <cstring>

namespace bulkhead::test {

namespace {

sqlite3_vfs* real = nullptr;
sqlite3_vfs counting;
const sqlite3_io_methods* real_methods = nullptr;
sqlite3_io_methods counting_methods;
unsigned syncs = 0;

int counting_sync(sqlite3_file* file, int flags) {
  ++syncs;
  return real_methods->xSync(file, flags);
}

int counting_open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  const int code = real->xOpen(real, name, file, flags, out_flags);
  if (code == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
    real_methods = file->pMethods;
    counting_methods = *real_methods;
    counting_methods.xSync = counting_sync;
    file->pMethods = &counting_methods;
  }
  return code;
}

}  // namespace

void count_log_syncs() {
  if (real != nullptr) return;
  real = sqlite3_vfs_find(nullptr);
  counting = *real;
  counting.zName = "counting";
  counting.xOpen = counting_open;
  sqlite3_vfs_register(&counting, 1);
}

unsigned log_syncs() { return syncs; }

}  // namespace bulkhead::test
