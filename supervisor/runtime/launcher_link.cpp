#include "supervisor/runtime/launcher_link.h"

#include <fcntl.h>

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>

namespace bulkhead {

namespace asio = boost::asio;

LauncherLink::LauncherLink(asio::io_context& io, LauncherClient client)
    : io_(io), client_(std::move(client)), readable_(io, ::fcntl(client_.fd(), F_DUPFD_CLOEXEC, 3)) {
  watch();
}

LauncherLink::~LauncherLink() = default;

void LauncherLink::watch() {
  readable_.async_wait(asio::posix::stream_descriptor::wait_read,
                       [this, alive = std::weak_ptr<char>(alive_)](boost::system::error_code error) {
                         if (error || alive.expired()) return;
                         collect();
                         if (!lost_) watch();
                       });
}

void LauncherLink::collect() {
  auto records = client_.poll_exits();
  if (!records) {
    lost_ = true;
    for (auto& [id, timer] : waiting_) timer->cancel();
    return;
  }
  for (ExitRecord& record : *records) {
    const std::string id = record.id;
    arrived_.insert_or_assign(id, std::move(record));
    if (const auto waiter = waiting_.find(id); waiter != waiting_.end()) waiter->second->cancel();
  }
}

asio::awaitable<ExitRecord> LauncherLink::wait(std::string id) {
  asio::steady_timer timer(io_, asio::steady_timer::time_point::max());
  while (!arrived_.contains(id) && !lost_) {
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
