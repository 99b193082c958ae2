#include "supervisor/cli/exit.h"

#include "sandbox/base/text.h"
#include "supervisor/cli/console.h"

namespace bulkhead {

int complain(const Failure& failure) {
  err_line("bulkhead: " + printable(failure.error.text()));
  if (!failure.error.hint.empty()) err_line("  next: " + printable(failure.error.hint));
  return failure.code;
}

}  // namespace bulkhead
