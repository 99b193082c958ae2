#include "supervisor/cli/output_file.h"

#include <fcntl.h>
#include <unistd.h>

namespace bulkhead {

Outcome<OutputFile> OutputFile::open(const std::string& what, const std::string& path) {
  OutputFile output;
  if (path.empty()) return output;
  output.operation_ = "write " + what;
  output.path_ = path;
  output.file_ = Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  if (!output.wanted()) return failure(ExitCode::bad_input, errno_error(output.operation_, path).error());
  return output;
}

Outcome<> OutputFile::write(std::string_view text) const {
  const auto failed = [&] { return failure(ExitCode::fault, errno_error(operation_, path_).error()); };
  if (::ftruncate(file_.get(), 0) != 0 && errno != EINVAL) return failed();  // EINVAL: a pipe or a device
  while (!text.empty()) {
    const ssize_t n = ::write(file_.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed();
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace bulkhead
