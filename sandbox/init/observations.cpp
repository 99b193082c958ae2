#include "sandbox/init/observations.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "sandbox/init/caller.h"

namespace bulkhead {
namespace {

constexpr std::size_t kPathBytes = 4096;
constexpr uid_t kNobodyOfOurs = 65534;  // how the kernel shows owners that the sandbox's range has not
char memory[kPathBytes];                // as it was read
char path_buffer[2 * kPathBytes];       // absolute
char row_buffer[sizeof(InitObservation) + 2 * kPathBytes + 8];

bool begins(const char* path, const char* with) { return strncmp(path, with, strlen(with)) == 0; }

// Made absolute in `path_buffer`; false where the directory cannot be told.
bool make_absolute(const seccomp_notif& notif, int directory_argument, std::size_t length) {
  std::size_t at = 0;
  if (memory[0] != '/') {
    const int directory = directory_argument < 0 ? AT_FDCWD : static_cast<int>(notif.data.args[directory_argument]);
    char name[kProcPathBytes];
    if (directory == AT_FDCWD) {
      proc_path(name, notif.pid, "/cwd");
    } else {
      if (directory < 0) return false;
      proc_fd_path(name, notif.pid, directory);
    }
    const ssize_t n = readlink(name, path_buffer, kPathBytes - 1);
    if (n <= 0 || path_buffer[0] != '/') return false;
    at = static_cast<std::size_t>(n);
    if (path_buffer[at - 1] != '/') path_buffer[at++] = '/';
  }
  memcpy(path_buffer + at, memory, length + 1);
  for (at += length; at > 1 && path_buffer[at - 1] == '/';) path_buffer[--at] = '\0';
  return true;
}

bool writes(std::uint64_t flags) {
  return (flags & O_PATH) == 0 && ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0);
}

int access_error(const char* path, int mode) { return faccessat(AT_FDCWD, path, mode, 0) == 0 ? 0 : errno; }

int link_error(const char* path) {
  struct stat link;
  return lstat(path, &link) == 0 ? 0 : errno;
}

bool is_link(const char* path) {
  struct stat link;
  return lstat(path, &link) == 0 && S_ISLNK(link.st_mode);
}

// Whether the call looks at what has the name, though it be a link.
bool is_of_the_name(PathUse use, std::uint64_t flags) {
  switch (use) {
    case PathUse::look_link:
    case PathUse::make:
    case PathUse::make_node:
    case PathUse::replace:
    case PathUse::remove:
      return true;
    case PathUse::look_at:
    case PathUse::look_at_2:
      return (flags & AT_SYMLINK_NOFOLLOW) != 0;
    default:
      return false;
  }
}

// Why the directory that `path` is in, or would be, cannot be changed; 0: it can. Cuts `path` for the while.
int directory_error(char* path) {
  char* slash = strrchr(path, '/');
  if (slash == nullptr) return 0;
  char* cut = slash == path ? slash + 1 : slash;
  const char kept = *cut;
  *cut = '\0';
  const int error = access_error(path, W_OK);
  *cut = kept;
  return error;
}

bool is_missing(int error) { return error == ENOENT || error == ENOTDIR; }

// In /proc something of ours may stand over what the kernel shows there.
bool is_masked(const char* path) {
  struct stat proc, at;
  return stat("/proc", &proc) == 0 && stat(path, &at) == 0 && proc.st_dev != at.st_dev;
}

bool is_of_a_process(const char* path) {
  const char* name = path + strlen("/proc/");
  return (*name >= '0' && *name <= '9') || begins(name, "self") || begins(name, "thread-self");
}

bool cannot_execute(const char* path) {
  struct stat file;
  struct statfs mount;
  return stat(path, &file) == 0 && S_ISREG(file.st_mode) && (file.st_mode & 0111) != 0 && statfs(path, &mount) == 0 &&
         (mount.f_flags & ST_NOEXEC) != 0;
}

bool is_somebody_elses(const char* path) {
  struct stat file;
  return stat(path, &file) != 0 || file.st_uid == kNobodyOfOurs;
}

}  // namespace

const PathCall* path_call(int number) {
  for (const PathCall& call : kPathCalls)
    if (call.number == number) return &call;
  return number == kSendTo.number ? &kSendTo : nullptr;
}

void Observations::note(int listener, const seccomp_notif& notif, const PathCall& call) {
  if (call.use == PathUse::connect_name || call.use == PathUse::bind_name || call.use == PathUse::send_name)
    return note_name(listener, notif, call);
  if (call.from >= 0) note_path(listener, notif, call.from_directory, call.from, call.from_use);
  note_path(listener, notif, call.directory, call.path, call.use);
}

