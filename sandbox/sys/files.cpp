#include "sandbox/sys/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace bulkhead {

Result<Fd> open_file(const std::string& path, int flags, mode_t mode) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return errno_error("open", path);
  return Fd(fd);
}

Result<Fd> open_beneath(int dir, const std::string& path, int flags, mode_t mode) {
  open_how how{};
  how.flags = static_cast<unsigned>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long fd = ::syscall(SYS_openat2, dir, path.c_str(), &how, sizeof how);
  if (fd < 0) return errno_error("open", path);
  return Fd(static_cast<int>(fd));
}

Result<std::string> read_fd(int fd, std::size_t limit) {
  std::string out;
  char buffer[16384];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("read");
    if (n == 0) return out;
    if (out.size() + static_cast<std::size_t>(n) > limit)
      return fail("read", "", "more than " + std::to_string(limit) + " bytes");
    out.append(buffer, static_cast<std::size_t>(n));
  }
}

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  BULKHEAD_ASSIGN(const Fd fd, open_file(path, O_RDONLY | O_NOFOLLOW));
  auto content = read_fd(fd.get(), limit);
  if (!content) content.error().object = path;
  return content;
}

Result<> write_kernel_file(const std::string& path, std::string_view text) {
  BULKHEAD_ASSIGN(const Fd fd, open_file(path, O_WRONLY));
  ssize_t n = 0;
  do n = ::write(fd.get(), text.data(), text.size());
  while (n < 0 && errno == EINTR);
  if (n < 0) return errno_error("write '" + std::string(text) + "' to", path);
  if (static_cast<std::size_t>(n) != text.size()) return fail("write", path, "short write");
  return {};
}

namespace {
Result<> write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error("write", path);
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}
}  // namespace

Result<> write_file_atomic(const std::string& path, std::string_view content, mode_t mode) {
  const auto slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string temporary = path + ".new";
  {
    BULKHEAD_ASSIGN(const Fd fd, open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode));
    if (::fchmod(fd.get(), mode) != 0) return errno_error("chmod", temporary);  // whatever our umask takes away
    BULKHEAD_TRY(write_all(fd.get(), content, temporary));
    if (::fchmod(fd.get(), mode) != 0) return errno_error("chmod", temporary);  // whatever the umask
    if (::fsync(fd.get()) != 0) return errno_error("fsync", temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) return errno_error("rename to", path);
  BULKHEAD_ASSIGN(const Fd parent, open_file(directory, O_RDONLY | O_DIRECTORY));
  if (::fsync(parent.get()) != 0) return errno_error("fsync", directory);
  return {};
}

Result<> make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  if (errno != EEXIST) return errno_error("create directory", path);
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0) return errno_error("stat", path);
  if (!S_ISDIR(st.st_mode)) return errno_error("create directory", path, ENOTDIR);
  return {};
}

Result<> make_directories(const std::string& path, mode_t mode) {
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), mode) != 0 && errno != EEXIST) return errno_error("create directory", part);
  }
  return make_directory(path, mode);
}

bool exists(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0;
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  BULKHEAD_ASSIGN(Fd fd, open_file(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(fd.get()), ::closedir);
  if (!dir) return errno_error("list", path);
  fd.release();
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return errno_error("list", path);
  std::sort(names.begin(), names.end());
  return names;
}

namespace {
// How deep one round goes. What lies deeper is moved up to the top for the next round: the stack and the number of open
// descriptors stay bounded, however deep an agent dug.
constexpr int kDepth = 64;

struct Removal {
  int top = -1;
  dev_t device = 0;
  unsigned moved = 0;
};

Result<> remove_below(Removal& removal, int parent, const char* name, int depth, const std::string& shown) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return errno_error("remove", shown);
  if (depth > kDepth) {
    const std::string up = ".deep-" + std::to_string(::getpid()) + "-" + std::to_string(removal.moved++);
    if (::renameat(parent, name, removal.top, up.c_str()) != 0) return errno_error("move up", shown);
    return {};
  }
  const Fd fd(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return errno_error("open", shown);
  struct stat st{};
  if (::fstat(fd.get(), &st) != 0) return errno_error("stat", shown);
  if (removal.top < 0) {
    removal.top = fd.get();
    removal.device = st.st_dev;
  }
  if (st.st_dev != removal.device) return fail("remove", shown, "something is mounted here");
  const bool is_top = removal.top == fd.get();
  for (unsigned before = removal.moved + 1; before != removal.moved;) {
    before = removal.moved;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(
        ::fdopendir(::openat(fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), ::closedir);
    if (!dir) return errno_error("list", shown);
    while (const dirent* entry = ::readdir(dir.get())) {
      const std::string_view child = entry->d_name;
      if (child == "." || child == "..") continue;
      BULKHEAD_TRY(
          remove_below(removal, fd.get(), entry->d_name, depth + 1, is_top ? shown + "/" + entry->d_name : shown));
    }
    if (!is_top) break;  // the top goes on until a round has moved nothing up
  }
  if (::unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) return errno_error("remove", shown);
  return {};
}
}  // namespace

Result<> remove_tree(const std::string& path) {
  Removal removal;
  return remove_below(removal, AT_FDCWD, path.c_str(), 0, path);
}

Result<Fd> make_memfd(const char* name, std::string_view content) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return errno_error("memfd_create", name);
  BULKHEAD_TRY(write_all(fd.get(), content, name));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) return errno_error("seek", name);
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
    return errno_error("seal", name);
  return fd;
}

std::string boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id", 64);
  if (!text) return {};
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

Result<std::uint64_t> process_start_time(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  BULKHEAD_ASSIGN(const std::string text, read_file(path, 4096));
  // The command name may hold blanks and parentheses: count fields after the last ')'.
  const auto close = text.rfind(')');
  if (close == std::string::npos) return fail("parse", path, "no ')'");
  std::size_t at = close + 2;
  for (int field = 3; field < 22; ++field) {
    at = text.find(' ', at);
    if (at == std::string::npos) return fail("parse", path, "too few fields");
    ++at;
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
  if (error != std::errc{}) return fail("parse", path, "field 22 is not a number");
  return value;
}

}  // namespace bulkhead
