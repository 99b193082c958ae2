// Processes of the launcher's own that do what takes the kernel long: attaching a loop device, mounting and unmounting
// wait for grace periods and for dirty pages. The launcher's one thread does not.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "sandbox/launch/disk_image.h"
#include "sandbox/sys/channel.h"

namespace bulkhead {

// Makes one new disk image: a copy of the empty one at the path `form`, which is made first where there is none. That
// one gets its name when it is whole and a copy of it has been mounted: that this host can do so is seen then, not by
// an agent that waits. Beside it the newest kMostForms stay.
class DiskMaker {
 public:
  static constexpr std::size_t kMostForms = 8;
  static Result<DiskMaker> start(const std::string& form, const DiskLimits& limits, const std::string& owner);
  DiskMaker(DiskMaker&&) = default;
  DiskMaker& operator=(DiskMaker&&) = delete;
  ~DiskMaker();  // ends it: what it had begun goes with it
  int fd() const { return answer_.fd(); }
  Result<DiskImage> finish();  // blocks until it is made

 private:
  DiskMaker(pid_t pid, Channel answer) : pid_(pid), answer_(std::move(answer)) {}
  struct Child {
    explicit Child(pid_t pid) : pid(pid) {}
    Child(Child&& other) noexcept : pid(std::exchange(other.pid, -1)) {}
    Child& operator=(Child&&) = delete;
    ~Child() { reap(); }
    void reap();
    pid_t pid;
  };
  Child pid_;
  Channel answer_;
};

// Closes what may be the last of a mount's descriptors in a process of its own, where the kernel then has all the work.
// Its pidfd is readable when it is done, and reap_unmounter() is due. None: there was no process to be had, and it is
// done.
struct Unmounter {
  pid_t pid = -1;
  Fd pidfd;
};
std::optional<Unmounter> close_apart(std::vector<Fd> held);
// Takes the mount at `path` out of our namespace, and the rest apart. An error changes nothing.
Result<std::optional<Unmounter>> unmount_apart(const std::string& path);
void reap_unmounter(const Unmounter& unmounter);  // blocks until it is done

}  // namespace bulkhead