void Observations::note(int listener, const seccomp_notif& notif, InitSeen seen) {
  add(listener, notif, {.seen = seen, .error = seen == InitSeen::own_listener ? EBUSY : EPERM});
}

void Observations::note_path(int listener, const seccomp_notif& notif, int directory, int path, PathUse use) {
  const std::size_t got = read_memory(notif.pid, notif.data.args[path], memory, sizeof memory);
  if (got == 0 && is_memory_closed(notif.pid)) return add(listener, notif, {.seen = InitSeen::closed});
  const std::size_t length = strnlen(memory, got);
  if (length == got || length == 0) return;  // without an end it is none
  if (!make_absolute(notif, directory, length)) return;
  std::uint64_t flags = 0;
  if (use == PathUse::open_flags || use == PathUse::make_node || use == PathUse::look_at)
    flags = notif.data.args[path + 1];
  if (use == PathUse::look_at_2) flags = notif.data.args[path + 2];
  if (use == PathUse::open_how) {
    open_how how{};
    if (read_memory(notif.pid, notif.data.args[path + 1], &how, sizeof how.flags) != sizeof how.flags) return;
    flags = how.flags;
  }
  judge(listener, notif, use, flags, path_buffer);
}

// We stand in the same mount namespace, under the same identity, filter and Landlock domain: what we see is what the
// command sees, unless it has made a view of its own, which is its own business (add()).
void Observations::judge(int listener, const seccomp_notif& notif, PathUse use, std::uint64_t flags, char* path) {
  const std::size_t length = strlen(path);
  const auto say = [&](InitSeen seen, int error, std::uint32_t more = 0) {
    add(listener, notif, {.seen = seen, .error = error, .flags = more, .text = path, .length = length});
  };
  const auto unwritable = [&](int error) {  // other errors are the name's own: it is too long, or in a circle
    if (error == EROFS || error == EACCES || error == EPERM || is_missing(error)) say(InitSeen::unwritable, error);
  };
  const bool opens = use == PathUse::open_flags || use == PathUse::open_how;
  const bool changes = use == PathUse::write || (opens && writes(flags));
  if (begins(path, "/proc/")) {  // every sandbox has its own
    if (!opens || is_of_a_process(path)) return;
    if (is_masked(path)) return say(InitSeen::masked, 0);
    const int error = changes ? access_error(path, W_OK) : 0;
    if (error == EROFS || error == EACCES) say(InitSeen::unwritable, error);
    return;
  }
  if (opens && is_out_of_files(notif.pid)) add(listener, notif, {.seen = InitSeen::open_files, .error = EMFILE});
  if (opens && (flags & O_NOFOLLOW) != 0 && is_link(path)) return;  // it wants no link, or the link itself
  const int found = is_of_the_name(use, flags) ? link_error(path) : access_error(path, F_OK);
  if (use == PathUse::make_node && (S_ISCHR(flags) || S_ISBLK(flags))) return say(InitSeen::device_node, EPERM);
  if (use == PathUse::make || use == PathUse::make_node || use == PathUse::replace || use == PathUse::remove) {
    const bool matters = use == PathUse::replace || (use == PathUse::remove ? found == 0 : is_missing(found));
    if (matters) unwritable(directory_error(path));
  } else if (changes) {
    unwritable(found == 0 ? access_error(path, W_OK) : directory_error(path));
  } else if (is_missing(found)) {
    say(InitSeen::missing, found, use == PathUse::execute ? kSeenExecution : 0);
  } else if (found == EACCES) {
    say(InitSeen::unreadable, found);
  } else if (found == 0 && use == PathUse::execute) {
    if (cannot_execute(path)) say(InitSeen::unexecutable, EACCES);
  } else if (found == 0 && opens && (flags & O_PATH) == 0 && access_error(path, R_OK) == EACCES) {
    if (is_somebody_elses(path)) say(InitSeen::unreadable, EACCES);
  }
}

