#include "sandbox/init/learnt_paths.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <initializer_list>

namespace bulkhead {
namespace {

constexpr std::size_t kPathBytes = 4096;
char memory[kPathBytes];           // as it was read
char path_buffer[2 * kPathBytes];  // absolute

// How much of the caller's memory from `address` on could be read.
std::size_t read_memory(unsigned pid, std::uint64_t address, void* into, std::size_t size) {
  char name[kProcPathBytes];
  proc_path(name, pid, "/mem");
  const int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t n = pread(fd, into, size, static_cast<off_t>(address));
  close(fd);
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

// The path that the call names, in `memory`; its length, 0: none.
std::size_t read_path(const PathCall& call, const seccomp_data& data, unsigned pid) {
  const std::uint64_t address = data.args[call.path];
  if (call.use == PathUse::socket_name) {
    sockaddr_un name{};
    const std::size_t got = read_memory(pid, address, &name, sizeof name);
    if (got < sizeof name.sun_family || name.sun_family != AF_UNIX) return 0;
    // Of another length than was given: names end at their NUL (unix(7)).
    std::size_t length = strnlen(name.sun_path, sizeof name.sun_path);
    memcpy(memory, name.sun_path, length);
    memory[length] = '\0';
    return length;
  }
  const std::size_t got = read_memory(pid, address, memory, sizeof memory);
  const std::size_t length = strnlen(memory, got);
  return length == got ? 0 : length;  // without an end it is none
}

// Made absolute in `path_buffer`; false where the directory cannot be told.
bool make_absolute(const PathCall& call, const seccomp_data& data, unsigned pid, std::size_t length) {
  std::size_t at = 0;
  if (memory[0] != '/') {
    const int directory = call.directory < 0 ? AT_FDCWD : static_cast<int>(data.args[call.directory]);
    char name[kProcPathBytes];
    if (directory == AT_FDCWD) {
      proc_path(name, pid, "/cwd");
    } else {
      if (directory < 0) return false;
      char rest[16] = "/fd/", digits[12];
      int n = 0, end = 4;
      for (int left = directory; n == 0 || left != 0; left /= 10) digits[n++] = static_cast<char>('0' + left % 10);
      while (n > 0) rest[end++] = digits[--n];
      rest[end] = '\0';
      proc_path(name, pid, rest);
    }
    const ssize_t n = readlink(name, path_buffer, kPathBytes - 1);
    if (n <= 0 || path_buffer[0] != '/') return false;
    at = static_cast<std::size_t>(n);
    if (path_buffer[at - 1] != '/') path_buffer[at++] = '/';
  }
  memcpy(path_buffer + at, memory, length + 1);
  return true;
}

bool writes(const PathCall& call, const seccomp_data& data, unsigned pid) {
  std::uint64_t flags = 0;
  if (call.use == PathUse::open_flags) flags = data.args[call.path + 1];
  if (call.use == PathUse::open_how) {
    open_how how{};
    if (read_memory(pid, data.args[call.path + 1], &how, sizeof how.flags) == sizeof how.flags) flags = how.flags;
  }
  if (call.use == PathUse::write) return true;
  return (flags & O_PATH) == 0 && ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0);
}

bool begins(const char* path, const char* with) { return strncmp(path, with, strlen(with)) == 0; }

// Whether the directory that `path` is in, or would be, can be changed. Cuts `path` for the while.
bool directory_writable(char* path) {
  char* slash = strrchr(path, '/');
  if (slash == nullptr) return true;
  const char kept = slash == path ? slash[1] : *slash;
  char* cut = slash == path ? slash + 1 : slash;
  *cut = '\0';
  const bool writable = faccessat(AT_FDCWD, path, W_OK, 0) == 0;
  *cut = kept;
  return writable;
}

}  // namespace

void proc_path(char (&path)[kProcPathBytes], unsigned pid, const char* rest) {
  char digits[12];
  int n = 0;
  do {
    digits[n++] = static_cast<char>('0' + pid % 10);
    pid /= 10;
  } while (pid != 0);
  memcpy(path, "/proc/", 6);
  std::size_t at = 6;
  while (n > 0) path[at++] = digits[--n];
  memcpy(path + at, rest, strlen(rest) + 1);
}

const PathCall* path_call(int number) {
  for (const PathCall& call : kPathCalls)
    if (call.number == number) return &call;
  return nullptr;
}

// We stand in the same mount namespace, under the same identity, filter and Landlock domain: what we see is what the
// command sees, unless it has made a namespace of its own.
void LearntPaths::note(const PathCall& call, const seccomp_data& data, unsigned pid) {
  if (full_) return;
  const std::size_t length = read_path(call, data, pid);
  if (length == 0 || !make_absolute(call, data, pid, length)) return;
  for (const char* own : {"/proc/", "/sys/", "/dev/"})  // every sandbox has its own
    if (begins(path_buffer, own)) return;
  const bool there = faccessat(AT_FDCWD, path_buffer, F_OK, 0) == 0;
  const bool missing = !there && (errno == ENOENT || errno == ENOTDIR);
  if (call.use == PathUse::make || call.use == PathUse::replace || call.use == PathUse::remove) {
    const bool matters = call.use == PathUse::make ? missing : call.use == PathUse::remove ? there : true;
    if (matters && !directory_writable(path_buffer)) add(kLearntReadOnly, path_buffer);
  } else if (writes(call, data, pid)) {
    const bool can = there ? faccessat(AT_FDCWD, path_buffer, W_OK, 0) == 0 : directory_writable(path_buffer);
    if (!can) add(kLearntReadOnly, path_buffer);
  } else if (missing) {
    add(kLearntMissing, path_buffer);
  }
}

void LearntPaths::add(char letter, const char* path) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  const auto mix = [&](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3; };
  mix(letter);
  std::size_t length = 0;
  for (; path[length] != '\0'; ++length) mix(path[length]);
  if (hash == 0) hash = 1;
  std::size_t slot = hash % kSlots;
  for (; seen_[slot] != 0; slot = (slot + 1) % kSlots)
    if (seen_[slot] == hash) return;
  char row[2 * kPathBytes + 2];
  full_ = count_ == kMostLearntPaths || bytes_ + length + 4 > kMostLearntBytes;
  row[0] = full_ ? kLearntMore : letter;
  if (full_) length = 0;
  memcpy(row + 1, path, length);
  row[1 + length] = '\0';
  seen_[slot] = hash;
  ++count_;
  // A path that cannot be noted is looked for all the same.
  const ssize_t written = pwrite(kInitLearnFd, row, length + 2, static_cast<off_t>(bytes_));
  if (written > 0) bytes_ += static_cast<std::size_t>(written);
}

}  // namespace bulkhead
