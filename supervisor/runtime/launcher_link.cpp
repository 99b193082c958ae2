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
    arrived_.insert_or_assign(id, std::move(record));
    if (const auto waiter = waiting_.find(id); waiter != waiting_.end()) waiter->second->cancel();
  }
}

// The launcher died. The next one ends what it left running, so every sandbox we wait for is lost, and no longer there
// once the next one answers.
void LauncherLink::restart() {
  if (lost_) return;
  ++generation_;
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
  asio::steady_timer timer(io_, asio::steady_timer::time_point::max());
  const unsigned generation = generation_;
  while (!arrived_.contains(id) && !lost_ && generation == generation_) {
    waiting_[id] = &timer;
    boost::system::error_code ignored;  // cancelled is how it is woken
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    waiting_.erase(id);
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
