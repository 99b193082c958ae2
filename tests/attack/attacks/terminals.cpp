// Typing into the terminal of whoever started the sandbox; standard input is that terminal.
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/attack/attacks/attack.h"

namespace bulkhead::attack {
namespace {

// Makes the terminal ours, as one must before typing into it.
bool take_terminal() {
  setsid();
  return ioctl(0, TIOCSCTTY, 0) == 0;
}

Outcome inject(unsigned long request) {
  if (!take_terminal()) return not_tried(error_name(errno) + " from ioctl(TIOCSCTTY)");
  return answered(syscall(SYS_ioctl, 0, request, "x"), "ioctl(TIOCSTI)");
}

Outcome type(Arguments) { return inject(TIOCSTI); }

// The kernel looks at the low 32 bits, and so must a filter (CVE-2019-10063).
Outcome type_high_bits(Arguments) { return inject(TIOCSTI | 1UL << 32); }

Outcome paste(Arguments) {
  if (!take_terminal()) return not_tried(error_name(errno) + " from ioctl(TIOCSCTTY)");
  char paste_selection = 3;
  return answered(syscall(SYS_ioctl, 0, TIOCLINUX, &paste_selection), "ioctl(TIOCLINUX)", {ENOTTY});
}

constexpr Attack kAttacks[]{
    {"type_into_terminal", type}, {"type_with_high_bits", type_high_bits}, {"paste_into_terminal", paste}};

}  // namespace

std::span<const Attack> terminals() { return kAttacks; }

}  // namespace bulkhead::attack
