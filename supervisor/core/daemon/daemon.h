// bulkheadd: answers the control socket and keeps the runs. One thread, one io_context.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "supervisor/core/api/server.h"
#include "supervisor/core/daemon/run_executor.h"

namespace bulkhead {

enum class Lifetime { until_stopped, once };  // once: until no run and no client is left

class Daemon final : public ControlHandler {
 public:
  Daemon(DaemonSite& site, Lifetime lifetime) : site_(site), lifetime_(lifetime), linger_(site.io) {}

  // Listens, takes over what earlier supervisors left unfinished, then serves. Returns when the io_context may be run.
  Result<> start();
  // Cancels every run; the daemon ends when they have.
  void stop();
  bool leaving() const { return leaving_; }
  void launcher_restarted();

  void on_request(const std::shared_ptr<ControlConnection>& connection, Request request,
                  std::vector<Fd> descriptors) override;
  void on_closed(const std::shared_ptr<ControlConnection>& connection) override;

 private:
  void handle(const std::shared_ptr<ControlConnection>& connection, const RunRequest& request);
  void handle(const std::shared_ptr<ControlConnection>& connection, const CancelRequest& request);
  void handle(const std::shared_ptr<ControlConnection>& connection, const KillRequest& request);
  void handle(const std::shared_ptr<ControlConnection>& connection, const StatusRequest& request);
  void handle(const std::shared_ptr<ControlConnection>& connection, const SubscribeRequest& request);
  void handle_shell(const std::shared_ptr<ControlConnection>& connection, const ShellRequest& request,
                    std::vector<Fd> descriptors);

  boost::asio::awaitable<void> serve_run(std::shared_ptr<ControlConnection> connection, RunRequest request);
  boost::asio::awaitable<void> serve_takeover(std::string run, std::vector<Event> history);
  boost::asio::awaitable<void> serve_shell(std::shared_ptr<ControlConnection> connection, std::string run,
                                           std::string id);
  void finish(const std::string& run);
  void leave_if_done();
  void leave();
  RunExecutor* find(const std::string& run);

  DaemonSite& site_;
  Lifetime lifetime_;
  boost::asio::steady_timer linger_;
  std::unique_ptr<ControlServer> server_;
  std::map<std::string, std::unique_ptr<RunExecutor>> runs_;
  std::set<std::string> preparing_;  // accepted, not begun yet
  std::map<std::uint64_t, std::shared_ptr<ControlConnection>> clients_;
  std::map<std::string, std::vector<std::shared_ptr<ControlConnection>>> told_at_end_;  // by run
  std::map<std::uint64_t, std::string> owners_;  // the connection whose run it is
  std::uint64_t shells_ = 0;
  bool served_ = false;  // somebody wanted more than to look: nobody else is on the way to a daemon with --once
  bool stopping_ = false;
  bool leaving_ = false;
};

}  // namespace bulkhead
