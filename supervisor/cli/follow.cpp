#include "supervisor/cli/follow.h"

#include <poll.h>

#include <array>

#include "sandbox/base/text.h"
#include "supervisor/cli/console.h"
#include "supervisor/cli/live_lines.h"
#include "supervisor/core/report/report.h"

namespace bulkhead {
namespace {

class Follower {
 public:
  Follower(ControlClient client, std::string run, Show show)
      : client_(std::move(client)), run_(std::move(run)), show_(show) {}

  Outcome<int> follow(Signals& interrupts) {
    while (true) {
      // What has come is taken first: poll() knows nothing of lines that the client has read already.
      auto reply = client_.poll();
      if (!reply) return lost(reply.error());
      if (const std::optional<Reply>& came = *reply) {
        if (const Ended ended = take(*came); !ended || ended->has_value()) return finish(ended);
        continue;
      }
      std::array<pollfd, 2> waits{{{client_.socket().get(), POLLIN, 0}, {interrupts.fd(), POLLIN, 0}}};
      if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR)
        return failure(ExitCode::fault, errno_error("wait for bulkheadd").error());
      if (waits[1].revents == 0) continue;
      if (const int signal = interrupts.take(); signal != 0)
        if (!interrupt(signal)) return left();
    }
  }

 private:
  using Ended = Outcome<std::optional<int>>;

  Ended take(const Reply& reply) {
    if (const auto* event = std::get_if<EventReply>(&reply)) {
      auto typed = event_from_json(event->event);
      if (!typed) return failure(ExitCode::fault, typed.error());
      if (const std::string line = lines_.line(*typed); !line.empty() && show_ == Show::lines) err_line(line);
      events_.push_back(*std::move(typed));
      return std::nullopt;
    }
    if (const auto* error = std::get_if<ErrorReply>(&reply))
      return std::unexpected(
          Failure{.error = {.operation = error->text, .hint = error->hint}, .code = error->exit_code});
    if (const auto* finished = std::get_if<FinishedReply>(&reply)) return finished->exit_code;
    return std::nullopt;  // accepted
  }

  Outcome<int> finish(const Ended& ended) {
    // How the run ended stands, whether or not it can be told in full.
    if (!events_.empty())
      if (auto shown = show_report(); !shown) complain(shown.error());
    if (!ended) return std::unexpected(ended.error());
    return ended->value_or(static_cast<int>(ExitCode::fault));
  }

  Outcome<> show_report() const {
    auto report = or_exit(ExitCode::fault, report_of(events_));
    if (!report) return std::unexpected(report.error());
    if (show_ == Show::lines) err_line("");
    out_text(render_text(*report));
    return {};
  }

  // False: the person has had enough of waiting.
  bool interrupt(int signal) {
    if (cancelled_) return false;
    cancelled_ = true;
    err_line("cancelling (" + signal_text(signal) + "); press Ctrl-C again to stop waiting");
    if (auto sent = client_.send(CancelRequest{run_}); !sent) err_line("bulkhead: " + printable(sent.error().text()));
    return true;
  }

  Outcome<int> left() const {
    err_line("bulkhead: no longer waiting; bulkheadd goes on cancelling run " + run_);
    err_line("  next: sudo bulkhead ps; sudo bulkhead journal " + run_);
    return static_cast<int>(ExitCode::task_failed);
  }

  Outcome<int> lost(const Error& error) const {
    return failure(ExitCode::fault,
                   {.operation = "follow run",
                    .object = run_,
                    .detail = error.code == ECONNRESET ? "bulkheadd ended before the run did" : error.text(),
                    .hint = "see what it got to: sudo bulkhead journal " + run_ +
                            "; end and remove what is left: sudo bulkhead clean"});
  }

  ControlClient client_;
  std::string run_;
  Show show_;
  LiveLines lines_;
  std::vector<Event> events_;  // the run's, from its first: what the report is made of
  bool cancelled_ = false;
};

}  // namespace

Outcome<int> follow(ControlClient client, const std::string& run, Signals interrupts, Show show) {
  return Follower(std::move(client), run, show).follow(interrupts);
}

}  // namespace bulkhead
