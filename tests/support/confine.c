// Runs a command the way a stricter container would: below a system call filter that refuses some calls, below somebody
// who listens to system calls, with capabilities taken away, or in a user namespace of its own.
//
//   confine [--ids COUNT [--none-below]] [--deny CALL[,CALL…]] [--listen] [--drop CAPABILITY-NUMBER] -- COMMAND…
//
// --ids: in a user and a mount namespace of its own, in which the ids 0 to COUNT-1 are mapped to themselves; with
// --none-below no user namespace can be made there.
//
// Refused calls answer EPERM, clone3 and those written CALL=ENOSYS as if the kernel had them not. With --listen the
// listener stays with confine, which waits for the command and ends with its status. Static: it must run where nothing
// else of the build's is.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
  const char* name;
  int number;
} calls[] = {{"unshare", SYS_unshare},
             {"clone3", SYS_clone3},
             {"setns", SYS_setns},
             {"keyctl", SYS_keyctl},
             {"mount", SYS_mount},
             {"fsopen", SYS_fsopen},
             {"open_tree", SYS_open_tree},
             {"move_mount", SYS_move_mount},
             {"pivot_root", SYS_pivot_root},
             {"landlock_create_ruleset", SYS_landlock_create_ruleset},
             {"landlock_restrict_self", SYS_landlock_restrict_self}};

static void fail(const char* what) {
  fprintf(stderr, "confine: %s: %s\n", what, strerror(errno));
  exit(125);
}

static int number_of(const char* name) {
  for (size_t i = 0; i < sizeof calls / sizeof *calls; ++i)
    if (strcmp(calls[i].name, name) == 0) return calls[i].number;
  errno = EINVAL;
  fail(name);
  return -1;
}

static int load(struct sock_filter* code, size_t length, unsigned flags) {
  struct sock_fprog program = {(unsigned short)length, code};
  const long done = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (done < 0) fail("seccomp");
  return (int)done;
}

// One call answered with `verdict`, all others allowed.
static int load_for(int number, unsigned verdict, unsigned flags) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, verdict),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  return load(code, sizeof code / sizeof *code, flags);
}

static void drop(int capability) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) fail("drop from the bounding set");
  if (syscall(SYS_capget, &header, data) != 0) fail("capget");
  const unsigned bit = 1U << (capability % 32);
  data[capability / 32].effective &= ~bit;
  data[capability / 32].permitted &= ~bit;
  data[capability / 32].inheritable &= ~bit;
  if (syscall(SYS_capset, &header, data) != 0) fail("capset");
}

// Written by a process that stays outside: one inside may map no more than itself.
static void enter_user_namespace(unsigned long count) {
  int made[2];
  char byte = 0, path[64], line[64];
  const pid_t own = getpid();
  if (pipe(made) != 0) fail("pipe");
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    if (read(made[0], &byte, 1) != 1) _exit(1);
    snprintf(line, sizeof line, "0 0 %lu\n", count);
    for (int i = 0; i < 2; ++i) {
      snprintf(path, sizeof path, "/proc/%d/%s", own, i == 0 ? "uid_map" : "gid_map");
      FILE* map = fopen(path, "w");
      if (map == NULL || fputs(line, map) < 0 || fclose(map) != 0) fail(path);
    }
    _exit(0);
  }
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) fail("unshare");
  if (write(made[1], "x", 1) != 1) fail("write");
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0) exit(125);
  close(made[0]);
  close(made[1]);
}

static void forbid_below(void) {
  FILE* most = fopen("/proc/sys/user/max_user_namespaces", "w");
  if (most == NULL || fputs("0", most) < 0 || fclose(most) != 0) fail("max_user_namespaces");
}

int main(int argc, char** argv) {
  int listen = 0, at = 1;
  for (; at < argc && strcmp(argv[at], "--") != 0; ++at) {
    if (strcmp(argv[at], "--listen") == 0) {
      listen = 1;
    } else if (strcmp(argv[at], "--ids") == 0 && at + 1 < argc) {
      enter_user_namespace(strtoul(argv[++at], NULL, 10));
    } else if (strcmp(argv[at], "--none-below") == 0) {
      forbid_below();
    } else if (strcmp(argv[at], "--drop") == 0 && at + 1 < argc) {
      drop(atoi(argv[++at]));
    } else if (strcmp(argv[at], "--deny") == 0 && at + 1 < argc) {
      char* rest = argv[++at];
      for (char* name = strtok(rest, ","); name != NULL; name = strtok(NULL, ",")) {
        char* answer = strchr(name, '=');
        if (answer != NULL && strcmp(answer, "=ENOSYS") != 0) {
          errno = EINVAL;
          fail(name);
        }
        if (answer != NULL) *answer = '\0';
        // With EPERM for clone3 no C library starts a process any more: container runtimes answer ENOSYS.
        const int absent = answer != NULL || strcmp(name, "clone3") == 0;
        load_for(number_of(name), SECCOMP_RET_ERRNO | (absent ? ENOSYS : EPERM), 0);
      }
    } else {
      errno = EINVAL;
      fail(argv[at]);
    }
  }
  if (at + 1 >= argc) {
    errno = EINVAL;
    fail("no command");
  }
  if (!listen) {
    execvp(argv[at + 1], argv + at + 1);
    fail(argv[at + 1]);
  }
  // A call that nobody makes: that there is a listener is the point.
  load_for(SYS_lookup_dcookie, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
  const pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    execvp(argv[at + 1], argv + at + 1);  // the listener closes at the exec
    fail(argv[at + 1]);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
