// attack [NAME [ARGUMENT…]]… with '+' between several: one line an attack, `NAME: blocked: EPERM from unshare` or
// `NAME: SUCCEEDED: …`. Exit status 0: all blocked, 1: one succeeded, 2: no such attack, 3: one could not be tried.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "tests/attack/attacks/attack.h"

namespace bulkhead::attack {

Outcome blocked(std::string text) { return {Outcome::Kind::blocked, std::move(text)}; }
Outcome succeeded(std::string text) { return {Outcome::Kind::succeeded, std::move(text)}; }
Outcome not_tried(std::string text) { return {Outcome::Kind::not_tried, std::move(text)}; }

std::string error_name(int code) {
  const char* name = strerrorname_np(code);
  return name != nullptr ? name : "error " + std::to_string(code);
}

Outcome answered(long result, std::string_view call) { return answered(result, call, {}); }

Outcome answered(long result, std::string_view call, std::initializer_list<int> reached) {
  const int code = errno;
  if (result >= 0) return succeeded(std::string(call));
  const std::string text = error_name(code) + " from " + std::string(call);
  if (std::find(reached.begin(), reached.end(), code) != reached.end()) return succeeded("reached the kernel: " + text);
  return blocked(text);
}

namespace {
int answer_fd = -1;
}

int answer_descriptor() { return answer_fd; }

Outcome in_child(const Attack& attack, Arguments arguments) {
  int ends[2];
  if (pipe(ends) != 0) return not_tried(error_name(errno) + " from pipe");
  const pid_t pid = fork();
  if (pid < 0) return not_tried(error_name(errno) + " from fork");
  if (pid == 0) {
    close(ends[0]);
    answer_fd = ends[1];
    const Outcome outcome = attack.run(arguments);
    const std::string bytes = std::to_string(static_cast<int>(outcome.kind)) + outcome.text;
    _exit(write(ends[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string answer;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;) answer.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFSIGNALED(status)) return blocked(std::string("killed by SIG") + sigabbrev_np(WTERMSIG(status)));
  if (answer.empty()) return not_tried("it said nothing");
  return {static_cast<Outcome::Kind>(answer[0] - '0'), answer.substr(1)};
}

namespace {

const Attack* find(std::string_view name) {
  for (const auto group : {calls(), files(), namespaces(), processes(), sockets(), terminals(), exhaustion()})
    for (const Attack& attack : group)
      if (attack.name == name) return &attack;
  return nullptr;
}

int run(Arguments words) {
  const Attack* attack = find(words.front());
  if (attack == nullptr) {
    fprintf(stderr, "attack: no attack '%s'\n", words.front().c_str());
    return 2;
  }
  const Outcome outcome = in_child(*attack, words.subspan(1));
  constexpr const char* kWords[]{"blocked", "SUCCEEDED", "not tried"};
  constexpr int kStatus[]{0, 1, 3};
  const int kind = static_cast<int>(outcome.kind);
  printf("%s: %s: %s\n", words.front().c_str(), kWords[kind], outcome.text.c_str());
  fflush(stdout);
  return kStatus[kind];
}

}  // namespace
}  // namespace bulkhead::attack

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  int status = 0;
  for (auto from = words.begin(); from != words.end();) {
    const auto to = std::find(from, words.end(), "+");
    if (to != from) status = std::max(status, bulkhead::attack::run({from, to}));
    from = to == words.end() ? to : to + 1;
  }
  return words.empty() ? 2 : status;
}
