// `bulkhead shell AGENT`: stand inside a running agent's compartment. The command there gets a pty made for it, never
// the caller's own terminal: what it writes to its terminal's input queue (TIOCSTI) stays in its own.
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "supervisor/cli/console.h"
#include "supervisor/cli/daemon_door.h"
#include "supervisor/cli/history.h"
#include "supervisor/cli/signals.h"
#include "supervisor/cli/verbs.h"

namespace bulkhead {
namespace {

// The caller's terminal hands every key through, as long as this lives.
class RawTerminal {
 public:
  static Result<RawTerminal> enter() {
    termios before{};
    if (::tcgetattr(STDIN_FILENO, &before) != 0) return errno_error("look at the terminal");
    termios raw = before;
    ::cfmakeraw(&raw);
    if (::tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) != 0) return errno_error("set up the terminal");
    return RawTerminal(before);
  }
  RawTerminal(RawTerminal&& other) noexcept : before_(other.before_), active_(std::exchange(other.active_, false)) {}
  RawTerminal& operator=(RawTerminal&&) = delete;
  ~RawTerminal() {
    if (active_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }

 private:
  explicit RawTerminal(const termios& before) : before_(before) {}
  termios before_;
  bool active_ = true;
};

TerminalSize own_size() {
  winsize size{};
  if (::ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return {};
  return {.rows = size.ws_row, .columns = size.ws_col};
}

void set_size(const Fd& pty, TerminalSize size) {
  const winsize wanted{.ws_row = size.rows, .ws_col = size.columns, .ws_xpixel = 0, .ws_ypixel = 0};
  ::ioctl(pty.get(), TIOCSWINSZ, &wanted);
}

struct Pty {
  Fd ours, theirs;
};

Result<Pty> make_pty(TerminalSize size) {
  int ours = -1, theirs = -1;
  const winsize wanted{.ws_row = size.rows, .ws_col = size.columns, .ws_xpixel = 0, .ws_ypixel = 0};
  if (::openpty(&ours, &theirs, nullptr, nullptr, &wanted) != 0) return errno_error("make a pty");
  Pty pty{.ours = Fd(ours), .theirs = Fd(theirs)};
  for (const Fd* fd : {&pty.ours, &pty.theirs})
    if (::fcntl(fd->get(), F_SETFD, FD_CLOEXEC) != 0) return errno_error("set up the pty");
  return pty;
}

// Copies what is there, once. False at the end of `from`.
bool pump(int from, int to) {
  std::array<char, 65536> bytes{};
  const ssize_t n = ::read(from, bytes.data(), bytes.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  if (n <= 0) return false;  // EIO: nobody has the other side of the pty open any more
  for (std::string_view rest(bytes.data(), static_cast<std::size_t>(n)); !rest.empty();) {
    const ssize_t written = ::write(to, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// What the daemon says of the command's end; nothing while it lives.
Outcome<std::optional<int>> end_of(const Reply& reply) {
  if (const auto* error = std::get_if<ErrorReply>(&reply))
    return std::unexpected(Failure{.error = {.operation = error->text, .hint = error->hint}, .code = error->exit_code});
  if (const auto* finished = std::get_if<FinishedReply>(&reply)) return finished->exit_code;
  return std::nullopt;
}

Outcome<std::optional<int>> arrived(ControlClient& client) {
  while (true) {
    auto reply = or_exit(ExitCode::fault, client.poll());
    if (!reply) return std::unexpected(reply.error());
    const std::optional<Reply>& came = *reply;
    if (!came) return std::nullopt;
    if (auto ended = end_of(*came); !ended || ended->has_value()) return ended;
  }
}

Outcome<int> with_terminal(ControlClient& client, const Fd& pty) {
  auto resized = or_exit(ExitCode::fault, Signals::open({SIGWINCH}));
  if (!resized) return std::unexpected(resized.error());
  auto raw = or_exit(ExitCode::fault, RawTerminal::enter());
  if (!raw) return std::unexpected(raw.error());
  std::array<pollfd, 4> waits{{{client.socket().get(), POLLIN, 0},
                               {pty.get(), POLLIN, 0},
                               {STDIN_FILENO, POLLIN, 0},
                               {resized->fd(), POLLIN, 0}}};
  while (true) {
    auto ended = arrived(client);
    if (!ended) return std::unexpected(ended.error());
    if (const std::optional<int>& status = *ended) {
      // What it wrote last is still on its way through the pty.
      for (pollfd rest{pty.get(), POLLIN, 0}; ::poll(&rest, 1, 0) > 0 && (rest.revents & POLLIN) != 0;)
        if (!pump(pty.get(), STDOUT_FILENO)) break;
      return *status;
    }
    if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR)
      return failure(ExitCode::fault, errno_error("wait for the shell").error());
    if (waits[1].revents != 0 && !pump(pty.get(), STDOUT_FILENO)) waits[1].fd = -1;
    if (waits[2].revents != 0 && !pump(STDIN_FILENO, pty.get())) waits[2].fd = -1;
    if (waits[3].revents != 0 && resized->take() != 0) set_size(pty, own_size());
  }
}

Outcome<int> without_terminal(ControlClient& client) {
  while (true) {
    auto reply = or_exit(ExitCode::fault, client.receive());
    if (!reply) return std::unexpected(reply.error());
    auto ended = end_of(*reply);
    if (!ended) return std::unexpected(ended.error());
    if (const std::optional<int>& status = *ended) return *status;
  }
}

}  // namespace

Outcome<int> shell_verb(const Context& context, const ShellOptions& options) {
  if (auto root = need_root(context, "enter a compartment"); !root) return std::unexpected(root.error());
  auto history = History::open(context.state);
  if (!history) return std::unexpected(history.error());
  auto agent = history->agent(options.agent);
  if (!agent) return std::unexpected(agent.error());
  auto door =
      or_exit(ExitCode::fault, DaemonDoor::open(context.state, context.beside("bulkheadd"), WhenNoDaemon::refuse));
  if (!door) return std::unexpected(door.error());
  if (auto dropped = drop_root(context); !dropped) return std::unexpected(dropped.error());
  auto client = door->connect();
  if (!client) return std::unexpected(client.error());

  ShellRequest request{.run = agent->run, .agent = agent->agent, .argv = options.command, .terminal = {}, .term = {}};
  const bool terminal = ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;
  if (!terminal) {
    const std::array own{STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    if (auto sent = client->send(request, own); !sent) return failure(ExitCode::fault, sent.error());
    return without_terminal(*client);
  }
  request.terminal = own_size();
  if (const auto term = context.caller.environment.find("TERM"); term != context.caller.environment.end())
    request.term = term->second;
  auto pty = or_exit(ExitCode::fault, make_pty(*request.terminal));
  if (!pty) return std::unexpected(pty.error());
  const std::array theirs{pty->theirs.get(), pty->theirs.get(), pty->theirs.get()};
  if (auto sent = client->send(request, theirs); !sent) return failure(ExitCode::fault, sent.error());
  pty->theirs.reset();
  return with_terminal(*client, pty->ours);
}

}  // namespace bulkhead
