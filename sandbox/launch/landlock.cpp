#include "sandbox/launch/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/host/landlock_abi.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {
namespace {

using namespace landlock;

// The command's own streams may be files outside: opened again by /dev/stdout, they are what was given.
void allow_streams(int ruleset, std::uint64_t handled) {
  for (int fd = 0; fd < 3; ++fd) {
    const PathRule rule{.access = handled & (kWriteFile | kReadFile | kTruncate | kIoctlDev), .parent = fd};
    (void)syscall(SYS_landlock_add_rule, ruleset, kPathRule, &rule, 0);  // pipes and sockets need none, and are refused
  }
}

int make_ruleset(int& ruleset, const ChildOperation& op) {
  const RulesetAttributes attributes{.handled_files = op.number, .handled_net = op.inodes, .scoped = op.mode};
  // The kernel takes the attributes it knows; those behind, which are zero then, may be there.
  ruleset = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0));
  if (ruleset < 0) return -1;
  allow_streams(ruleset, op.number);
  return 0;
}

int allow_path(int ruleset, const ChildOperation& op) {
  const Fd path(open(op.target, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!path.valid()) return errno == ENOENT ? 0 : -1;  // an optional mount that is not there
  struct stat st;
  if (fstat(path.get(), &st) != 0) return -1;
  PathRule rule{.access = op.number, .parent = path.get()};
  if (rule.access == kResolveUnix && !S_ISSOCK(st.st_mode)) return 0;  // only of what is a socket itself
  if (!S_ISDIR(st.st_mode)) rule.access &= kExecute | kWriteFile | kReadFile | kTruncate | kIoctlDev | kResolveUnix;
  return static_cast<int>(syscall(SYS_landlock_add_rule, ruleset, kPathRule, &rule, 0));
}

int allow_port(int ruleset, const ChildOperation& op) {
  const PortRule rule{.access = op.number, .port = op.inodes};
  return static_cast<int>(syscall(SYS_landlock_add_rule, ruleset, kPortRule, &rule, 0));
}

}  // namespace

int perform_landlock(int& ruleset, const ChildOperation& op) {
  switch (op.step) {
    case Step::landlock_ruleset:
      return make_ruleset(ruleset, op);
    case Step::landlock_path:
      return allow_path(ruleset, op);
    case Step::landlock_port:
      return allow_port(ruleset, op);
    case Step::landlock_enforce:
      return static_cast<int>(syscall(SYS_landlock_restrict_self, ruleset, 0));
    default:
      errno = ENOSYS;
      return -1;
  }
}

}  // namespace bulkhead
