#include "sandbox/launch/disk_image.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/loop.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "sandbox/launch/cgroup.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kInode = 256;
constexpr std::uint64_t kBlocksOfGroup = 32768;
constexpr std::uint64_t kInodesOfBlock = kBlock / kInode;
constexpr uid_t kNobody = 65534;
constexpr int kImageFd = 3;
constexpr unsigned kFormatSeconds = 60;

constexpr const char* kHint =
    "mount the state directory's file system with project quotas (prjquota), load the kernel's loop and ext4, install "
    "e2fsprogs, or allow 'unbounded-disk' in the policy";

// For what every disk needs: whether the host has it not at all, or keeps it from us for good (as a container may), is
// in the answer.
std::unexpected<Error> host_error(std::string operation, std::string object, int code = errno) {
  Error error{.operation = std::move(operation), .object = std::move(object), .code = code, .hint = kHint};
  for (const int lacks : {ENOENT, ENODEV, ENXIO, ENOTTY, ENOSYS, EPERM, EACCES})
    if (code == lacks) {
      error.code = kNoDiskBounds;
      error.detail = strerrordesc_np(code);
    }
  return std::unexpected(std::move(error));
}

// Blocks for the files, and the inodes' tables beside them.
std::uint64_t image_bytes(const DiskLimits& limits) {
  return (limits.bytes + limits.inodes * kInode + kBlock - 1) / kBlock * kBlock;
}

const char* find_mke2fs() {
  for (const char* path : {"/usr/sbin/mke2fs", "/sbin/mke2fs", "/usr/bin/mke2fs"})
    if (::access(path, X_OK) == 0) return path;
  return nullptr;
}

// Without privilege, and with nothing open but the image and where it complains.
[[noreturn]] void become_mke2fs(const char* program, int file, int words, const std::string& inodes,
                                std::uint64_t bytes, pid_t parent) {
  const rlimit size{bytes, bytes};
  ::alarm(kFormatSeconds);
  if (::dup2(words, 1) < 0 || ::dup2(words, 2) < 0 ||
      // Onto itself dup2(2) would leave it to be closed.
      (file == kImageFd ? ::fcntl(file, F_SETFD, 0) : ::dup2(file, kImageFd)) < 0 ||
      ::close_range(kImageFd + 1, ~0U, 0) != 0 || ::setrlimit(RLIMIT_FSIZE, &size) != 0 ||
      ::syscall(SYS_setgroups, 0, nullptr) != 0 || ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) != 0 ||
      ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) != 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||  // after the ids: a change of them clears it, prctl(2)
      ::getppid() != parent)
    ::_exit(126);
  // What is in the host's mke2fs.conf has no say: every feature is named here.
  const char* const argv[] = {
      "mke2fs",
      "-q",
      "-F",
      "-b",
      "4096",
      "-I",
      "256",
      "-m",
      "0",
      "-N",
      inodes.c_str(),
      "-O",
      "none,ext_attr,dir_index,filetype,extent,flex_bg,sparse_super,large_file,huge_file,dir_nlink,"
      "extra_isize,uninit_bg",
      "-E",
      "lazy_itable_init=1,nodiscard",
      "/proc/self/fd/3",
      nullptr};
  const char* const environment[] = {"MKE2FS_CONFIG=/dev/null", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", nullptr};
  ::execve(program, const_cast<char* const*>(argv), const_cast<char* const*>(environment));
  ::_exit(127);
}

Result<> copy_extents(int from, int to) {
  struct stat st{};
  if (::fstat(from, &st) != 0) return errno_error("stat", "disk template");
  if (::ftruncate(to, st.st_size) != 0) return errno_error("set size of", "disk image");
  std::array<char, 65536> buffer;
  for (off_t at = 0;;) {
    const off_t start = ::lseek(from, at, SEEK_DATA);
    if (start < 0 && errno == ENXIO) return {};
    const off_t end = start < 0 ? -1 : ::lseek(from, start, SEEK_HOLE);
    if (end < 0) return errno_error("read", "disk template");
    for (at = start; at < end;) {
      const auto want = std::min<std::size_t>(buffer.size(), static_cast<std::size_t>(end - at));
      const ssize_t n = ::pread(from, buffer.data(), want, at);
      if (n <= 0) return errno_error("read", "disk template", n < 0 ? errno : EIO);
      if (::pwrite(to, buffer.data(), static_cast<std::size_t>(n), at) != n) return errno_error("write", "disk image");
      at += n;
    }
  }
}

struct LoopDevice {
  Fd fd;
  std::string path;
};

// A free device for `file`. Others on this host look for one too: whoever configures it first has it.
Result<LoopDevice> attach_loop(int file, const std::string& owner) {
  const auto control = open_file("/dev/loop-control", O_RDWR);
  if (!control) return host_error("open", "/dev/loop-control", control.error().code);
  loop_config config{};
  config.fd = static_cast<std::uint32_t>(file);
  config.block_size = kBlock;
  // Direct: what is cached is cached once, and charged to the sandbox that wrote it.
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
  owner.copy(reinterpret_cast<char*>(config.info.lo_file_name), LO_NAME_SIZE - 1);
  for (int tries = 0; tries < 64; ++tries) {
    const int number = ::ioctl(control->get(), LOOP_CTL_GET_FREE);
    if (number < 0) break;
    LoopDevice device{.fd = Fd(), .path = "/dev/loop" + std::to_string(number)};
    // The node of a device that was just made may be a moment late.
    for (int wait = 0; !device.fd.valid(); ++wait) {
      auto opened = open_file(device.path, O_RDWR);
      if (opened) {
        device.fd = std::move(*opened);
      } else if (opened.error().code != ENOENT || wait == 50) {
        return host_error("open", device.path, opened.error().code);
      } else {
        ::poll(nullptr, 0, 2);
      }
    }
    if (::ioctl(device.fd.get(), LOOP_CONFIGURE, &config) == 0) return device;
    if (errno == EINVAL && (config.info.lo_flags & LO_FLAGS_DIRECT_IO) != 0)
      config.info.lo_flags = LO_FLAGS_AUTOCLEAR;  // a file system that cannot
    else if (errno != EBUSY)
      break;
  }
  return host_error("attach loop device", "disk image");
}

