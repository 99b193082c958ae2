#include "sandbox/init/denials.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/init/caller.h"

namespace bulkhead {
void Denials::answer() {
  for (int round = 0; round < 64; ++round) {
    pollfd waiting{listener_, POLLIN, 0};
    if (poll(&waiting, 1, 0) <= 0) return;
    if ((waiting.revents & POLLIN) == 0) {  // nobody is left under the filter but us, who do not ask
      close(listener_);
      listener_ = -1;
      return;
    }
    seccomp_notif call;
    memset(&call, 0, sizeof call);
    if (ioctl(listener_, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
      if (errno == EINTR || errno == ENOENT) continue;  // killed meanwhile
      return;
    }
    seccomp_notif_resp answer;
    memset(&answer, 0, sizeof answer);
    answer.id = call.id;
    bool goes_on = false;
    if (observations_ != nullptr)
      goes_on = observe(call);
    else
      note(call.data.nr, reinterpret_cast<const unsigned long long*>(call.data.args), call.pid);
    if (goes_on)
      answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    else
      answer.error = -EPERM;
    // ENOENT: killed meanwhile, and nobody waits for the answer.
    while (ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0 && errno == EINTR) continue;
  }
}

// Looked at, never judged: what is read here may be another path by the time the kernel reads it. Whether a call that
// goes on is allowed was said by the filter below, which never leaves one of those to us (LearningPrograms).
bool Denials::observe(const seccomp_notif& call) {
  if (const PathCall* path = path_call(call.data.nr); path != nullptr) {
    observations_->note(listener_, call, *path);
    return true;
  }
  if (call.data.nr == SYS_seccomp) {  // told of only where it asks for a listener
    observations_->note(listener_, call, InitSeen::own_listener);
    return true;
  }
  if (call.data.nr == SYS_ioctl) {  // the guard's; refused by it if not by us
    observations_->note(listener_, call, InitSeen::terminal);
    return false;
  }
  note(call.data.nr, reinterpret_cast<const unsigned long long*>(call.data.args), call.pid);
  return false;
}

void Denials::note(int number, const unsigned long long* arguments, unsigned pid) {
  bool known_one = false;
  for (std::size_t slot = 0; slot < count_; ++slot) known_one = known_one || denials_[slot].number == number;
  if (!known_one && count_ >= kMostInitDenials - 1) number = kOtherInitDenials;
  for (std::size_t slot = 0; slot < count_; ++slot) {
    InitDenial& known = denials_[slot];
    if (known.number != number) continue;
    ++known.times;
    if ((known.times & (known.times - 1)) == 0) write_slot(slot);
    return;
  }
  InitDenial& fresh = denials_[count_];
  fresh.number = number;
  fresh.times = 1;
  for (int i = 0; i < 2; ++i) fresh.arguments[i] = arguments[i];
  // The caller waits for our answer, so the pid is still its own, unless it was killed: then who it was does not
  // matter.
  read_name(pid, fresh.who);
  write_slot(count_++);
}

// A denial that cannot be noted is answered all the same.
void Denials::write_slot(std::size_t slot) const {
  const auto at = static_cast<off_t>(kInitDenialsOffset + slot * sizeof(InitDenial));
  if (pwrite(record_, &denials_[slot], sizeof(InitDenial), at) < 0) return;
}

void Denials::finish() {
  for (std::size_t slot = 0; slot < count_; ++slot) write_slot(slot);
  if (observations_ != nullptr) observations_->finish();
}

}  // namespace bulkhead
