#include "supervisor/core/workspaces/worker_serving.h"

namespace bulkhead {

std::vector<std::string> worker_serve_argv(int channel) {
  return {"bulkhead-worker", std::string(worker_serve), "--channel", std::to_string(channel)};
}

std::string worker_message(std::span<const std::string> words) {
  std::string message;
  for (const std::string& word : words) message.append(word).push_back('\0');
  return message;
}

Result<std::vector<std::string>> parse_worker_message(std::string_view message) {
  if (!message.ends_with('\0')) return fail("read request", "", "it has no end");
  std::vector<std::string> words;
  while (!message.empty()) {
    const auto end = message.find('\0');
    words.emplace_back(message.substr(0, end));
    message.remove_prefix(end + 1);
  }
  return words;
}

}  // namespace bulkhead
