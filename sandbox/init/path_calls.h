// The system calls with paths that a learning sandbox tells init of: shared by the filter that tells (sandbox/spec) and
// by init, which answers them with "continue". Newer
// architectures have not the old calls.
#pragma once

#include <sys/syscall.h>

namespace bulkhead {

enum class PathUse : unsigned char {
  look,         // finds out or reads
  open_flags,   // open(2) flags in the argument behind the path say whether it writes
  open_how,     // openat2(2): flags are in memory, behind the pointer in the argument behind the path
  write,        // changes what has the name, or makes it
  make,         // makes a directory: one that is there is no matter
  replace,      // gives the name to something else
  remove,       // takes the name away
  socket_name,  // connect(2): a sockaddr
};

struct PathCall {
  int number;
  const char* name;
  int directory;  // which argument is the directory's descriptor; -1: none
  int path;       // which argument is the path
  PathUse use;
};

inline constexpr PathCall kPathCalls[] = {
#ifdef SYS_open
    {SYS_open, "open", -1, 0, PathUse::open_flags},
    {SYS_creat, "creat", -1, 0, PathUse::write},
    {SYS_stat, "stat", -1, 0, PathUse::look},
    {SYS_lstat, "lstat", -1, 0, PathUse::look},
    {SYS_access, "access", -1, 0, PathUse::look},
    {SYS_mkdir, "mkdir", -1, 0, PathUse::make},
    {SYS_rmdir, "rmdir", -1, 0, PathUse::remove},
    {SYS_unlink, "unlink", -1, 0, PathUse::remove},
    {SYS_rename, "rename", -1, 1, PathUse::replace},
#endif
    {SYS_openat, "openat", 0, 1, PathUse::open_flags},
    {SYS_openat2, "openat2", 0, 1, PathUse::open_how},
    {SYS_execve, "execve", -1, 0, PathUse::look},
    {SYS_execveat, "execveat", 0, 1, PathUse::look},
    {SYS_newfstatat, "newfstatat", 0, 1, PathUse::look},
    {SYS_statx, "statx", 0, 1, PathUse::look},
    {SYS_faccessat, "faccessat", 0, 1, PathUse::look},
    {SYS_faccessat2, "faccessat2", 0, 1, PathUse::look},
    {SYS_mkdirat, "mkdirat", 0, 1, PathUse::make},
    {SYS_unlinkat, "unlinkat", 0, 1, PathUse::remove},
    {SYS_renameat2, "renameat2", 2, 3, PathUse::replace},
    {SYS_truncate, "truncate", -1, 0, PathUse::write},
    {SYS_chdir, "chdir", -1, 0, PathUse::look},
    {SYS_connect, "connect", -1, 1, PathUse::socket_name},
};

}  // namespace bulkhead
