#include "sandbox/launch/bounded_disks.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "sandbox/launch/disk_quota.h"
#include "sandbox/sys/files.h"

namespace bulkhead {
namespace {

constexpr const char* kOtherBoot =
    "it was made before this machine was started anew, and may be torn: the work goes on from the last checkpoint";
constexpr int kStillInUse = 80;  // times kPause: how long a dead launcher's mounts may take to go
constexpr int kPause = 25;       // ms

std::string form_name(const DiskLimits& limits) {
  return boot_id() + "-" + std::to_string(limits.bytes) + "-" + std::to_string(limits.inodes) + ".img";
}

}  // namespace

Result<Disks> Disks::open(const std::string& state_dir) {
  Disks disks;
  disks.state_ = state_dir;
  disks.epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!disks.epoll_.valid()) return errno_error("epoll_create1");
  const std::string forms = state_dir + "/disks";
  if (!exists(forms)) return disks;
  const std::string boot = boot_id();
  BULKHEAD_ASSIGN(const auto names, list_directory(forms));
  for (const std::string& name : names)
    if (!name.starts_with(boot)) BULKHEAD_TRY(remove_tree(forms + "/" + name));
  return disks;
}

Result<DiskMechanism> Disks::prepare(const DiskLimits& limits) {
  if (!mechanism_) {
    BULKHEAD_ASSIGN(const Fd state, open_file(state_, O_RDONLY | O_DIRECTORY));
    mechanism_ = enforces_project_quota(state.get()) ? DiskMechanism::quota : DiskMechanism::image;
  }
  if (*mechanism_ == DiskMechanism::quota) return DiskMechanism::quota;
  ahead_ = limits;
  if (forms_.contains(limits)) return DiskMechanism::image;
  const std::string path = state_ + "/disks/" + form_name(limits);
  if (exists(path)) {
    BULKHEAD_ASSIGN(Fd form, open_file(path, O_RDONLY | O_NOFOLLOW));
    forms_.insert_or_assign(limits, std::move(form));
    make_spare();
    return DiskMechanism::image;
  }
  BULKHEAD_TRY(make_form(limits, path));
  return DiskMechanism::image;
}

// One a size and boot. It gets its name when it is whole and a copy of it has been mounted: that this host can do so is
// seen now, not by an agent that waits.
Result<> Disks::make_form(const DiskLimits& limits, const std::string& path) {
  BULKHEAD_TRY(make_directory(state_ + "/disks", 0700));
  BULKHEAD_ASSIGN(Fd form, open_file(state_ + "/disks", O_TMPFILE | O_RDWR, 0600));
  BULKHEAD_TRY(format_disk(form.get(), limits));
  const std::string self = "/proc/self/fd/" + std::to_string(form.get());
  forms_.insert_or_assign(limits, std::move(form));
  Result<> made = begin_making(limits);
  if (made) made = finish_making();
  if (made && ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0)
    made = errno_error("name", path);
  if (!made) forms_.erase(limits);
  return made;
}

// One at a time: a second one asked for meanwhile waits for the first.
Result<> Disks::begin_making(const DiskLimits& limits) {
  if (making_) BULKHEAD_TRY(finish_making());
  BULKHEAD_ASSIGN(DiskMaker maker, DiskMaker::start(forms_.at(limits).get(), state_ + "/disks", disk_owner(state_)));
  making_.emplace(Making{.limits = limits, .maker = std::move(maker)});
  return {};
}

Result<> Disks::finish_making() {
  auto image = making_->maker.finish();
  const DiskLimits limits = making_->limits;
  making_.reset();
  if (!image) return std::unexpected(std::move(image).error());
  spares_.push_back({.limits = limits, .image = std::move(*image)});
  return {};
}

std::size_t Disks::spares_of(const DiskLimits& limits) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(spares_, [&](const Spare& spare) { return spare.limits == limits; }));
}

