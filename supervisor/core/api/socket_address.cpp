#include "supervisor/core/api/socket_address.h"

#include <fcntl.h>

#include <cstring>

namespace bulkhead {

Result<SocketAddress> SocketAddress::of(const std::string& path) {
  std::size_t slash = path.rfind('/');
  std::string directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  SocketAddress out;
  out.directory_ = Fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!out.directory_.valid()) return errno_error("open directory", directory);
  std::string short_path = path;
  if (short_path.size() >= sizeof out.address_.sun_path)
    short_path = "/proc/self/fd/" + std::to_string(out.directory_.get()) + "/" + name;
  if (name.empty() || short_path.size() >= sizeof out.address_.sun_path)
    return fail("name socket", path, "the last part of the path is empty or too long");
  out.address_.sun_family = AF_UNIX;
  std::memcpy(out.address_.sun_path, short_path.c_str(), short_path.size() + 1);
  return out;
}

}  // namespace bulkhead
