// The launcher on Asio: calls go straight through (they take a millisecond), exits are awaited.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "sandbox/launch/launcher_client.h"
#include "supervisor/runtime/async.h"

namespace bulkhead {

class LauncherLink {
 public:
  using Start = std::function<Result<LauncherClient>()>;
  // `start` finds or starts a launcher: called again when the one we have dies. What it had made (mounts, ranges) is
  // gone then: `restarted` is called for whoever has to make it anew.
  LauncherLink(boost::asio::io_context& io, LauncherClient client, Start start);
  void on_restart(std::function<void()> restarted) { restarted_ = std::move(restarted); }
  ~LauncherLink();

  // Any call of the client; exits that arrived between its messages are handed out afterwards.
  template <class Call>
  auto call(Call&& what) {
    auto result = what(client_);
    boost::asio::post(io_, [this, alive = std::weak_ptr<char>(alive_)] {
      if (!alive.expired()) collect();
    });
    return result;
  }

  // Completes when the sandbox `id` has ended, at once if it has already. The record stays with the launcher until it
  // is acknowledged. With the launcher gone every sandbox ends as `lost`.
  boost::asio::awaitable<ExitRecord> wait(std::string id);
  // The same for at most `patience`. Nothing: it lives on, and has been killed. What a dead file system holds ends only
  // with that; its record is then acknowledged when it comes.
  boost::asio::awaitable<std::optional<ExitRecord>> wait_or_abandon(std::string id, std::chrono::milliseconds patience);
  // Its record is journaled, or needed by nobody.
  void acknowledge(const std::string& id);
  // Another number for each launcher: what one gave (a range) means nothing to the next.
  unsigned generation() const { return generation_; }
  // Watches no longer: lets the io_context run out of work.
  void stop();

 private:
  void watch();
  void collect();
  void restart();
  boost::asio::awaitable<std::optional<ExitRecord>> wait_until(std::string id,
                                                               boost::asio::steady_timer::time_point end);

  boost::asio::io_context& io_;
  LauncherClient client_;
  boost::asio::posix::stream_descriptor readable_;
  std::map<std::string, ExitRecord> arrived_;
  std::map<std::string, boost::asio::steady_timer*> waiting_;
  std::set<std::string> abandoned_;
  Start start_;
  std::function<void()> restarted_;
  unsigned generation_ = 0;  // of the launcher
  bool lost_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace bulkhead
