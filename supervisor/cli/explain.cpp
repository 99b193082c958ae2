#include "supervisor/cli/explain.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "sandbox/base/text.h"
#include "sandbox/sys/fd.h"
#include "supervisor/core/workspaces/worker_protocol.h"

namespace bulkhead {
namespace {

constexpr uid_t kNobody = 65534;
constexpr auto kPatience = std::chrono::seconds(5);  // a path may lead to a file system that does not answer

// It may never end, so nothing of ours stays with it: not the output that somebody reads to its end, no launcher.
bool keep_only(int fd) { return ::dup2(fd, 0) == 0 && ::close_range(1, ~0U, 0) == 0; }

[[noreturn]] void look_and_tell(const std::vector<std::string>& paths, int to) {
  if (!keep_only(to)) ::_exit(1);
  const bool dropped =
      ::geteuid() != 0 || (::setgroups(0, nullptr) == 0 && ::setresgid(kNobody, kNobody, kNobody) == 0 &&
                           ::setresuid(kNobody, kNobody, kNobody) == 0);
  if (!dropped || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) ::_exit(1);
  const std::string answer = worker_facts_json(look_at_host(paths));
  std::size_t done = 0;
  while (done < answer.size()) {
    const ssize_t n = ::write(0, answer.data() + done, answer.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(1);
    done += static_cast<std::size_t>(n);
  }
  ::_exit(0);
}

// To the end of the stream; nothing where that does not come in time.
std::string read_in_time(int from) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  std::string answer;
  char part[8192];
  while (answer.size() <= max_worker_facts) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd ready{from, POLLIN, 0};
    const int polled = left.count() <= 0 ? 0 : ::poll(&ready, 1, static_cast<int>(left.count()));
    if (polled < 0 && errno == EINTR) continue;
    if (polled <= 0) return {};
    const ssize_t n = ::read(from, part, sizeof part);
    if (n == 0) return answer;
    if (n < 0) return {};
    answer.append(part, static_cast<std::size_t>(n));
  }
  return {};
}

}  // namespace

HostLook look_as_nobody(const std::vector<std::string>& paths) {
  if (paths.empty()) return {};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  const Fd from(ends[0]);
  Fd to(ends[1]);
  const pid_t looker = ::fork();
  if (looker == 0) look_and_tell(paths, to.get());
  to.reset();
  if (looker < 0) return {};
  const std::string answer = read_in_time(from.get());
  ::kill(looker, SIGKILL);
  // It ends at once but where a file system holds it: then it is not waited for.
  ::waitpid(looker, nullptr, answer.empty() ? WNOHANG : 0);
  return parse_worker_facts<HostLook>(answer).value_or(HostLook{});
}

HostAnswers ask_host(const Observed& observed, const View& view) {
  HostAnswers answers{.look = look_as_nobody(questions(observed, view)), .names = {}};
  if (!observed.rows.empty()) answers.names = names_of_host();
  return answers;
}

std::vector<std::string> denied_lines(const std::vector<Denied>& denied, const std::string& policy,
                                      const std::function<std::string(const Origin&)>& rule) {
  std::vector<std::string> lines;
  for (const Denied& row : denied) {
    if (lines.size() == kMostDeniedLines) {
      lines.push_back("bulkhead: denied: " + std::to_string(denied.size() - lines.size()) +
                      " more; --report has them all");
      break;
    }
    std::string line = "bulkhead: denied: " + printable(row.what, 400);
    if (!row.who.empty()) line += ", by " + printable(row.who, 40);
    if (row.times > 1) line += ", " + std::to_string(row.times) + " times";
    line += "; rule: " + row.wall + ", " + printable(rule(row.rule), 300);
    if (row.change.empty())
      line += "; no policy allows it";
    else
      line += "; to allow it: " + printable(change_text(row.change), 600) + " in " + printable(policy, 200);
    if (!row.reason.empty()) line += " (" + printable(row.reason, 300) + ")";
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace bulkhead
