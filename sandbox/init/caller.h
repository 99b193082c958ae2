// What can be told of a process that waits in a system call for init's answer. No allocation; part of the static init.
#pragma once

#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>

namespace bulkhead {

inline constexpr std::size_t kProcPathBytes = 64;
// "/proc/PID" and `rest`, which is short.
void proc_path(char (&path)[kProcPathBytes], unsigned pid, const char* rest);
// "/proc/PID/fd/N"
void proc_fd_path(char (&path)[kProcPathBytes], unsigned pid, int fd);

void read_name(unsigned pid, char (&name)[16]);  // as far as it can be read

// How much of its memory from `address` on could be read.
std::size_t read_memory(unsigned pid, std::uint64_t address, void* into, std::size_t size);

// Whether the kernel keeps us from reading it though it is no more than we are: ptrace(2), and not its own doing
// (PR_SET_DUMPABLE).
bool is_memory_closed(unsigned pid);

// Whether it sees another tree than we do: a root or a mount namespace of its own.
bool has_own_view(unsigned pid);

// Whether it has as many files open as our limit allows. Never where the kernel does not tell (before Linux 6.2).
bool is_out_of_files(unsigned pid);

// IPPROTO_TCP, IPPROTO_UDP, or 0: of its descriptor.
std::uint32_t socket_protocol(unsigned pid, int fd);

// Whether the call still waits: only then was all that was read its own, and no later process's of that pid.
bool still_waits(int listener, std::uint64_t id);

}  // namespace bulkhead
