#include "supervisor/worker/serve.h"

#include <fcntl.h>

#include <charconv>

#include "sandbox/base/text.h"
#include "sandbox/sys/channel.h"
#include "supervisor/core/workspaces/worker_serving.h"
#include "supervisor/worker/answer.h"
#include "supervisor/worker/subcommands.h"

namespace bulkhead {
namespace {

Result<Channel> open_channel(std::span<const std::string> options) {
  int fd = -1;
  if (options.size() != 2 || options[0] != "--channel") return fail("serve", "", "expected --channel N");
  const std::string& value = options[1];
  const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), fd);
  if (code != std::errc() || end != value.data() + value.size() || fd < 0)
    return fail("read option", "--channel", "expected a descriptor's number");
  // No program that we start is to hold it open.
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return errno_error("use channel", value);
  return Channel(Fd(fd));
}

Result<std::string> answer_to(std::string_view message) {
  BULKHEAD_ASSIGN(const std::vector<std::string> words, parse_worker_message(message));
  const auto options = std::span(words).subspan(1);
  if (words.front() == RegisterRequest::subcommand) return answer(register_agent, options);
  if (words.front() == UnregisterRequest::subcommand) return answer(unregister_agent, options);
  return fail("serve", printable(words.front(), 64), "not one of the requests that are served");
}

}  // namespace

Result<> serve(std::span<const std::string> options) {
  BULKHEAD_ASSIGN(const Channel channel, open_channel(options));
  for (;;) {
    BULKHEAD_ASSIGN(const auto message, channel.receive());
    if (!message) return {};
    const Result<std::string> text = answer_to(message->text);
    BULKHEAD_TRY(channel.send(text ? *text : worker_error_json(text.error())));
  }
}

}  // namespace bulkhead
