#include "sandbox/launch/descriptors.h"

#include "sandbox/sys/files.h"

namespace bulkhead {

void set_descriptors_aside() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max > 4 * kReservedFds ? files.rlim_max - kReservedFds : files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

UseReserve::UseReserve() {
  ::getrlimit(RLIMIT_NOFILE, &before_);
  const rlimit all{before_.rlim_max, before_.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &all);
}

UseReserve::~UseReserve() { ::setrlimit(RLIMIT_NOFILE, &before_); }

Error with_descriptors(Error error) {
  if (error.code != EMFILE || !error.hint.empty()) return error;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const UseReserve reserve;
  const auto open = list_directory("/proc/self/fd");
  constexpr rlim_t kForOne = 32;  // a launch that failed has let go of so many at most
  if (!open || open->size() + kForOne < limit.rlim_cur) return error;  // some other limit: a sandbox's own
  error.hint = "the launcher has " + std::to_string(open->size()) + " of " + std::to_string(limit.rlim_max) +
               " descriptors open, about 4 for each sandbox, and keeps " +
               std::to_string(limit.rlim_max - limit.rlim_cur) +
               " for ending them: raise its hard limit (ulimit -Hn, LimitNOFILE=)";
  return error;
}

}  // namespace bulkhead
