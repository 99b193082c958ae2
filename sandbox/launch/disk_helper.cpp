#include "sandbox/launch/disk_helper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "sandbox/launch/helper_answer.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

// A copy of the launcher holds what the launcher holds; its clients would wait for this one to close theirs.
void close_all_but(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned first = 3;
  for (const int fd : kept) {
    const auto next = static_cast<unsigned>(fd);
    if (next > first) (void)::close_range(first, next - 1, 0);
    first = std::max(first, next + 1);
  }
  (void)::close_range(first, ~0U, 0);
}

void wait_for(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
}

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Sizes that nobody asked for lately: made anew when somebody does.
void remove_old_forms(const std::string& directory) {
  std::vector<std::pair<std::int64_t, std::string>> forms;
  for (const std::string& name : list_directory(directory).value_or(std::vector<std::string>{})) {
    struct stat st{};
    const std::string path = directory + "/" + name;
    if (::lstat(path.c_str(), &st) == 0)
      forms.emplace_back(st.st_mtim.tv_sec * 1'000'000'000 + st.st_mtim.tv_nsec, path);
  }
  std::ranges::sort(forms, std::greater());
  for (std::size_t i = DiskMaker::kMostForms; i < forms.size(); ++i) (void)::unlink(forms[i].second.c_str());
}

Result<DiskImage> make_image(const std::string& path, const DiskLimits& limits, const std::string& owner) {
  auto form = open_file(path, O_RDONLY | O_NOFOLLOW);
  if (form) return new_disk_image(form->get(), directory_of(path), owner);
  if (form.error().code != ENOENT) return std::unexpected(form.error());
  form = open_file(directory_of(path), O_TMPFILE | O_RDWR, 0600);
  if (!form) return std::unexpected(form.error());
  BULKHEAD_TRY(format_disk(form->get(), limits));
  BULKHEAD_ASSIGN(DiskImage image, new_disk_image(form->get(), directory_of(path), owner));
  const std::string self = "/proc/self/fd/" + std::to_string(form->get());
  if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0)
    return errno_error("name", path);
  remove_old_forms(directory_of(path));
  return image;
}

[[noreturn]] void make(const std::string& form, const DiskLimits& limits, const std::string& owner, pid_t launcher,
                       Channel answer) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != launcher) ::_exit(1);
  close_all_but({answer.fd()});
  const auto image = make_image(form, limits, owner);
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

Result<DiskMaker> DiskMaker::start(const std::string& form, const DiskLimits& limits, const std::string& owner) {
  BULKHEAD_ASSIGN(auto channels, Channel::pair());
  const pid_t launcher = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) make(form, limits, owner, launcher, std::move(channels.second));
  return DiskMaker(pid, std::move(channels.first));
}

Result<DiskImage> DiskMaker::finish() {
  auto made = hear_answer(answer_, 2);
  pid_.reap();
  if (!made) return std::unexpected(std::move(made).error());
  return DiskImage{.file = std::move((*made)[0]), .mount = std::move((*made)[1])};
}

std::optional<Unmounter> close_apart(std::vector<Fd> held) {
  int gone[2];
  if (::pipe2(gone, O_CLOEXEC) != 0) return std::nullopt;
  const Fd gone_read(gone[0]);
  Fd gone_write(gone[1]);
  std::vector<int> kept{gone_read.get()};
  for (const Fd& fd : held) kept.push_back(fd.get());
  const pid_t pid = ::fork();
  if (pid < 0) return std::nullopt;
  if (pid == 0) {
    close_all_but(std::move(kept));
    char byte = 0;
    while (::read(gone_read.get(), &byte, 1) < 0 && errno == EINTR) continue;  // until the launcher has closed its own
    held.clear();                                                              // here it is unmounted
    ::_exit(0);
  }
  held.clear();
  Unmounter unmounter{.pid = pid, .pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
  gone_write.reset();
  if (unmounter.pidfd.valid()) return unmounter;
  wait_for(pid);
  return std::nullopt;
}

Result<std::optional<Unmounter>> unmount_apart(const std::string& path) {
  BULKHEAD_ASSIGN(Fd root, open_file(path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
  if (::umount2(path.c_str(), MNT_DETACH) != 0) return errno_error("unmount", path);
  std::vector<Fd> held;
  held.push_back(std::move(root));
  return close_apart(std::move(held));
}

void reap_unmounter(const Unmounter& unmounter) { wait_for(unmounter.pid); }

}  // namespace bulkhead
