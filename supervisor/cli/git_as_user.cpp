#include "supervisor/cli/git_as_user.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "sandbox/base/text.h"
#include "sandbox/sys/fd.h"
#include "supervisor/cli/console.h"

namespace bulkhead {
namespace {

constexpr std::size_t kMaxCapture = std::size_t{16} << 20;
constexpr std::size_t kMaxLineShown = std::size_t{64} << 10;

struct Child {
  pid_t pid = -1;
  Result<int> wait() const {
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0)
      if (errno != EINTR) return errno_error("wait for process");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
};

// -1 leaves a descriptor as it is. The program is looked up in `environment`'s PATH, as the user would.
Result<Child> spawn(std::vector<std::string> argv, std::vector<std::string> environment, int in, int out, int err) {
  auto words = exec_words(argv);
  auto block = exec_words(environment);
  Fd report_read, report_write;
  {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("make pipe");
    report_read = Fd(ends[0]), report_write = Fd(ends[1]);
  }
  const pid_t pid = ::fork();
  if (pid < 0) return errno_error("fork");
  if (pid == 0) {
    const bool ok = (in < 0 || ::dup2(in, STDIN_FILENO) >= 0) && (out < 0 || ::dup2(out, STDOUT_FILENO) >= 0) &&
                    (err < 0 || ::dup2(err, STDERR_FILENO) >= 0);
    environ = block.data();  // what execvp searches PATH in
    if (ok) ::execvp(words[0], words.data());
    const int code = errno;
    if (::write(report_write.get(), &code, sizeof code) < 0) ::_exit(126);
    ::_exit(127);
  }
  report_write.reset();
  int code = 0;
  if (::read(report_read.get(), &code, sizeof code) == sizeof code) {
    BULKHEAD_TRY(Child{pid}.wait());
    return errno_error("execute", argv[0], code);
  }
  return Child{pid};
}

struct Pipe {
  Fd read, write;
};
Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_error("make pipe");
  return Pipe{.read = Fd(ends[0]), .write = Fd(ends[1])};
}

// Hands out whole lines (cut where they are longer than anybody reads) until `line` says false.
template <class Line>
void each_line(const Fd& from, Line&& line) {
  std::string buffer;
  std::array<char, 65536> chunk{};
  while (true) {
    const ssize_t n = ::read(from.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    buffer.append(chunk.data(), static_cast<std::size_t>(n));
    std::size_t start = 0;
    for (auto end = buffer.find('\n'); end != std::string::npos; end = buffer.find('\n', start)) {
      if (!line(std::string_view(buffer).substr(start, end - start))) return;
      start = end + 1;
    }
    buffer.erase(0, start);
    if (buffer.size() > kMaxLineShown) {
      if (!line(buffer)) return;
      buffer.clear();
    }
  }
  if (!buffer.empty()) line(buffer);
}

// The pager's standard input, or nothing when there is none to be had.
struct Pager {
  Child child;
  Fd input;
};
std::optional<Pager> start_pager(const Environment& environment) {
  const auto chosen = environment.find("PAGER");
  const std::string command = chosen == environment.end() || chosen->second.empty() ? "less" : chosen->second;
  if (command == "cat") return std::nullopt;
  auto pipe = make_pipe();
  if (!pipe) return std::nullopt;
  Environment own = environment;
  own["LESS"] = "FRX";      // quit if it fits a screen, our colours, no clearing
  own["LESSSECURE"] = "1";  // no shell out of what an agent wrote
  auto child = spawn({"sh", "-c", "command -v ${1%% *} >/dev/null 2>&1 || exec cat; exec $1", "pager", command},
                     environment_block(own), pipe->read.get(), -1, -1);
  if (!child) return std::nullopt;
  return Pager{.child = *child, .input = std::move(pipe->write)};
}

// The user's own environment, whole: it is the user's own git. But for what points git to another repository than the
// journal's, or replaces its own diff.
Environment git_environment(const Context& context) {
  Environment out = context.programs;
  for (const char* name : {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY",
                           "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE", "GIT_EXTERNAL_DIFF"})
    out.erase(name);
  return out;
}

}  // namespace

std::string terminal_line(std::string_view line, Colour colour) {
  std::string out;
  std::size_t start = 0;
  for (std::size_t tab = line.find('\t');; tab = line.find('\t', start)) {
    const auto part = line.substr(start, tab == std::string_view::npos ? std::string_view::npos : tab - start);
    out += printable(part, 4 * kMaxLineShown);
    if (tab == std::string_view::npos) break;
    out += '\t';
    start = tab + 1;
  }
  if (colour == Colour::no || line.empty()) return out;
  const char* code = line.starts_with("+++") || line.starts_with("---") || line.starts_with("diff ") ? "1"
                     : line.starts_with('+')                                                         ? "32"
                     : line.starts_with('-')                                                         ? "31"
                     : line.starts_with("@@")                                                        ? "36"
                     : line.starts_with("commit ")                                                   ? "33"
                                                                                                     : nullptr;
  return code == nullptr ? out : std::string("\x1b[") + code + "m" + out + "\x1b[m";
}

std::vector<std::string> UserGit::command(const std::vector<std::string>& arguments) const {
  std::vector<std::string> words{"git", "-C", directory_, "--no-pager",
                                 // An in-tree hooks path would run what an agent committed.
                                 "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c",
                                 "color.ui=never"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

Result<GitResult> UserGit::capture(const std::vector<std::string>& arguments) const {
  BULKHEAD_ASSIGN(Pipe out, make_pipe());
  BULKHEAD_ASSIGN(Pipe err, make_pipe());
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  BULKHEAD_ASSIGN(const Child child, spawn(command(arguments), environment_block(git_environment(context_)), null.get(),
                                           out.write.get(), err.write.get()));
  out.write.reset();
  err.write.reset();
  GitResult result;
  std::array<pollfd, 2> waits{{{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}}};
  const std::array<std::string*, 2> sinks{&result.out, &result.err};
  while (waits[0].fd >= 0 || waits[1].fd >= 0) {
    if (::poll(waits.data(), waits.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < waits.size(); ++i) {
      if (waits[i].fd < 0 || waits[i].revents == 0) continue;
      std::array<char, 65536> chunk{};
      const ssize_t n = ::read(waits[i].fd, chunk.data(), chunk.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0)
        waits[i].fd = -1;
      else if (sinks[i]->size() < kMaxCapture)  // the rest is read and dropped, so that git does not block
        sinks[i]->append(chunk.data(), static_cast<std::size_t>(n));
    }
  }
  BULKHEAD_ASSIGN(result.status, child.wait());
  return result;
}

Result<int> UserGit::show(const std::vector<std::string>& arguments) const {
  if (::isatty(STDOUT_FILENO) == 0) {
    BULKHEAD_ASSIGN(const Child child,
                    spawn(command(arguments), environment_block(git_environment(context_)), -1, -1, -1));
    return child.wait();
  }
  BULKHEAD_ASSIGN(Pipe pipe, make_pipe());
  BULKHEAD_ASSIGN(const Child git,
                  spawn(command(arguments), environment_block(git_environment(context_)), -1, pipe.write.get(), -1));
  pipe.write.reset();
  auto pager = start_pager(context_.programs);
  const Colour colour = context_.programs.contains("NO_COLOR") ? Colour::no : Colour::yes;
  if (pager) {
    ::signal(SIGPIPE, SIG_IGN);  // a pager that is left early is no failure
    ::signal(SIGINT, SIG_IGN);   // Ctrl-C is for the pager
  }
  const int sink = pager ? pager->input.get() : STDOUT_FILENO;
  bool open = true;
  each_line(pipe.read, [&](std::string_view line) {
    const std::string text = terminal_line(line, colour) + "\n";
    for (std::string_view rest = text; open && !rest.empty();) {
      const ssize_t n = ::write(sink, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0)
        open = false;
      else
        rest.remove_prefix(static_cast<std::size_t>(n));
    }
    return open;
  });
  pipe.read.reset();
  if (pager) {
    pager->input.reset();
    BULKHEAD_TRY(pager->child.wait());
  }
  BULKHEAD_ASSIGN(const int status, git.wait());
  return open ? status : 0;
}

}  // namespace bulkhead
