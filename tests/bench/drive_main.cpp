// Start-to-exit times of several ways to start one program, interleaved: round 1 of each, round 2 of each, …, so that
// whatever else the machine does meets all of them alike.
//
//   bench-drive ROUNDS PAUSE_MICROSECONDS CONTENDERS
//
// CONTENDERS is a file; a line is NAME, then `spawn` or `serve`, then the argument vector, all separated by tabs.
//   spawn  the program is started, and waited for; @N in an argument becomes a number that is never used twice
//   serve  the program is started once; for a byte on its stdin it does the work and answers with a byte
// Prints for each: name, rounds that succeeded, rounds that failed, and the successful times in microseconds.
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Contender {
  std::string name;
  bool serve = false;
  std::vector<std::string> argv;
  int to = -1, from = -1;  // of a server
  pid_t server = -1;
  std::vector<double> microseconds;
  unsigned failures = 0;
};

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "bench-drive: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

std::vector<Contender> read_contenders(const char* path) {
  std::ifstream file(path);
  if (!file) die(path);
  std::vector<Contender> contenders;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    Contender contender;
    std::string way;
    std::getline(fields, contender.name, '\t');
    std::getline(fields, way, '\t');
    contender.serve = way == "serve";
    for (std::string argument; std::getline(fields, argument, '\t');) contender.argv.push_back(argument);
    if (contender.argv.empty() || (way != "serve" && way != "spawn")) {
      std::fprintf(stderr, "bench-drive: not a contender: %s\n", line.c_str());
      std::exit(2);
    }
    contenders.push_back(std::move(contender));
  }
  return contenders;
}

pid_t spawn(const std::vector<std::string>& arguments, int in, int out) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out, 1);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    errno = error;
    die(argv[0]);
  }
  return pid;
}

bool succeeded(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) die("waitpid");
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void start_server(Contender& contender) {
  int to[2], from[2];
  if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) die("pipe");
  contender.server = spawn(contender.argv, to[0], from[1]);
  close(to[0]);
  close(from[1]);
  contender.to = to[1];
  contender.from = from[0];
}

bool serve_once(const Contender& contender) {
  char byte = '.';
  return write(contender.to, &byte, 1) == 1 && read(contender.from, &byte, 1) == 1 && byte == '.';
}

bool spawn_once(const Contender& contender, unsigned number, int null) {
  std::vector<std::string> argv = contender.argv;
  for (std::string& argument : argv) {
    if (const std::size_t at = argument.find("@N"); at != std::string::npos)
      argument.replace(at, 2, std::to_string(getpid()) + "-" + std::to_string(number));
  }
  return succeeded(spawn(argv, null, null));
}

void measure(Contender& contender, unsigned number, int null) {
  const Clock::time_point start = Clock::now();
  const bool good = contender.serve ? serve_once(contender) : spawn_once(contender, number, null);
  const std::chrono::duration<double, std::micro> took = Clock::now() - start;
  if (good) {
    contender.microseconds.push_back(took.count());
  } else {
    ++contender.failures;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench-drive ROUNDS PAUSE_MICROSECONDS CONTENDERS\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  const unsigned rounds = static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10));
  const std::chrono::microseconds pause{std::strtol(argv[2], nullptr, 10)};
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) die("/dev/null");
  std::vector<Contender> contenders = read_contenders(argv[3]);
  for (Contender& contender : contenders) {
    if (contender.serve) start_server(contender);
  }
  unsigned number = 0;
  for (Contender& contender : contenders) measure(contender, number++, null);  // warm up: caches, first use
  for (Contender& contender : contenders) {
    contender.microseconds.clear();
    contender.failures = 0;
  }
  for (unsigned round = 0; round < rounds; ++round) {
    for (Contender& contender : contenders) {
      // Spaced out: what a start leaves to the kernel's workers is not to be paid by the next contender.
      std::this_thread::sleep_for(pause);
      measure(contender, number++, null);
    }
  }
  for (Contender& contender : contenders) {
    if (contender.serve) {
      close(contender.to);
      if (!succeeded(contender.server)) ++contender.failures;
    }
    std::printf("%s\t%zu\t%u", contender.name.c_str(), contender.microseconds.size(), contender.failures);
    for (const double time : contender.microseconds) std::printf("\t%.1f", time);
    std::printf("\n");
  }
  return 0;
}
