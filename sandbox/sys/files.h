// Files and directories as Results. Nothing here follows a link in its last component unless it says so.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/base/result.h"
#include "sandbox/sys/fd.h"

namespace bulkhead {

// O_CLOEXEC is always added. `mode` for O_CREAT.
Result<Fd> open_file(const std::string& path, int flags, mode_t mode = 0);
// openat2(2) below `dir`: no `..` out of it, no symbolic link anywhere, no magic link.
Result<Fd> open_beneath(int dir, const std::string& path, int flags, mode_t mode = 0);

// The whole file, at most `limit` bytes (more is an error). For kernel files and files of our own.
Result<std::string> read_file(const std::string& path, std::size_t limit = 16u << 20);
Result<std::string> read_fd(int fd, std::size_t limit = 16u << 20);
// One write(2) to an existing file, as kernel interfaces want it.
Result<> write_kernel_file(const std::string& path, std::string_view text);
// Creates or replaces atomically: temporary file, fsync, rename, fsync of the directory.
Result<> write_file_atomic(const std::string& path, std::string_view content, mode_t mode = 0600);

// mkdir -p for the last `path` component only; an existing directory is fine, anything else there is an error.
Result<> make_directory(const std::string& path, mode_t mode);
// Every missing component, with `mode`.
Result<> make_directories(const std::string& path, mode_t mode);
bool exists(const std::string& path);                                      // lstat
Result<std::vector<std::string>> list_directory(const std::string& path);  // sorted, without . and ..
// Removes a tree in which nothing of an agent lives any more, however deep: no link is followed, no mount is crossed.
Result<> remove_tree(const std::string& path);

Result<Fd> make_memfd(const char* name, std::string_view content);  // sealed: no write, grow, shrink or further seal

std::string boot_id();                                // /proc/sys/kernel/random/boot_id
Result<std::uint64_t> process_start_time(pid_t pid);  // clock ticks since boot: field 22 of proc_pid_stat(5)

}  // namespace bulkhead
