// Holds agents' branches in the repository through one worker that stays as long as the run (worker_serving.h): an
// agent waits for its registration, and the start of a sandbox is most of what that would take.
//
// One thread. Requests are answered in their order. A worker that dies is started anew and asked again, once: every
// request is idempotent by name.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "sandbox/sys/channel.h"
#include "supervisor/core/daemon/worker_runner.h"
#include "supervisor/core/workspaces/worker_serving.h"

namespace bulkhead {

class Registrar {
 public:
  // `job`: as whom and with which mounts the worker runs; called for each start.
  Registrar(boost::asio::io_context& io, LauncherLink& launcher, WorkerRunner& workers, std::function<WorkerJob()> job)
      : io_(io), launcher_(launcher), workers_(workers), job_(std::move(job)), readable_(io) {}

  // Where none lives yet. The first request would do it too, and wait for it.
  Result<> start();

  // To be received exactly once.
  template <class Request>
  struct Sent {
    std::uint64_t serial = 0;
  };
  template <class Request>
  Result<Sent<Request>> send(const Request& request) {
    BULKHEAD_ASSIGN(const std::uint64_t serial, send_message(worker_message_of(request)));
    return Sent<Request>{serial};
  }
  // An answer that is there already is taken without suspending.
  template <class Request>
  Async<typename Request::Facts> receive(Sent<Request> sent) {
    BULKHEAD_CO_ASSIGN(const std::string answer, co_await answer_to(sent.serial));
    co_return parse_worker_facts<typename Request::Facts>(answer);
  }

  template <class Request>
  Async<typename Request::Facts> ask(Request request) {
    BULKHEAD_CO_ASSIGN(const Sent<Request> sent, send(request));
    co_return co_await receive(sent);
  }

  // Ends the worker and waits until nothing of it is left. Nothing is outstanding.
  boost::asio::awaitable<void> stop();
  // What the launcher ran is gone with it; what was asked is asked again.
  void launcher_restarted();

 private:
  struct Question {
    std::string message;
    std::optional<Result<std::string>> answer;
    boost::asio::steady_timer* waiting = nullptr;
    bool asked_again = false;
  };

  Result<std::uint64_t> send_message(std::string message);
  Async<std::string> answer_to(std::uint64_t serial);
  void watch();
  void collect();
  void hang_up();
  void ask_again(const Error& why);
  void settle(std::uint64_t serial, Result<std::string> answer);

  boost::asio::io_context& io_;
  LauncherLink& launcher_;
  WorkerRunner& workers_;
  std::function<WorkerJob()> job_;
  Channel channel_;  // invalid: no worker
  boost::asio::posix::stream_descriptor readable_;
  std::optional<RunningWorker> worker_;
  std::chrono::steady_clock::time_point started_;
  std::vector<std::string> ending_;  // sandboxes whose end nobody has waited for yet
  std::map<std::uint64_t, Question> questions_;
  std::deque<std::uint64_t> unanswered_;  // in the order they were sent
  std::uint64_t serial_ = 0;
  unsigned generation_ = 0;  // of the worker
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace bulkhead
