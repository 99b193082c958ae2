#include "supervisor/runtime/launcher_link.h"

#include <fcntl.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>

namespace bulkhead {

namespace asio = boost::asio;

LauncherLink::LauncherLink(asio::io_context& io, LauncherClient client, Start start)
    : io_(io),
      client_(std::move(client)),
      readable_(io, ::fcntl(client_.fd(), F_DUPFD_CLOEXEC, 3)),
      start_(std::move(start)) {
  watch();
}

LauncherLink::~LauncherLink() = default;

void LauncherLink::watch() {
  readable_.async_wait(asio::posix::stream_descriptor::wait_read,
                       [this, alive = std::weak_ptr<char>(alive_)](boost::system::error_code error) {
                         if (error || alive.expired()) return;
                         const unsigned generation = generation_;
                         collect();
                         if (generation == generation_) watch();
                       });
}

void LauncherLink::collect() {
  auto records = client_.poll_exits();
  if (!records) return restart();
  for (ExitRecord& record : *records) {
    const std::string id = record.id;
    if (abandoned_.erase(id) != 0) {
      acknowledge(id);
      continue;
    }
    arrived_.insert_or_assign(id, std::move(record));
    if (const auto waiter = waiting_.find(id); waiter != waiting_.end()) waiter->second->cancel();
  }
}

// The launcher died. The next one ends what it left running, so every sandbox we wait for is lost, and no longer there
// once the next one answers.
void LauncherLink::restart() {
  if (lost_) return;
  ++generation_;
  abandoned_.clear();
  boost::system::error_code ignored;
  readable_.close(ignored);
  auto next = start_();
  lost_ = !next.has_value();
  if (next) {
    client_ = std::move(*next);
    readable_.assign(::fcntl(client_.fd(), F_DUPFD_CLOEXEC, 3));
    watch();
    if (restarted_) restarted_();
  }
  for (auto& [id, timer] : waiting_) timer->cancel();
}

void LauncherLink::acknowledge(const std::string& id) {
  (void)client_.acknowledge(id);  // a launcher that does not know it has nothing to forget
  arrived_.erase(id);
}

void LauncherLink::stop() {
  boost::system::error_code ignored;
  readable_.close(ignored);
}

asio::awaitable<ExitRecord> LauncherLink::wait(std::string id) {
  co_return *co_await wait_until(std::move(id), asio::steady_timer::time_point::max());
}

asio::awaitable<std::optional<ExitRecord>> LauncherLink::wait_or_abandon(std::string id,
                                                                         std::chrono::milliseconds patience) {
  auto record = co_await wait_until(id, asio::steady_timer::clock_type::now() + patience);
  if (record) co_return record;
  abandoned_.insert(id);
  // If it has just ended by itself, its record is on the way.
  (void)call([&](LauncherClient& c) { return c.kill(id, EndReason::killed_by_request); });
  co_return std::nullopt;
}

// Nothing: not by then.
asio::awaitable<std::optional<ExitRecord>> LauncherLink::wait_until(std::string id,
                                                                    asio::steady_timer::time_point end) {
  asio::steady_timer timer(io_, end);
  const unsigned generation = generation_;
  while (!arrived_.contains(id) && !lost_ && generation == generation_) {
    waiting_[id] = &timer;
    boost::system::error_code woken;  // cancelled is how it is
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    waiting_.erase(id);
    if (!woken && !arrived_.contains(id)) co_return std::nullopt;
  }
  const auto found = arrived_.find(id);
  if (found == arrived_.end()) {
    ExitRecord record;
    record.id = id;
    record.reason = EndReason::lost;
    record.detail = "the launcher died";
    co_return record;
  }
  ExitRecord record = std::move(found->second);
  arrived_.erase(found);
  co_return record;
}

}  // namespace bulkhead
