// Processes of the launcher's own that do what takes the kernel long: attaching a loop device, mounting and unmounting
// wait for grace periods and for dirty pages. The launcher's one thread does not.
#pragma once

#include <sys/types.h>

#include <string>

#include "sandbox/launch/disk_image.h"
#include "sandbox/sys/channel.h"

namespace bulkhead {

// Makes one new disk image.
class DiskMaker {
 public:
  static Result<DiskMaker> start(int form, const std::string& directory, const std::string& owner);
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

// Takes the mount at `path` out of our namespace. What the kernel then has to do for its last user it does in a process
// of its own, whose pidfd is the answer: readable when it is done, and reap_unmounter() is due.
struct Unmounter {
  pid_t pid = -1;
  Fd pidfd;
};
Result<Unmounter> unmount_apart(const std::string& path);
void reap_unmounter(const Unmounter& unmounter);  // blocks until it is done

}  // namespace bulkhead
