#include "sandbox/launch/disk_helper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <initializer_list>

#include "sandbox/launch/helper_answer.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

// A copy of the launcher holds what the launcher holds; its clients would wait for this one to close theirs.
void close_all_but(std::initializer_list<int> kept) {
  int sorted[4] = {};
  std::copy(kept.begin(), kept.end(), sorted);
  std::sort(sorted, sorted + kept.size());
  unsigned first = 3;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto next = static_cast<unsigned>(sorted[i]);
    if (next > first) (void)::close_range(first, next - 1, 0);
    first = std::max(first, next + 1);
  }
  (void)::close_range(first, ~0U, 0);
}

void wait_for(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
}

[[noreturn]] void make(int form, const std::string& directory, const std::string& owner, pid_t launcher,
                       Channel answer) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launcher) ::_exit(1);
  close_all_but({form, answer.fd()});
  const auto image = new_disk_image(form, directory, owner);
  const bool told = image ? answer_with(answer, {}, {image->file.get(), image->mount.get()})
                          : answer_with(answer, std::unexpected(image.error()), {});
  ::_exit(told ? 0 : 1);
}

}  // namespace

void DiskMaker::Child::reap() {
  if (pid < 0) return;
  (void)::kill(pid, SIGKILL);
  wait_for(std::exchange(pid, -1));
}

DiskMaker::~DiskMaker() = default;

Result<DiskMaker> DiskMaker::start(int form, const std::string& directory, const std::string& owner) {
  BULKHEAD_ASSIGN(auto channels, Channel::pair());
  const pid_t launcher = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) make(form, directory, owner, launcher, std::move(channels.second));
  return DiskMaker(pid, std::move(channels.first));
}

Result<DiskImage> DiskMaker::finish() {
  auto made = hear_answer(answer_, 2);
  pid_.reap();
  if (!made) return std::unexpected(std::move(made).error());
  return DiskImage{.file = std::move((*made)[0]), .mount = std::move((*made)[1])};
}

Result<Unmounter> unmount_apart(const std::string& path) {
  BULKHEAD_ASSIGN(Fd held, open_file(path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  int gone[2];
  if (::pipe2(gone, O_CLOEXEC) != 0) return errno_error("pipe");
  const Fd gone_read(gone[0]);
  Fd gone_write(gone[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) {
    close_all_but({held.get(), gone_read.get()});
    char byte = 0;
    while (::read(gone_read.get(), &byte, 1) < 0 && errno == EINTR) continue;
    ::_exit(::close(held.get()) == 0 ? 0 : 1);  // here it is unmounted
  }
  Unmounter unmounter{.pid = pid, .pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
  const int unmounted = ::umount2(path.c_str(), MNT_DETACH);
  const int code = errno;
  held.reset();
  gone_write.reset();
  if (unmounted != 0 || !unmounter.pidfd.valid()) {
    wait_for(pid);
    if (unmounted != 0) return errno_error("unmount", path, code);
    return errno_error("watch unmounting of", path);
  }
  return unmounter;
}

void reap_unmounter(const Unmounter& unmounter) { wait_for(unmounter.pid); }

}  // namespace bulkhead
