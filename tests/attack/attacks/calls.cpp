// System calls that no agent needs. Where an argument could do harm it is one that every kernel refuses.
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/io.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/attack/attacks/attack.h"

namespace bulkhead::attack {
namespace {

Outcome io_uring(Arguments) {
  io_uring_params parameters{};
  return answered(syscall(SYS_io_uring_setup, 4, &parameters), "io_uring_setup");
}

Outcome io_uring_rest(Arguments) {
  const Outcome entered = answered(syscall(SYS_io_uring_enter, -1, 0, 0, 0, nullptr, 0), "io_uring_enter", {EBADF});
  if (entered.kind == Outcome::Kind::succeeded) return entered;
  return answered(syscall(SYS_io_uring_register, -1, 0, nullptr, 0), "io_uring_register", {EBADF, EINVAL});
}

Outcome user_fault(Arguments) {
  return answered(syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY | O_CLOEXEC), "userfaultfd");
}

Outcome bpf_map(Arguments) {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = 4;
  attributes.value_size = 4;
  attributes.max_entries = 1;
  return answered(syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes), "bpf(BPF_MAP_CREATE)");
}

Outcome perf_event(Arguments) {
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.config = PERF_COUNT_SW_TASK_CLOCK;
  attributes.exclude_kernel = 1;
  return answered(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0), "perf_event_open");
}

Outcome kexec(Arguments) {
  return answered(syscall(SYS_kexec_load, 0, 17, nullptr, ~0UL), "kexec_load", {EINVAL, EADDRNOTAVAIL, EBUSY});
}

Outcome kexec_file(Arguments) {
  return answered(syscall(SYS_kexec_file_load, -1, -1, 0, nullptr, ~0UL), "kexec_file_load", {EINVAL, EBADF});
}

Outcome init_module(Arguments) {
  char image[64]{};
  return answered(syscall(SYS_init_module, image, sizeof image, ""), "init_module", {ENOEXEC});
}

Outcome finit_module(Arguments) {
  return answered(syscall(SYS_finit_module, -1, "", 0), "finit_module", {EBADF, EINVAL});
}

Outcome delete_module(Arguments) {
  return answered(syscall(SYS_delete_module, "bulkhead_no_such_module", O_NONBLOCK), "delete_module", {ENOENT});
}

Outcome quota(Arguments) {
  char answer[512]{};
  return answered(syscall(SYS_quotactl, 0x80000700 /* Q_GETQUOTA of users */, "/dev/null", 0, answer), "quotactl",
                  {ENOTBLK, ENODEV, ESRCH, ENOENT, ENOSYS});
}

Outcome swap_on(Arguments) { return answered(syscall(SYS_swapon, "/bulkhead-no-such-file", 0), "swapon", {ENOENT}); }

Outcome accounting(Arguments) { return answered(syscall(SYS_acct, "/bulkhead-no-such-file"), "acct", {ENOENT}); }

Outcome kernel_log(Arguments) {
  char text[64];
  return answered(syscall(SYS_syslog, 3 /* read all */, text, sizeof text), "syslog");
}

Outcome restart(Arguments) { return answered(syscall(SYS_reboot, 1, 2, 3, nullptr), "reboot", {EINVAL}); }

Outcome ports(Arguments) { return answered(syscall(SYS_iopl, 3), "iopl"); }

Outcome port_range(Arguments) { return answered(syscall(SYS_ioperm, 0x80, 1, 1), "ioperm"); }

Outcome segments(Arguments) {
  user_desc description{};
  description.entry_number = 0;
  description.limit = 1;
  description.seg_32bit = 1;
  return answered(syscall(SYS_modify_ldt, 1, &description, sizeof description), "modify_ldt");
}

Outcome set_clock(Arguments) {
  const timespec never{.tv_sec = -1, .tv_nsec = -1};
  return answered(syscall(SYS_clock_settime, CLOCK_REALTIME, &never), "clock_settime", {EINVAL});
}

Outcome adjust_clock(Arguments) {
  timex nothing{};
  return answered(syscall(SYS_adjtimex, &nothing), "adjtimex");
}

Outcome host_name(Arguments) { return answered(syscall(SYS_sethostname, "", -1), "sethostname", {EINVAL}); }

Outcome fixed_addresses(Arguments) {
  return answered(syscall(SYS_personality, ADDR_NO_RANDOMIZE | READ_IMPLIES_EXEC), "personality");
}

Outcome watch_file_system(Arguments) {
  return answered(syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY), "fanotify_init");
}

Outcome pages_into_pipe(Arguments) {
  int ends[2];
  if (pipe(ends) != 0) return not_tried("pipe");
  char byte = 0;
  const iovec vector{&byte, 1};
  return answered(syscall(SYS_vmsplice, ends[1], &vector, 1, 0), "vmsplice");
}

Outcome handle_of_file(Arguments) {
  char room[128 + sizeof(file_handle)]{};
  auto* handle = reinterpret_cast<file_handle*>(room);
  handle->handle_bytes = 128;
  int mount = 0;
  return answered(syscall(SYS_name_to_handle_at, AT_FDCWD, "/tmp", handle, &mount, 0), "name_to_handle_at");
}

// The shocker exploit opened inode 2, the root, of the file system that a mounted file was on.
Outcome open_handle(Arguments) {
  char room[8 + sizeof(file_handle)]{};
  auto* handle = reinterpret_cast<file_handle*>(room);
  handle->handle_bytes = 8;
  handle->handle_type = 1;  // inode and generation
  handle->f_handle[0] = 2;
  const int mount = open("/usr", O_RDONLY | O_DIRECTORY);
  if (mount < 0) return not_tried("open /usr");
  return answered(syscall(SYS_open_by_handle_at, mount, handle, O_RDONLY), "open_by_handle_at", {ESTALE, EOPNOTSUPP});
}

#if defined(__x86_64__)
// getpid by the 32-bit table: what the numbers of a 64-bit filter mean there is something else.
Outcome call_i386(Arguments) {
  long result = 20;
  asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  errno = static_cast<int>(-result);
  return answered(result > 0 ? 0 : -1, "getpid by int 0x80");
}

Outcome call_x32(Arguments) { return answered(syscall(0x40000000 | SYS_getpid), "getpid of the x32 table", {ENOSYS}); }
#endif

constexpr Attack kAttacks[]{
    {"io_uring_setup", io_uring},
    {"io_uring_rest", io_uring_rest},
    {"userfaultfd", user_fault},
    {"bpf", bpf_map},
    {"perf_event_open", perf_event},
    {"kexec_load", kexec},
    {"kexec_file_load", kexec_file},
    {"init_module", init_module},
    {"finit_module", finit_module},
    {"delete_module", delete_module},
    {"quotactl", quota},
    {"swapon", swap_on},
    {"acct", accounting},
    {"syslog", kernel_log},
    {"reboot", restart},
    {"iopl", ports},
    {"ioperm", port_range},
    {"modify_ldt", segments},
    {"clock_settime", set_clock},
    {"adjtimex", adjust_clock},
    {"sethostname", host_name},
    {"personality", fixed_addresses},
    {"fanotify_init", watch_file_system},
    {"vmsplice", pages_into_pipe},
    {"name_to_handle_at", handle_of_file},
    {"open_by_handle_at", open_handle},
    {"i386_call", call_i386},
    {"x32_call", call_x32},
};

}  // namespace

std::span<const Attack> calls() { return kAttacks; }

}  // namespace bulkhead::attack