Result<DiskImage> Disks::take_image(const DiskLimits& limits) {
  if (spares_of(limits) == 0) {
    if (!making_ || making_->limits != limits) BULKHEAD_TRY(begin_making(limits));
    BULKHEAD_TRY(finish_making());
  }
  const auto found = std::ranges::find_if(spares_, [&](const Spare& spare) { return spare.limits == limits; });
  DiskImage image = std::move(found->image);
  spares_.erase(found);
  return image;
}

Result<Fd> Disks::root_of(const std::string& at) const { return open_file(at, O_PATH | O_DIRECTORY | O_NOFOLLOW); }

Result<> Disks::place(const std::string& at, DiskImage image, const DiskLimits& limits) {
  if (::move_mount(image.mount.get(), "", AT_FDCWD, at.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return errno_error("attach disk at", at);
  BULKHEAD_ASSIGN(Fd root, root_of(at));
  disks_.insert_or_assign(
      at, Disk{.mechanism = DiskMechanism::image, .limits = limits, .project = 0, .root = std::move(root)});
  return {};
}

Result<Fd> Disks::attach_existing(const std::string& directory, const std::string& at) {
  const std::string path = disk_image_path(directory);
  if (exists(path)) {
    // A launcher before us may have died this moment: its mounts go with the last of its sandboxes.
    auto image = mount_disk_image(path, disk_owner(state_));
    for (int i = 0; i < kStillInUse && !image && image.error().code == EWOULDBLOCK; ++i) {
      ::poll(nullptr, 0, kPause);
      image = mount_disk_image(path, disk_owner(state_));
    }
    if (!image) return std::unexpected(std::move(image).error());
    struct stat st{};
    if (::fstat(image->file.get(), &st) != 0) return errno_error("stat", path);
    BULKHEAD_TRY(place(at, std::move(*image), {.bytes = static_cast<std::uint64_t>(st.st_size), .inodes = 0}));
    return root_of(at);
  }
  BULKHEAD_ASSIGN(const auto names, list_directory(directory));
  if (std::ranges::any_of(names, is_disk_image)) return fail("attach disk", directory, kOtherBoot);
  BULKHEAD_ASSIGN(Fd root, open_file(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  BULKHEAD_ASSIGN(const std::uint32_t project, project_of(root.get()));
  if (project != 0) {
    BULKHEAD_ASSIGN(const DiskLimits limits, project_limits(root.get(), project));
    disks_.insert_or_assign(
        at, Disk{.mechanism = DiskMechanism::quota, .limits = limits, .project = project, .root = std::move(root)});
  }
  return root_of(at);
}

Result<Fd> Disks::attach(const std::string& directory, std::uint32_t range, const DiskLimits& limits) {
  if (!directory.starts_with(state_ + "/") || (directory + "/").contains("/../"))
    return fail("attach disk", directory, "is not below the state directory");
  const std::string at = directory + "/disk";
  if (is_attached(at)) return root_of(at);
  disks_.erase(at);  // somebody removed it from under us
  if (limits.bytes == 0 || exists(disk_image_path(directory))) return attach_existing(directory, at);
  BULKHEAD_ASSIGN(const DiskMechanism mechanism, prepare(limits));
  BULKHEAD_TRY(make_directory(at, 0711));
  if (::chmod(at.c_str(), 0711) != 0) return errno_error("chmod", at);
  if (::lchown(at.c_str(), 0, range) != 0) return errno_error("chown", at);
  if (mechanism == DiskMechanism::quota) {
    BULKHEAD_ASSIGN(const Fd root, open_file(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    BULKHEAD_ASSIGN(const std::uint32_t project, project_of(root.get()));
    if (project == 0) {
      // What stands there already would not count.
      BULKHEAD_ASSIGN(const auto names, list_directory(at));
      if (!names.empty()) return fail("bound disk", at, "it is not empty");
      BULKHEAD_TRY(bound_by_project(root.get(), range, limits));
    }
    return attach_existing(directory, at);
  }
  BULKHEAD_ASSIGN(DiskImage image, take_image(limits));
  const std::string self = "/proc/self/fd/" + std::to_string(image.file.get());
  const std::string path = disk_image_path(directory);
  if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0)
    return errno_error("name", path);
  BULKHEAD_TRY(place(at, std::move(image), limits));
  return root_of(at);
}

Result<> Disks::drop(const std::string& directory, Files files) {
  const std::string at = directory + "/disk";
  const auto found = disks_.find(at);
  if (found != disks_.end()) {
    Disk disk = std::move(found->second);
    disks_.erase(found);
    if (disk.mechanism == DiskMechanism::quota) {
      BULKHEAD_TRY(lift_project(disk.root.get(), disk.project));
    } else {
      disk.root.reset();
      BULKHEAD_TRY(unmount(at));
    }
  }
  if (files == Files::keep || !exists(directory)) return {};
  // Also of another boot, and of a launcher before us.
  BULKHEAD_ASSIGN(const auto names, list_directory(directory));
  for (const std::string& name : names)
    if (is_disk_image(name) && ::unlink((directory + "/" + name).c_str()) != 0)
      return errno_error("remove", directory + "/" + name);
  return {};
}

std::optional<DiskUsage> Disks::usage(const std::string& disk) const {
  const auto found = disks_.find(disk);
  if (found == disks_.end()) return std::nullopt;
  const Disk& d = found->second;
  const auto usage = d.mechanism == DiskMechanism::quota ? project_usage(d.root.get(), d.project)
                                                         : disk_image_usage(d.root.get(), d.limits);
  return usage ? std::optional(*usage) : std::nullopt;
}

// And not another directory of that name, made after the disk's was removed.
bool Disks::is_attached(const std::string& disk) const {
  const auto found = disks_.find(disk);
  struct stat known{}, there{};
  return found != disks_.end() && ::fstat(found->second.root.get(), &known) == 0 &&
         ::lstat(disk.c_str(), &there) == 0 && known.st_dev == there.st_dev && known.st_ino == there.st_ino;
}

Result<> Disks::unmount(const std::string& path) {
  BULKHEAD_ASSIGN(Unmounter unmounter, unmount_apart(path));
  if (!watch(unmounter.pidfd.get())) {
    reap_unmounter(unmounter);  // waited for instead
    return {};
  }
  unmounters_.push_back(std::move(unmounter));
  return {};
}

Result<> Disks::watch(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return errno_error("watch descriptor");
  return {};
}

void Disks::on_event() {
  epoll_event events[16];
  const int count = ::epoll_wait(epoll_.get(), events, 16, 0);
  for (int i = 0; i < count; ++i) {
    const int fd = events[i].data.fd;
    if (making_ && making_->maker.fd() == fd) {
      if (!finish_making()) ahead_.reset();  // whoever needs the next one is told why not
      continue;
    }
    std::erase_if(unmounters_, [&](const Unmounter& unmounter) {
      if (unmounter.pidfd.get() != fd) return false;
      reap_unmounter(unmounter);
      return true;
    });
  }
}

bool Disks::wants_spare() const {
  return ahead_ && forms_.contains(*ahead_) && !making_ && spares_of(*ahead_) < kSpares;
}

void Disks::make_spare() {
  if (spares_.size() >= kMostSpares) spares_.pop_front();  // of a size that nobody asked for lately
  if (!begin_making(*ahead_) || !watch(making_->maker.fd())) ahead_.reset();
}

void Disks::end() {
  making_.reset();
  spares_.clear();
  for (auto& [at, disk] : disks_) {
    disk.root.reset();
    if (disk.mechanism == DiskMechanism::image) (void)unmount(at);
  }
  disks_.clear();
  for (const Unmounter& unmounter : unmounters_) reap_unmounter(unmounter);
  unmounters_.clear();
}

}  // namespace bulkhead
