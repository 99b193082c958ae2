#include "sandbox/base/result.h"

#include <cstring>

namespace bulkhead {

std::string Error::text() const {
  std::string out = operation;
  if (!object.empty()) out += (out.empty() ? "" : " ") + object;
  if (code != 0) out += std::string(": ") + strerrordesc_np(code);
  if (!detail.empty()) out += code != 0 ? " (" + detail + ")" : ": " + detail;
  return out;
}

std::unexpected<Error> errno_error(std::string operation, std::string object, int code) {
  return std::unexpected(Error{.operation = std::move(operation), .object = std::move(object), .code = code});
}

std::unexpected<Error> fail(std::string operation, std::string object, std::string detail, std::string hint) {
  return std::unexpected(Error{.operation = std::move(operation),
                               .object = std::move(object),
                               .detail = std::move(detail),
                               .hint = std::move(hint)});
}

}  // namespace bulkhead
