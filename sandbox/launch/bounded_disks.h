// The disks of a launcher's sandboxes: what they write on disk (a workspace's upper layer and a home together) stands
// on something that the kernel bounds in bytes and inodes. Of the two mechanisms the first that this host has is used:
// a project quota of the state directory's file system, else a file system of its own in an image.
//
// A disk is attached below a directory of the state directory, DIRECTORY/disk. Under a quota that is a directory which
// everybody sees; an image is mounted there in the launcher's mount namespace only, and whoever else needs to look into
// it is given a descriptor. The group of DIRECTORY/disk on the host is the range that it was made for.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/launch/disk.h"
#include "sandbox/launch/disk_helper.h"
#include "sandbox/launch/disk_image.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

class Disks {
 public:
  static constexpr std::size_t kSpares = 2;  // made ahead, of the size last asked for
  static constexpr std::size_t kMostSpares = 6;

  // `state_dir` holds the disks and, below disks/, the empty image that new ones are copies of. What another boot left
  // there is removed.
  static Result<Disks> open(const std::string& state_dir);

  // How disks of that size will be bounded. EINPROGRESS while what each of them is made from is made: ask again. Where
  // this host has neither mechanism the error is kNoDiskBounds, and says what it lacks.
  Result<DiskMechanism> prepare(const DiskLimits& limits);
  // The root of the disk in `directory`, which must be below the state directory and exist. An empty disk of `limits`
  // is made where there is none; without limits (no bytes) only one that is there is attached. EWOULDBLOCK: a launcher
  // that died has left it in use; it goes with the last of its sandboxes.
  Result<Fd> attach(const std::string& directory, std::uint32_t range, const DiskLimits& limits);
  enum class Files { remove, keep };
  // Detached, or not attached; what a launcher before us bounded is too. An image goes with what was written, unless it
  // is kept; of a quota the files are the caller's to remove, before. To be asked for again where it fails.
  Result<> drop(const std::string& directory, Files files);
  // Of the disk at DIRECTORY/disk; none if it is not attached.
  std::optional<DiskUsage> usage(const std::string& disk) const;
  bool is_attached(const std::string& disk) const;

  // Unmounts what stands at `path` without waiting for it.
  Result<> unmount(const std::string& path);

  // For the launcher's loop: readable when on_event() is due; when to be called in a quiet moment.
  int fd() const { return epoll_.get(); }
  void on_event();
  bool wants_spare() const;
  void make_spare();
  // Everything is unmounted when this returns.
  void end();

 private:
  struct Disk {
    DiskMechanism mechanism{};
    DiskLimits limits;
    std::uint32_t project = 0;
    Fd root;  // O_PATH for an image, readable for a quota
  };
  Disks() = default;
  struct Spare {
    DiskLimits limits;
    DiskImage image;
  };
  struct Making {
    DiskLimits limits;
    DiskMaker maker;
  };
  using Clock = std::chrono::steady_clock;
  struct Failed {
    DiskLimits limits;
    Error why;
    Clock::time_point when;
  };
  Result<DiskMechanism> mechanism();
  std::string form_of(const DiskLimits& limits) const;
  Result<DiskImage> take_image(const DiskLimits& limits);
  Result<> begin_making(const DiskLimits& limits);
  Result<> finish_making();
  std::size_t spares_of(const DiskLimits& limits) const;
  Result<> place(const std::string& at, DiskImage image, const DiskLimits& limits);
  Result<Fd> attach_existing(const std::string& directory, const std::string& at);
  Result<> check_place(const std::string& directory) const;
  Result<> detach(const std::string& at);
  void look_after(std::optional<Unmounter> unmounter);
  Result<> watch(int fd);

  std::string state_;
  Fd epoll_;
  std::map<std::string, Disk> disks_;  // by DIRECTORY/disk
  std::optional<DiskMechanism> mechanism_;
  std::optional<DiskLimits> ahead_;  // which size is made ahead
  std::deque<Spare> spares_;         // the oldest first
  std::optional<Making> making_;
  std::optional<Failed> failed_;  // the last that nobody waited for
  std::vector<Unmounter> unmounters_;
};

}  // namespace bulkhead
