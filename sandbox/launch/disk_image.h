// A disk as a file: a sparse file that holds an ext4 of exactly the size and the inodes that a policy gives, on a loop
// device, mounted. The file is written by mke2fs and by the kernel, and by nobody else: what the kernel mounts is never
// what an agent could write raw.
//
// Nothing has to be cleared away by us. The device goes with its last mount (LO_FLAGS_AUTOCLEAR), the mounts with the
// launcher's namespace; a file that has no name yet goes with them.
//
// A disk lives for one boot. It has no journal and passes no barrier on, which makes it fast; after a power failure it
// may be torn, so its name carries the boot's id and one of another boot is never mounted again.
//
// loop(4), ext4(5), mke2fs(8), linux/loop.h.
#pragma once

#include <string>

#include "sandbox/base/result.h"
#include "sandbox/launch/disk.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

struct DiskImage {
  Fd file;   // locked as long as it, or the device that reads it, is open anywhere
  Fd mount;  // detached
};

// The image of the disk that stands in `directory`, in this boot.
std::string disk_image_path(const std::string& directory);
// Whether `name` is that of a disk's image, of any boot.
bool is_disk_image(const std::string& name);

// How many inodes it has: mke2fs rounds up to whole blocks of them in each group of blocks, so we round down before.
// Never more than `limits` gives, where that is one for each 4Mi at least, which a policy must.
std::uint64_t disk_image_inodes(const DiskLimits& limits);

// An empty file system of `limits` in `file`, which is empty too. mke2fs runs as nobody, and sees nothing but the file.
// Blocks for its tens of milliseconds.
Result<> format_disk(int file, const DiskLimits& limits);

// The name that loop devices of a state directory's disks get (lo_file_name): it stays, when the file's path is of no
// namespace any more.
std::string disk_owner(const std::string& state_dir);

// A mounted copy of `form`, an image that is not mounted; without a name, in `directory`'s file system.
Result<DiskImage> new_disk_image(int form, const std::string& directory, const std::string& owner);
// An image that was used before. EWOULDBLOCK while it still is.
Result<DiskImage> mount_disk_image(const std::string& path, const std::string& owner);

// Of the file system mounted at the open directory `root`.
Result<DiskUsage> disk_image_usage(int root, const DiskLimits& limits);

}  // namespace bulkhead
