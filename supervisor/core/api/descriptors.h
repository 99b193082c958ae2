// Descriptors beside bytes on a unix stream socket (SCM_RIGHTS, unix(7)): one recvmsg or sendmsg, without a loop.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

// Appends what is there to `bytes` and `descriptors`; how many bytes came, 0 at the end of the stream. Received
// descriptors are close-on-exec. More than kMaxDescriptors at once is EMSGSIZE; EAGAIN and EINTR are errors too.
inline constexpr std::size_t kMaxDescriptors = 4;
Result<std::size_t> receive_some(int socket, std::string& bytes, std::vector<Fd>& descriptors, int flags);

// Sends some of `bytes`, with `descriptors` on the first of them; how many bytes went. No SIGPIPE.
Result<std::size_t> send_some(int socket, std::string_view bytes, std::span<const int> descriptors, int flags);

}  // namespace bulkhead