void Observations::note_name(int listener, const seccomp_notif& notif, const PathCall& call) {
  union {
    sockaddr any;
    sockaddr_in four;
    sockaddr_in6 six;
    sockaddr_un local;
    char bytes[sizeof(sockaddr_un)];
  } name{};
  std::size_t length = notif.data.args[call.path + 1];
  if (length > sizeof name.bytes) length = sizeof name.bytes;
  length = read_memory(notif.pid, notif.data.args[call.path], name.bytes, length);
  if (length <= sizeof name.any.sa_family) return;
  const bool binds = call.use == PathUse::bind_name;
  if (name.any.sa_family == AF_UNIX && name.local.sun_path[0] != '\0') {
    const std::size_t longest = length - offsetof(sockaddr_un, sun_path);
    const std::size_t end = strnlen(name.local.sun_path, longest);  // names end at their NUL (unix(7))
    memcpy(memory, name.local.sun_path, end);
    memory[end] = '\0';
    if (make_absolute(notif, -1, end)) judge(listener, notif, binds ? PathUse::make : PathUse::look, 0, path_buffer);
    return;
  }
  Row row{.seen = binds                               ? InitSeen::bind
                  : call.use == PathUse::connect_name ? InitSeen::connect
                                                      : InitSeen::send,
          .text = name.bytes,
          .length = length};
  if (name.any.sa_family == AF_UNIX) {
    if (binds || has_abstract_socket(name.local.sun_path + 1, length - offsetof(sockaddr_un, sun_path) - 1)) return;
    row.error = ECONNREFUSED;
  } else if (name.any.sa_family == AF_INET || name.any.sa_family == AF_INET6) {
    if (length < (name.any.sa_family == AF_INET ? sizeof(sockaddr_in) : offsetof(sockaddr_in6, sin6_scope_id))) return;
    row.flags = socket_protocol(notif.pid, static_cast<int>(notif.data.args[0]));
    if (!binds && listens_inside(row.flags != IPPROTO_UDP, ntohs(name.four.sin_port))) row.flags |= kSeenListening;
  } else {
    return;
  }
  add(listener, notif, row);
}

bool Observations::append(const InitObservation& head, const char* text) {
  memset(row_buffer, 0, head.size);
  memcpy(row_buffer, &head, sizeof head);
  if (head.text != 0) memcpy(row_buffer + sizeof head, text, head.text);
  // What cannot be noted is answered all the same.
  if (pwrite(kInitLearnFd, row_buffer, head.size, static_cast<off_t>(bytes_)) != static_cast<ssize_t>(head.size))
    return false;
  bytes_ += head.size;
  ++count_;
  return true;
}

void Observations::add(int listener, const seccomp_notif& notif, const Row& row) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  const auto mix = [&](char c) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3; };
  mix(static_cast<char>(row.seen));
  for (unsigned byte = 0; byte < sizeof row.flags; ++byte) mix(static_cast<char>(row.flags >> (8 * byte)));
  for (std::size_t i = 0; i < row.length; ++i) mix(row.text[i]);
  if (hash == 0) hash = 1;
  std::size_t slot = hash % kSlots;
  for (; slots_[slot].hash != 0; slot = (slot + 1) % kSlots)
    if (slots_[slot].hash == hash) {
      const std::uint32_t times = ++slots_[slot].times;
      if ((times & (times - 1)) == 0) write_times(slots_[slot]);
      return;
    }
  if (full_ || (missing_full_ && row.seen == InitSeen::missing)) return;
  if (has_own_view(notif.pid) || !still_waits(listener, notif.id)) return;
  InitObservation head;
  head.seen = row.seen;
  head.size = static_cast<std::uint32_t>((sizeof head + row.length + 7) / 8 * 8);
  head.text = static_cast<std::uint16_t>(row.length);
  head.call = notif.data.nr;
  head.error = row.error;
  head.times = 1;
  head.flags = row.flags;
  read_name(notif.pid, head.who);
  // What is missing is mostly looked for in many places, of which none matters: it leaves room for the rest.
  const bool missing = row.seen == InitSeen::missing;
  const bool missing_left = !missing || missing_ < kMostObservations / 4 * 3;
  const std::size_t most_bytes = missing ? kMostObservedBytes / 4 * 3 : kMostObservedBytes - 2 * sizeof head;
  if (!missing_left || count_ >= kMostObservations - 2 || bytes_ + head.size > most_bytes) {
    const bool said = full_ || missing_full_;
    (missing ? missing_full_ : full_) = true;
    InitObservation more;
    more.seen = InitSeen::more;
    more.size = sizeof more;
    if (!said) append(more, nullptr);
    return;
  }
  const auto at = static_cast<std::uint32_t>(bytes_);
  if (!append(head, row.text)) return;
  if (missing) ++missing_;
  slots_[slot] = {.hash = hash, .at = at, .times = 1};
}

void Observations::write_times(const Slot& slot) const {
  const auto at = static_cast<off_t>(slot.at + offsetof(InitObservation, times));
  if (pwrite(kInitLearnFd, &slot.times, sizeof slot.times, at) < 0) return;
}

void Observations::finish() {
  for (const Slot& slot : slots_)
    if ((slot.times & (slot.times - 1)) != 0) write_times(slot);
}

}  // namespace bulkhead
