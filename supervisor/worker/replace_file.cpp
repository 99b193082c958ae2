#include "supervisor/worker/replace_file.h"

#include <fcntl.h>

#include <cstdio>

#include "sandbox/sys/files.h"
#include "supervisor/worker/streams.h"

namespace bulkhead {

Result<> replace_file(const std::string& path, std::string_view content, mode_t mode) {
  const std::string temporary = path + ".new";
  {
    BULKHEAD_ASSIGN(const Fd file, open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
    BULKHEAD_TRY(write_all(file.get(), content, temporary));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error("replace", path);
  return {};
}

}  // namespace bulkhead
