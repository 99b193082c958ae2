#include "sandbox/launch/bounded_disks.h"

#include <fcntl.h>
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
constexpr std::chrono::seconds kWorthTelling{10};  // who asked for it asks again long before

Result<Fd> root_of(const std::string& at) { return open_file(at, O_PATH | O_DIRECTORY | O_NOFOLLOW); }

// A bound outlives the launcher that set it; an image's mount does not.
Result<> lift_of_forerunner(const std::string& at) {
  const auto root = open_file(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!root) return root.error().code == ENOENT ? Result<>() : std::unexpected(root.error());
  BULKHEAD_ASSIGN(const std::uint32_t project, project_of(root->get()));
  return is_project_of_ours(project) ? lift_project(root->get(), project) : Result<>();
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

Result<DiskMechanism> Disks::mechanism() {
  if (!mechanism_) {
    BULKHEAD_ASSIGN(const Fd state, open_file(state_, O_RDONLY | O_DIRECTORY));
    mechanism_ = enforces_project_quota(state.get()) ? DiskMechanism::quota : DiskMechanism::image;
  }
  return *mechanism_;
}

Result<DiskMechanism> Disks::prepare(const DiskLimits& limits) {
  BULKHEAD_ASSIGN(const DiskMechanism how, mechanism());
  if (how == DiskMechanism::quota) return how;
  const auto failed = std::exchange(failed_, std::nullopt);
  if (failed && failed->limits == limits && Clock::now() - failed->when < kWorthTelling)
    return std::unexpected(failed->why);
  if (exists(form_of(limits))) {
    ahead_ = limits;
    if (wants_spare()) make_spare();
    return how;
  }
  if (!making_) {
    BULKHEAD_TRY(begin_making(limits));
    BULKHEAD_TRY(watch(making_->maker.fd()));
  }
  return errno_error("make disk", form_of(limits), EINPROGRESS);
}

std::string Disks::form_of(const DiskLimits& limits) const {
  static const std::string boot = boot_id();
  return state_ + "/disks/" + boot + "-" + std::to_string(limits.bytes) + "-" + std::to_string(limits.inodes) + ".img";
}

// One at a time: a second one asked for meanwhile waits for the first. That one may be of another size: if it cannot be
// made, whoever needs it is told why when it asks.
Result<> Disks::begin_making(const DiskLimits& limits) {
  if (making_ && !finish_making()) ahead_.reset();
  BULKHEAD_TRY(make_directory(state_ + "/disks", 0700));
  BULKHEAD_ASSIGN(DiskMaker maker, DiskMaker::start(form_of(limits), limits, disk_owner(state_)));
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
  ahead_ = limits;
  if (spares_of(limits) == 0) {
    if (!making_ || making_->limits != limits) BULKHEAD_TRY(begin_making(limits));
    BULKHEAD_TRY(finish_making());
  }
  const auto found = std::ranges::find_if(spares_, [&](const Spare& spare) { return spare.limits == limits; });
  DiskImage image = std::move(found->image);
  spares_.erase(found);
  return image;
}

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
    BULKHEAD_ASSIGN(DiskImage image, mount_disk_image(path, disk_owner(state_)));
    struct stat st{};
    if (::fstat(image.file.get(), &st) != 0) return errno_error("stat", path);
    BULKHEAD_TRY(place(at, std::move(image), {.bytes = static_cast<std::uint64_t>(st.st_size), .inodes = 0}));
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

Result<> Disks::check_place(const std::string& directory) const {
  if (directory.starts_with(state_ + "/") && !(directory + "/").contains("/../")) return {};
  return fail("use disk", directory, "is not below the state directory");
}

Result<Fd> Disks::attach(const std::string& directory, std::uint32_t range, const DiskLimits& limits) {
  BULKHEAD_TRY(check_place(directory));
  const std::string at = directory + "/disk";
  if (is_attached(at)) return root_of(at);
  disks_.erase(at);  // somebody removed it from under us
  if (limits.bytes == 0 || exists(disk_image_path(directory))) return attach_existing(directory, at);
  BULKHEAD_ASSIGN(const DiskMechanism how, mechanism());
  BULKHEAD_TRY(make_directory(at, 0711));
  if (::chmod(at.c_str(), 0711) != 0) return errno_error("chmod", at);
  if (::lchown(at.c_str(), 0, range) != 0) return errno_error("chown", at);
  if (how == DiskMechanism::quota) {
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
  BULKHEAD_TRY(check_place(directory));
  BULKHEAD_TRY(detach(directory + "/disk"));
  if (files == Files::keep || !exists(directory)) return {};
  // Also of another boot, and of a launcher before us.
  BULKHEAD_ASSIGN(const auto names, list_directory(directory));
  for (const std::string& name : names)
    if (is_disk_image(name) && ::unlink((directory + "/" + name).c_str()) != 0)
      return errno_error("remove", directory + "/" + name);
  return {};
}

// It is forgotten once it is done: what failed is asked for again.
Result<> Disks::detach(const std::string& at) {
  const auto found = disks_.find(at);
  if (found == disks_.end()) return lift_of_forerunner(at);
  Disk& disk = found->second;
  if (disk.mechanism == DiskMechanism::quota) {
    BULKHEAD_TRY(lift_project(disk.root.get(), disk.project));
  } else if (is_attached(at)) {  // else it went with a directory that somebody removed
    disk.root.reset();           // its last user must not be us
    if (auto unmounted = unmount(at); !unmounted) {
      if (auto root = root_of(at)) disk.root = std::move(*root);
      return unmounted;
    }
  }
  disks_.erase(found);
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
  BULKHEAD_ASSIGN(auto unmounter, unmount_apart(path));
  look_after(std::move(unmounter));
  return {};
}

void Disks::look_after(std::optional<Unmounter> unmounter) {
  if (!unmounter) return;
  if (watch(unmounter->pidfd.get()))
    unmounters_.push_back(std::move(*unmounter));
  else
    reap_unmounter(*unmounter);  // waited for instead
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
      const DiskLimits limits = making_->limits;
      if (auto made = finish_making(); !made) {  // whoever needs the next one is told why not
        ahead_.reset();
        failed_ = {.limits = limits, .why = std::move(made).error(), .when = Clock::now()};
      }
      continue;
    }
    std::erase_if(unmounters_, [&](const Unmounter& unmounter) {
      if (unmounter.pidfd.get() != fd) return false;
      reap_unmounter(unmounter);
      return true;
    });
  }
}

bool Disks::wants_spare() const { return ahead_ && !making_ && spares_of(*ahead_) < kSpares; }

void Disks::make_spare() {
  if (spares_.size() >= kMostSpares) {
    // The oldest of a size that nobody asked for lately.
    const auto old = std::ranges::find_if(spares_, [&](const Spare& spare) { return spare.limits != *ahead_; });
    std::vector<Fd> held;
    held.push_back(std::move(old->image.mount));
    held.push_back(std::move(old->image.file));
    spares_.erase(old);
    look_after(close_apart(std::move(held)));
  }
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
