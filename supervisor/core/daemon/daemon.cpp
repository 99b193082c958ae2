#include "supervisor/core/daemon/daemon.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>

#include "sandbox/base/text.h"
#include "sandbox/plan/required_walls.h"
#include "supervisor/core/daemon/image_roots.h"
#include "supervisor/core/daemon/run_request.h"

namespace bulkhead {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr auto kLinger = 10s;  // a daemon that was started for one client waits this long for it

void rethrow(std::exception_ptr thrown) {
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace

RunExecutor* Daemon::find(const std::string& run) {
  const auto found = runs_.find(run);
  return found == runs_.end() ? nullptr : found->second.get();
}

Result<> Daemon::start() {
  BULKHEAD_ASSIGN(server_, ControlServer::listen(site_.io, site_.paths.control_socket(), *this));
  BULKHEAD_ASSIGN(const auto runs, site_.journal.runs());
  for (const RunListing& listing : runs) {
    if (listing.run.empty()) continue;
    BULKHEAD_ASSIGN(auto history, site_.journal.read(listing.run));
    const RunState state = fold(history);
    // A plan that was never complete never started anything.
    if (state.finished || !state.planned) continue;
    runs_.emplace(listing.run, std::make_unique<RunExecutor>(site_, listing.run));
    asio::co_spawn(site_.io, serve_takeover(listing.run, std::move(history)), rethrow);
  }
  // Records of sandboxes nobody waits for any more: of finished runs, and of requests that never became one.
  BULKHEAD_ASSIGN(const auto present, site_.launcher.call([](LauncherClient& c) { return c.list(); }));
  for (const LiveSandbox& sandbox : present)
    if (sandbox.ended && !runs_.contains(sandbox.id.substr(0, sandbox.id.find('/'))))
      site_.launcher.acknowledge(sandbox.id);
  leave_if_done();
  return {};
}

void Daemon::stop() {
  stopping_ = true;
  for (auto& [name, run] : runs_) run->cancel("bulkheadd was told to stop");
  leave_if_done();
}

// With --once the daemon goes when nobody needs it; a client that is on its way is waited for.
void Daemon::leave_if_done() {
  if (!runs_.empty() || !preparing_.empty()) return;
  if (stopping_) {
    leave();
    return;
  }
  if (lifetime_ != Lifetime::once) return;
  if (!clients_.empty()) return;
  linger_.expires_after(served_ ? std::chrono::milliseconds(0) : std::chrono::milliseconds(kLinger));
  linger_.async_wait([this](boost::system::error_code error) {
    if (error || !runs_.empty() || !preparing_.empty() || !clients_.empty()) return;
    leave();
  });
}

// Replies that are queued are still written: whoever runs the io_context gives them a moment.
void Daemon::leave() {
  leaving_ = true;
  linger_.cancel();
  server_->stop();
}

void Daemon::launcher_restarted() {
  spdlog::error("the launcher died; another one carries on");
  for (auto& [name, run] : runs_) run->launcher_restarted();
}

asio::awaitable<void> Daemon::serve_takeover(std::string run, std::vector<Event> history) {
  RunExecutor& executor = *find(run);
  spdlog::warn("{}: taking over an unfinished run", run);
  if (const auto taken = co_await executor.take_over(std::move(history)); !taken) {
    spdlog::error("{}: {}; next: {}", run, taken.error().text(), taken.error().hint);
  } else {
    co_await executor.run();
  }
  finish(run);
}

asio::awaitable<void> Daemon::serve_run(std::shared_ptr<ControlConnection> connection, RunRequest request) {
  const std::string name = request.run;
  auto executor = std::make_unique<RunExecutor>(site_, name);
  Result<> prepared;
  try {
    prepared = co_await prepare_run(executor->context(), std::move(request));
  } catch (const nlohmann::json::exception& e) {
    prepared = fail("read request", name, e.what());
  }
  preparing_.erase(name);
  if (!prepared) {
    connection->send(error_reply(prepared.error(), is_missing_walls(prepared.error()) ? 3 : 2));
    connection->close();
    clients_.erase(connection->id());
    leave_if_done();
    co_return;
  }
  RunExecutor& run = *executor;
  // A launcher that was started anew meanwhile told runs_ only.
  hold_images_again(run.context());
  runs_.emplace(name, std::move(executor));
  connection->send(AcceptedReply{name});
  run.follow(connection);
  told_at_end_[name].push_back(connection);
  if (const auto begun =
          run.begin(plan_events(name, run.context().facts, *run.context().workflow, unix_milliseconds()));
      !begun)
    throw std::runtime_error(begun.error().text());
  // The client may have gone while the repository was read: its run is not started for nobody.
  if (lifetime_ == Lifetime::once && !connection->is_open()) run.cancel("its client went away");
  co_await run.run();
  finish(name);
}

void Daemon::finish(const std::string& name) {
  const auto found = runs_.find(name);
  const auto& finished = found->second->state().finished;
  const FinishedReply reply{.run = name,
                            .outcome = finished ? std::string(word(finished->outcome)) : "fault",
                            .exit_code = finished ? finished->exit_code : 5};
  const auto told = std::move(told_at_end_[name]);
  told_at_end_.erase(name);
  runs_.erase(found);
  for (const auto& connection : told) {
    connection->send(reply);
    connection->close();
    clients_.erase(connection->id());
  }
  leave_if_done();
}

void Daemon::on_request(const std::shared_ptr<ControlConnection>& connection, Request request,
                        std::vector<Fd> descriptors) {
  clients_[connection->id()] = connection;
  linger_.cancel();
  served_ = served_ || !std::holds_alternative<StatusRequest>(request);
  if (const auto* shell = std::get_if<ShellRequest>(&request))
    return handle_shell(connection, *shell, std::move(descriptors));
  std::visit(
      [&](const auto& r) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(r)>, ShellRequest>) handle(connection, r);
      },
      request);
}