Result<Fd> mount_ext4(const std::string& device) {
  const Fd context(::fsopen("ext4", FSOPEN_CLOEXEC));
  if (!context.valid()) return host_error("open file system", "ext4");
  const auto text = [&](const char* key, const char* value) {
    return ::fsconfig(context.get(), FSCONFIG_SET_STRING, key, value, 0) == 0;
  };
  const auto flag = [&](const char* key) { return ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key, nullptr, 0) == 0; };
  // Tables are never zeroed ahead: in a sparse file they are. Nothing is forced to the host's disk: see disk_image.h.
  // What is removed is given back to the host (discard).
  const bool mounted = text("source", device.c_str()) && text("errors", "remount-ro") && flag("noinit_itable") &&
                       flag("nobarrier") && flag("noauto_da_alloc") && flag("discard") &&
                       ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0;
  if (!mounted) return host_error("mount disk image on", device);
  Fd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV));
  if (!mount.valid()) return errno_error("mount disk image on", device);
  return mount;
}

// The lock is the open file's, so that it lasts as long as the loop device has it: no image is mounted twice.
Result<DiskImage> mount_file(Fd file, const std::string& owner) {
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return errno_error("lock", "disk image");
  BULKHEAD_ASSIGN(const LoopDevice device, attach_loop(file.get(), owner));
  BULKHEAD_ASSIGN(Fd mount, mount_ext4(device.path));
  return DiskImage{.file = std::move(file), .mount = std::move(mount)};
}

}  // namespace

std::uint64_t disk_image_inodes(const DiskLimits& limits) {
  const std::uint64_t groups = (image_bytes(limits) / kBlock + kBlocksOfGroup - 1) / kBlocksOfGroup;
  const std::uint64_t each = limits.inodes / groups / kInodesOfBlock * kInodesOfBlock;
  return std::max(each, kInodesOfBlock) * groups;
}

std::string disk_image_path(const std::string& directory) {
  static const std::string boot = boot_id();
  return directory + "/disk-" + boot + ".img";
}

std::string disk_owner(const std::string& state_dir) { return cgroup_root_name(state_dir); }

bool is_disk_image(const std::string& name) { return name.starts_with("disk-") && name.ends_with(".img"); }

Result<> format_disk(int file, const DiskLimits& limits) {
  const char* program = find_mke2fs();
  if (program == nullptr) return host_error("find", "mke2fs", ENOENT);
  const std::uint64_t bytes = image_bytes(limits);
  if (::ftruncate(file, static_cast<off_t>(bytes)) != 0) return errno_error("set size of", "disk image");
  const Fd words(::memfd_create("bulkhead-mke2fs", MFD_CLOEXEC));
  if (!words.valid()) return errno_error("memfd_create");
  // It opens the file by its descriptor's name, for which it must be its own.
  if (::fchown(file, kNobody, kNobody) != 0) return errno_error("chown", "disk image");
  const std::string inodes = std::to_string(disk_image_inodes(limits));
  const pid_t self = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) become_mke2fs(program, file, words.get(), inodes, bytes, self);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (::fchown(file, 0, 0) != 0) return errno_error("chown", "disk image");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  ::lseek(words.get(), 0, SEEK_SET);
  std::string said = read_fd(words.get(), 4096).value_or("");
  std::replace(said.begin(), said.end(), '\n', ' ');
  return fail("format disk", program,
              WIFEXITED(status) ? "status " + std::to_string(WEXITSTATUS(status)) + ": " + said
                                : "ended by signal " + std::to_string(WTERMSIG(status)),
              kHint);
}

Result<DiskImage> new_disk_image(int form, const std::string& directory, const std::string& owner) {
  BULKHEAD_ASSIGN(Fd file, open_file(directory, O_TMPFILE | O_RDWR, 0600));
  BULKHEAD_TRY(copy_extents(form, file.get()));
  return mount_file(std::move(file), owner);
}

Result<DiskImage> mount_disk_image(const std::string& path, const std::string& owner) {
  BULKHEAD_ASSIGN(Fd file, open_file(path, O_RDWR | O_NOFOLLOW));
  return mount_file(std::move(file), owner);
}

Result<DiskUsage> disk_image_usage(int root, const DiskLimits& limits) {
  struct statfs st{};
  if (::fstatfs(root, &st) != 0) return errno_error("ask the usage of", "disk");
  const auto unit = static_cast<std::uint64_t>(st.f_bsize);
  return DiskUsage{.bytes = (st.f_blocks - st.f_bfree) * unit,
                   .inodes = st.f_files - st.f_ffree,
                   .bytes_full = st.f_bavail * unit < disk_slack(limits.bytes),
                   .inodes_full = st.f_ffree == 0};
}

}  // namespace bulkhead
