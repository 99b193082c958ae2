#include "sandbox/launch/helper_answer.h"

#include <nlohmann/json.hpp>

namespace bulkhead {

bool answer_with(const Channel& launcher, const Result<>& done, const std::vector<int>& made) {
  if (done) return launcher.send("ok", made).has_value();
  const Error& e = done.error();
  const auto bytes = nlohmann::json::to_cbor({e.operation, e.object, e.code, e.detail, e.hint});
  return launcher.send({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).has_value();
}

Result<std::vector<Fd>> hear_answer(const Channel& helper, std::size_t count) {
  BULKHEAD_ASSIGN(auto message, helper.receive());
  if (!message) return fail("hear helper", "", "it died");
  if (message->text == "ok" && message->fds.size() == count) return std::move(message->fds);
  const auto said = nlohmann::json::from_cbor(message->text, true, false);
  try {
    return std::unexpected(Error{.operation = said.at(0).get<std::string>(),
                                 .object = said.at(1).get<std::string>(),
                                 .code = said.at(2).get<int>(),
                                 .detail = said.at(3).get<std::string>(),
                                 .hint = said.at(4).get<std::string>()});
  } catch (const nlohmann::json::exception& e) {
    return fail("hear helper", "", e.what());
  }
}

}  // namespace bulkhead
