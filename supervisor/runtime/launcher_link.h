// The launcher on Asio: calls go straight through (they take a millisecond), exits are awaited.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "sandbox/launch/launcher_client.h"
#include "supervisor/runtime/async.h"

namespace bulkhead {

class LauncherLink {
 public:
  LauncherLink(boost::asio::io_context& io, LauncherClient client);
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
  bool lost() const { return lost_; }

 private:
  void watch();
  void collect();

  boost::asio::io_context& io_;
  LauncherClient client_;
  boost::asio::posix::stream_descriptor readable_;
  std::map<std::string, ExitRecord> arrived_;
  std::map<std::string, boost::asio::steady_timer*> waiting_;
  bool lost_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace bulkhead
