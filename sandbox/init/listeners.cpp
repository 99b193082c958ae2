// Who listens inside, as the kernel lists it: proc_pid_net(5).
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <initializer_list>

#include "sandbox/init/observations.h"

namespace bulkhead {
namespace {

// Line by line, of files of any length.
class Lines {
 public:
  explicit Lines(const char* path) : fd_(open(path, O_RDONLY | O_CLOEXEC)) {}
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  ~Lines() {
    if (fd_ >= 0) close(fd_);
  }
  // Without its end; nullptr: no more. Longer ones than any that the kernel writes are cut.
  char* next() {
    for (;;) {
      char* end = static_cast<char*>(memchr(buffer_ + at_, '\n', filled_ - at_));
      if (end != nullptr) {
        char* line = buffer_ + at_;
        *end = '\0';
        at_ = static_cast<std::size_t>(end - buffer_) + 1;
        return line;
      }
      memmove(buffer_, buffer_ + at_, filled_ - at_);
      filled_ -= at_;
      at_ = 0;
      if (fd_ < 0 || filled_ == sizeof buffer_) return nullptr;
      const ssize_t got = read(fd_, buffer_ + filled_, sizeof buffer_ - filled_);
      if (got <= 0) return nullptr;
      filled_ += static_cast<std::size_t>(got);
    }
  }

 private:
  int fd_;
  std::size_t at_ = 0, filled_ = 0;
  char buffer_[4096];
};

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// "  0: 0100007F:0050 00000000:0000 0A …": number, local address, remote address, state.
bool listens(const char* line, bool tcp, std::uint16_t port) {
  const char* at = strchr(line, ':');
  at = at == nullptr ? nullptr : strchr(at + 1, ':');
  if (at == nullptr) return false;
  unsigned found = 0;
  for (int i = 1; i <= 4; ++i) {
    if (digit(at[i]) < 0) return false;
    found = found * 16 + static_cast<unsigned>(digit(at[i]));
  }
  if (found != port) return false;
  if (!tcp) return true;
  at = strchr(at + 1, ':');
  return at != nullptr && strlen(at) > 7 && at[6] == '0' && at[7] == 'A';  // TCP_LISTEN
}

}  // namespace

bool listens_inside(bool tcp, std::uint16_t port) {
  for (const char* path :
       {tcp ? "/proc/self/net/tcp" : "/proc/self/net/udp", tcp ? "/proc/self/net/tcp6" : "/proc/self/net/udp6"}) {
    Lines lines(path);
    while (const char* line = lines.next())
      if (listens(line, tcp, port)) return true;
  }
  return false;
}

// "0000000000000000: 00000002 00000000 00010000 0001 01 16 @name"; NUL bytes of a name are shown as '@'.
bool has_abstract_socket(const char* name, std::size_t length) {
  Lines lines("/proc/self/net/unix");
  while (const char* line = lines.next()) {
    const char* at = strchr(line, '@');
    if (at == nullptr || strlen(at + 1) != length) continue;
    std::size_t i = 0;
    while (i < length && at[1 + i] == (name[i] == '\0' ? '@' : name[i])) ++i;
    if (i == length) return true;
  }
  return false;
}

}  // namespace bulkhead