void Daemon::on_closed(const std::shared_ptr<ControlConnection>& connection) {
  clients_.erase(connection->id());
  for (auto& [run, told] : told_at_end_) std::erase(told, connection);
  // A daemon started for one run ends that run with its client: nobody is left to stop it.
  if (lifetime_ == Lifetime::once)
    if (const auto owned = owners_.find(connection->id()); owned != owners_.end())
      if (RunExecutor* run = find(owned->second)) run->cancel("its client went away");
  leave_if_done();
}

namespace {
void refuse(const std::shared_ptr<ControlConnection>& connection, std::string text, std::string hint, int exit_code) {
  connection->send(ErrorReply{.text = std::move(text), .hint = std::move(hint), .exit_code = exit_code});
}
}  // namespace

void Daemon::handle(const std::shared_ptr<ControlConnection>& connection, const RunRequest& request) {
  const auto known = site_.journal.runs();
  if (!known) return refuse(connection, known.error().text(), known.error().hint, 5);
  const bool taken =
      find(request.run) != nullptr || preparing_.contains(request.run) ||
      std::any_of(known->begin(), known->end(), [&](const RunListing& l) { return l.run == request.run; });
  if (taken)
    return refuse(connection, "a run named " + request.run + " exists already", "choose another name with --name", 2);
  if (stopping_) return refuse(connection, "bulkheadd is stopping", "", 5);
  preparing_.insert(request.run);
  owners_[connection->id()] = request.run;
  asio::co_spawn(site_.io, serve_run(connection, request), rethrow);
}

void Daemon::handle(const std::shared_ptr<ControlConnection>& connection, const CancelRequest& request) {
  RunExecutor* run = find(request.run);
  if (run == nullptr)
    return refuse(connection, "no run named " + request.run + " is going on", "bulkhead ps lists them", 2);
  run->cancel("cancelled by request");
  connection->send(AcceptedReply{request.run});
}

