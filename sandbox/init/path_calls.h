// The system calls that an observed sandbox tells init of: shared by the filter that tells (sandbox/spec) and by init,
// which answers them with "continue". Newer architectures have not the old calls.
#pragma once

#include <sys/syscall.h>

namespace bulkhead {

enum class PathUse : unsigned char {
  look,          // finds out
  look_link,     // the same of a link itself
  look_at,       // the same; AT_SYMLINK_NOFOLLOW in the argument behind the path says of which
  look_at_2,     // or in the one behind that
  open_flags,    // open(2) flags in the argument behind the path say whether it writes
  open_how,      // openat2(2): flags are in memory, behind the pointer in the argument behind the path
  execute,       // runs it
  write,         // changes what has the name, or makes it
  make,          // makes it: one that is there is no matter
  make_node,     // mknod(2): the mode behind the path says whether it is a device
  replace,       // gives the name to something else
  remove,        // takes the name away
  connect_name,  // a sockaddr, its length in the argument behind
  bind_name,
  send_name,  // sendto(2); told of only where there is a name
};

struct PathCall {
  int number;
  const char* name;
  int directory;  // which argument is the directory's descriptor; -1: none
  int path;       // which argument is the path
  PathUse use;
  // Of calls with two paths, the other one.
  int from_directory = -1;
  int from = -1;
  PathUse from_use = PathUse::look;
};

inline constexpr PathCall kPathCalls[] = {
#ifdef SYS_open
    {SYS_open, "open", -1, 0, PathUse::open_flags},
    {SYS_creat, "creat", -1, 0, PathUse::write},
    {SYS_stat, "stat", -1, 0, PathUse::look},
    {SYS_lstat, "lstat", -1, 0, PathUse::look_link},
    {SYS_access, "access", -1, 0, PathUse::look},
    {SYS_mkdir, "mkdir", -1, 0, PathUse::make},
    {SYS_mknod, "mknod", -1, 0, PathUse::make_node},
    {SYS_rmdir, "rmdir", -1, 0, PathUse::remove},
    {SYS_unlink, "unlink", -1, 0, PathUse::remove},
    {SYS_symlink, "symlink", -1, 1, PathUse::make},
    {SYS_link, "link", -1, 1, PathUse::make, -1, 0, PathUse::look_link},
    {SYS_rename, "rename", -1, 1, PathUse::replace, -1, 0, PathUse::remove},
#endif
#ifdef SYS_renameat
    {SYS_renameat, "renameat", 2, 3, PathUse::replace, 0, 1, PathUse::remove},
#endif
    {SYS_openat, "openat", 0, 1, PathUse::open_flags},
    {SYS_openat2, "openat2", 0, 1, PathUse::open_how},
    {SYS_execve, "execve", -1, 0, PathUse::execute},
    {SYS_execveat, "execveat", 0, 1, PathUse::execute},
    {SYS_newfstatat, "newfstatat", 0, 1, PathUse::look_at_2},
    {SYS_statx, "statx", 0, 1, PathUse::look_at},
    {SYS_faccessat, "faccessat", 0, 1, PathUse::look},
    {SYS_faccessat2, "faccessat2", 0, 1, PathUse::look_at_2},
    {SYS_mkdirat, "mkdirat", 0, 1, PathUse::make},
    {SYS_mknodat, "mknodat", 0, 1, PathUse::make_node},
    {SYS_unlinkat, "unlinkat", 0, 1, PathUse::remove},
    {SYS_symlinkat, "symlinkat", 1, 2, PathUse::make},
    {SYS_linkat, "linkat", 2, 3, PathUse::make, 0, 1, PathUse::look_link},
    {SYS_renameat2, "renameat2", 2, 3, PathUse::replace, 0, 1, PathUse::remove},
    {SYS_truncate, "truncate", -1, 0, PathUse::write},
    {SYS_chdir, "chdir", -1, 0, PathUse::look},
    {SYS_connect, "connect", -1, 1, PathUse::connect_name},
    {SYS_bind, "bind", -1, 1, PathUse::bind_name},
};

// Told of only with some arguments, see compile_learning().
inline constexpr PathCall kSendTo{SYS_sendto, "sendto", -1, 4, PathUse::send_name};

}  // namespace bulkhead
