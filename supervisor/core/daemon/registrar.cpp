#include "supervisor/core/daemon/registrar.h"

#include <fcntl.h>

#include <boost/asio/redirect_error.hpp>

#include "sandbox/base/text.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

namespace asio = boost::asio;

constexpr int kChannelInside = 10;
// Half of the wall time that the worker's policy gives it: no request is cut short by how long others took.
constexpr auto kServes = std::chrono::minutes(5);

Error died(const RunningWorker& worker) {
  Error error{.operation = "bulkhead-worker serve", .object = "", .detail = "it ended before it answered"};
  ::lseek(worker.output.err.get(), 0, SEEK_SET);
  if (const auto words = read_fd(worker.output.err.get(), 1 << 20); words && !words->empty())
    error.detail += ": " + printable(*words, 400);
  return error;
}

}  // namespace

Result<> Registrar::start() {
  if (channel_.valid()) {
    if (!unanswered_.empty() || std::chrono::steady_clock::now() - started_ < kServes) return {};
    hang_up();
  }
  BULKHEAD_ASSIGN(auto channels, Channel::pair());
  const Fd theirs = channels.second.take();
  WorkerJob job = job_();
  job.fds = {{theirs.get(), kChannelInside}};
  BULKHEAD_ASSIGN(worker_, workers_.start(std::move(job), worker_serve_argv(kChannelInside), worker_serve));
  channel_ = std::move(channels.first);
  started_ = std::chrono::steady_clock::now();
  ++generation_;
  readable_.assign(::fcntl(channel_.fd(), F_DUPFD_CLOEXEC, 3));
  watch();
  return {};
}

void Registrar::watch() {
  readable_.async_wait(
      asio::posix::stream_descriptor::wait_read,
      [this, alive = std::weak_ptr<char>(alive_), generation = generation_](boost::system::error_code error) {
        if (error || alive.expired() || generation != generation_) return;
        collect();
        if (generation == generation_ && channel_.valid()) watch();
      });
}

void Registrar::collect() {
  while (channel_.valid()) {
    auto message = channel_.try_receive();
    if (!message && message.error().code == EAGAIN) return;
    if (!message || !*message) {
      const Error why = message ? died(*worker_) : message.error();
      hang_up();
      return ask_again(why);
    }
    if (unanswered_.empty()) {
      hang_up();
      return ask_again({.operation = "bulkhead-worker serve", .object = "", .detail = "it answered what nobody asked"});
    }
    const std::uint64_t serial = unanswered_.front();
    unanswered_.pop_front();
    settle(serial, std::move((*message)->text));
  }
}

// It ends by itself when it finds the channel closed.
void Registrar::hang_up() {
  boost::system::error_code ignored;
  readable_.close(ignored);
  channel_ = Channel();
  if (worker_) ending_.push_back(worker_->id);
  worker_.reset();
}

void Registrar::ask_again(const Error& why) {
  const auto lost = std::exchange(unanswered_, {});
  for (const std::uint64_t serial : lost) {
    Question& question = questions_.at(serial);
    Result<> sent = question.asked_again ? Result<>(std::unexpected(why)) : start();
    question.asked_again = true;
    if (sent) sent = channel_.send(question.message);
    if (sent) {
      unanswered_.push_back(serial);
    } else {
      settle(serial, std::unexpected(sent.error()));
    }
  }
}

void Registrar::settle(std::uint64_t serial, Result<std::string> answer) {
  Question& question = questions_.at(serial);
  question.answer = std::move(answer);
  if (question.waiting != nullptr) question.waiting->cancel();
}

Result<std::uint64_t> Registrar::send_message(std::string message) {
  BULKHEAD_TRY(start());
  const std::uint64_t serial = ++serial_;
  questions_[serial].message = std::move(message);
  unanswered_.push_back(serial);
  // One that died meanwhile is noticed here first.
  if (const auto sent = channel_.send(questions_[serial].message); !sent) {
    hang_up();
    ask_again(sent.error());
  }
  return serial;
}

Async<std::string> Registrar::answer_to(std::uint64_t serial) {
  collect();
  asio::steady_timer timer(io_, asio::steady_timer::time_point::max());
  while (!questions_.at(serial).answer) {
    questions_.at(serial).waiting = &timer;
    boost::system::error_code ignored;  // cancelled is how it is woken
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  auto question = questions_.extract(serial);
  co_return std::move(*question.mapped().answer);
}

asio::awaitable<void> Registrar::stop() {
  hang_up();
  for (const std::string& id : std::exchange(ending_, {})) {
    co_await launcher_.wait(id);
    launcher_.acknowledge(id);
  }
}

void Registrar::launcher_restarted() {
  hang_up();
  // Ended by the next launcher, which keeps what is known of it until it is told otherwise.
  for (const std::string& id : std::exchange(ending_, {})) launcher_.acknowledge(id);
  ask_again({.operation = "bulkhead-worker serve", .object = "", .detail = "the launcher died"});
}

}  // namespace bulkhead