void Daemon::handle(const std::shared_ptr<ControlConnection>& connection, const KillRequest& request) {
  RunExecutor* run = find(request.run);
  if (run == nullptr)
    return refuse(connection, "no run named " + request.run + " is going on", "bulkhead ps lists them", 2);
  if (const auto done = run->cancel_agent(request.agent, "killed by request"); !done)
    return refuse(connection, done.error().text(), "bulkhead ps lists runs and agents", 2);
  connection->send(AcceptedReply{request.run});
}

void Daemon::handle(const std::shared_ptr<ControlConnection>& connection, const StatusRequest&) {
  StatusReply reply{.pid = ::getpid(), .version = "0.1.0", .once = lifetime_ == Lifetime::once, .runs = {}};
  for (const auto& [name, run] : runs_) reply.runs.push_back(name);
  connection->send(reply);
}

void Daemon::handle(const std::shared_ptr<ControlConnection>& connection, const SubscribeRequest& request) {
  const auto history = site_.journal.read(request.run);
  if (!history) return refuse(connection, history.error().text(), history.error().hint, 5);
  if (history->empty()) return refuse(connection, "no run named " + request.run, "bulkhead ps lists them", 2);
  connection->send(AcceptedReply{request.run});
  for (const Event& event : *history) connection->send(EventReply{to_json(event)});
  if (RunExecutor* run = find(request.run)) {
    run->follow(connection);
    told_at_end_[request.run].push_back(connection);
    return;
  }
  const RunState state = fold(*history);
  connection->send(FinishedReply{.run = request.run,
                                 .outcome = state.finished ? std::string(word(state.finished->outcome)) : "unfinished",
                                 .exit_code = state.finished ? state.finished->exit_code : 5});
}

// A further command inside the agent's living compartment.
void Daemon::handle_shell(const std::shared_ptr<ControlConnection>& connection, const ShellRequest& request,
                          std::vector<Fd> descriptors) {
  RunExecutor* run = find(request.run);
  if (run == nullptr)
    return refuse(connection, "run " + request.run + " is not going on",
                  "bulkhead log and bulkhead diff show what it left", 2);
  auto& agents = run->context().agents;
  const auto agent = agents.find(request.agent);
  if (agent == agents.end() || agent->second.live_sandbox.empty())
    return refuse(connection, "agent " + request.agent + " is not running now", "bulkhead ps lists what runs", 2);
  if (descriptors.size() != 3) return refuse(connection, "shell needs three descriptors", "", 2);
  const std::string& host = agent->second.live_sandbox;
  const std::string id = host + "-shell-" + std::to_string(::getpid()) + "-" + std::to_string(++shells_);
  std::map<std::string, std::string> extra{{"BULKHEAD_RUN", request.run}, {"BULKHEAD_AGENT", request.agent}};
  if (!request.term.empty()) extra["TERM"] = request.term;
  const auto environment = run->context().environment_of(request.agent, extra);
  const std::vector<std::string> argv = request.argv.empty() ? std::vector<std::string>{"/bin/sh"} : request.argv;
  const auto started = site_.launcher.call([&](LauncherClient& c) {
    return c.exec(host, id, argv, environment, std::string(worker_place::workspace), descriptors[0].get(),
                  descriptors[1].get(), descriptors[2].get());
  });
  if (!started) return refuse(connection, started.error().text(), started.error().hint, 5);
  connection->send(AcceptedReply{request.run});
  asio::co_spawn(site_.io, serve_shell(connection, request.run, id), rethrow);
}

asio::awaitable<void> Daemon::serve_shell(std::shared_ptr<ControlConnection> connection, std::string run,
                                          std::string id) {
  const ExitRecord record = co_await site_.launcher.wait(id);
  site_.launcher.acknowledge(id);
  connection->send(FinishedReply{.run = run, .outcome = record.detail, .exit_code = exit_status(record)});
}

}  // namespace bulkhead
