// Asked inside a sandbox: what of the kernel is reachable from here? Prints one `key<TAB>answer` a line. Static, so
// that it runs in any root. Changes nothing that outlives it: files of the kernel are opened for writing and closed,
// never written; a changed hostname is put back; children are its own.
//
//   probe                 all questions but the two below
//   probe memory MIB      allocates and touches so much, then says that nothing stopped it
//   probe pids N          forks so many children that wait, then says how many there were
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static void say(const char* key, const char* answer) {
  printf("%s\t%s\n", key, answer);
  fflush(stdout);
}

static const char* why(int code) {
  const char* name = strerrorname_np(code);
  return name != NULL ? name : "refused";
}

static void opens_for_writing(const char* key, const char* path) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
  const int code = errno;
  say(key, fd >= 0 ? "OPEN" : why(code));
  if (fd >= 0) close(fd);
}

static void opens_for_reading(const char* key, const char* path) {
  char byte;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  const int code = errno;
  if (fd < 0) return say(key, why(code));
  // An empty file mounted over it is there and says nothing.
  say(key, read(fd, &byte, 1) == 1 ? "READ" : "empty");
  close(fd);
}

static int runs_in_child(int (*what)(void)) {  // 0, or the errno; 255: killed
  const pid_t child = fork();
  if (child < 0) return errno;
  if (child == 0) _exit(what());
  int status = 0;
  if (waitpid(child, &status, 0) != child) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void allowed(const char* key, int (*what)(void)) {
  const int code = runs_in_child(what);
  say(key, code == 0 ? "ALLOWED" : code == 255 ? "killed" : why(code));
}

static int new_user_namespace(void) { return unshare(CLONE_NEWUSER) == 0 ? 0 : errno; }

static int ring(void) {
  char parameters[120] = {0};  // struct io_uring_params
  return syscall(SYS_io_uring_setup, 1, parameters) >= 0 ? 0 : errno;
}

// Into a terminal of its own: whether the call is there, not whether it reaches ours.
static int terminal_injection(void) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0) return errno;
  int number = -1;
  const int unlock = 0;
  char name[32];
  if (ioctl(master, TIOCSPTLCK, &unlock) != 0 || ioctl(master, TIOCGPTN, &number) != 0) return errno;
  snprintf(name, sizeof name, "/dev/pts/%d", number);
  setsid();
  const int terminal = open(name, O_RDWR);
  if (terminal < 0) return errno;
  ioctl(terminal, TIOCSCTTY, 0);
  return ioctl(terminal, TIOCSTI, "x") == 0 ? 0 : errno;
}

static int keys(void) {
  return syscall(SYS_add_key, "user", "bulkhead-probe", "x", (size_t)1, KEY_SPEC_PROCESS_KEYRING) >= 0 ? 0 : errno;
}

static int trace_sibling(void) {
  int ready[2];
  char byte;
  if (pipe(ready) != 0) return errno;
  const pid_t sibling = fork();
  if (sibling < 0) return errno;
  if (sibling == 0) {
    close(ready[1]);
    read(ready[0], &byte, 1);
    _exit(0);
  }
  const int code = ptrace(PTRACE_ATTACH, sibling, NULL, NULL) == 0 ? 0 : errno;
  kill(sibling, SIGKILL);
  waitpid(sibling, NULL, 0);
  return code;
}

static int mount_tmpfs(void) {
  if (unshare(CLONE_NEWNS) != 0) return errno;  // of its own, so that the caller's mounts stay
  if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return errno;
  return mount("none", "/proc", "tmpfs", 0, NULL) == 0 ? 0 : errno;
}

static int bpf_call(void) {
  char attributes[128] = {0};
  attributes[0] = 2, attributes[4] = 4, attributes[8] = 4, attributes[12] = 1;  // an array map of one element
  return syscall(SYS_bpf, 0, attributes, sizeof attributes) >= 0 ? 0 : errno;
}

// No process is told of its Landlock layers, but there can be 16: what is left of them says how many there are.
static int layers_left(void) {
  const struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SOCK};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 128 + errno;
  const int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules.handled_access_fs, 0);
  if (fd < 0) return 128 + errno;
  int left = 0;
  while (left < 64 && syscall(SYS_landlock_restrict_self, fd, 0) == 0) ++left;
  return left == 0 ? 128 + errno : left;
}

static void landlock_layers(void) {
  const int answer = runs_in_child(layers_left);
  char text[32];
  if (answer >= 128) return say("landlock", why(answer - 128));
  snprintf(text, sizeof text, answer == 15 ? "%d layer" : "%d layers", 16 - answer);
  say("landlock", answer == 16 ? "none" : text);
}

// The host sees the change only where this is the host's UTS namespace: the caller looks, and this puts it back.
static void hostname(void) {
  char before[65] = "", line[8];
  gethostname(before, sizeof before - 1);
  if (getenv("PROBE_HOSTNAME") == NULL) return;
  const int code = sethostname("bulkhead-probe", 14) == 0 ? 0 : errno;
  say("hostname", code == 0 ? "SET" : why(code));
  if (code != 0) return;
  if (fgets(line, sizeof line, stdin) == NULL) line[0] = 0;  // the caller has looked
  sethostname(before, strlen(before));
}

static void from_status(void) {
  char line[256];
  FILE* file = fopen("/proc/self/status", "re");
  if (file == NULL) return say("status", why(errno));
  while (fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = 0;
    char* value = strchr(line, '\t');
    if (value == NULL) continue;
    *value++ = 0;
    char text[16];
    if (strncmp(line, "Cap", 3) == 0) {
      snprintf(text, sizeof text, "%d", __builtin_popcountll(strtoull(value, NULL, 16)));
      if (strcmp(line, "CapEff:") == 0) say("capabilities", text);
      if (strcmp(line, "CapBnd:") == 0) say("bounding_set", text);
    }
    if (strcmp(line, "Seccomp:") == 0) say("seccomp", value[0] == '2' ? "filter" : value);
    if (strcmp(line, "NoNewPrivs:") == 0) say("no_new_privs", value);
  }
  fclose(file);
}

static void identity(void) {
  char line[128] = "";
  FILE* file = fopen("/proc/self/uid_map", "re");
  unsigned long inside = 0, outside = 0, length = 0;
  int maps_root = 0;
  if (file == NULL) return say("host_root", why(errno));
  while (fgets(line, sizeof line, file) != NULL)
    if (sscanf(line, "%lu %lu %lu", &inside, &outside, &length) == 3 && outside == 0) maps_root = 1;
  fclose(file);
  char text[64];
  snprintf(text, sizeof text, "%d", (int)getuid());
  say("uid_inside", text);
  say("host_root", maps_root ? "MAPPED" : "not mapped");
}

// A setuid bit that would be honoured: some file system that can be executed from does not say nosuid, and no_new_privs
// is off. The root stands for it.
static void setuid_files(void) {
  struct statvfs root;
  if (statvfs("/usr", &root) != 0 && statvfs("/", &root) != 0) return say("setuid", why(errno));
  const int off = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || (root.f_flag & ST_NOSUID) != 0;
  say("setuid", off ? "ignored" : "HONOURED");
}

static void descriptors(void) {
  char text[256] = "";
  int count = 0;
  for (int fd = 3; fd < 1024; ++fd)
    if (fcntl(fd, F_GETFD) >= 0) ++count;
  snprintf(text, sizeof text, "%d", count);
  say("descriptors", text);
}

static void namespaces(void) {
  static const char* const kinds[] = {"net", "pid", "mnt", "ipc", "uts", "cgroup", "user"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; ++i) {
    char path[40], target[64] = "", key[24];
    snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
    snprintf(key, sizeof key, "ns_%s", kinds[i]);
    const ssize_t length = readlink(path, target, sizeof target - 1);
    say(key, length > 0 ? target : why(errno));
  }
}

static int use_memory(size_t mib) {
  for (size_t i = 0; i < mib; ++i) {
    char* page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
      say("memory", why(errno));
      return 0;
    }
    memset(page, 1, 1 << 20);
  }
  say("memory", "NOT LIMITED");
  return 0;
}

static int use_pids(int wanted) {
  int hold[2], count = 0;
  char byte, text[32];
  if (pipe(hold) != 0) return 1;
  for (; count < wanted; ++count) {
    const pid_t child = fork();
    if (child < 0) break;
    if (child == 0) {
      close(hold[1]);
      read(hold[0], &byte, 1);
      _exit(0);
    }
  }
  snprintf(text, sizeof text, count == wanted ? "NOT LIMITED" : "stopped at %d", count);
  say("pids", text);
  close(hold[1]);
  while (wait(NULL) > 0) continue;
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "memory") == 0) return use_memory((size_t)atoi(argv[2]));
  if (argc == 3 && strcmp(argv[1], "pids") == 0) return use_pids(atoi(argv[2]));
  descriptors();  // before any is opened
  identity();
  from_status();
  namespaces();
  setuid_files();
  opens_for_writing("core_pattern", "/proc/sys/kernel/core_pattern");
  opens_for_writing("sysrq", "/proc/sysrq-trigger");
  opens_for_writing("uevent_helper", "/sys/kernel/uevent_helper");
  opens_for_reading("kcore", "/proc/kcore");
  opens_for_reading("keys_of_all", "/proc/keys");
  opens_for_reading("kernel_log", "/dev/kmsg");
  opens_for_reading("shadow", "/etc/shadow");
  allowed("user_namespace", new_user_namespace);
  allowed("io_uring", ring);
  allowed("TIOCSTI", terminal_injection);
  allowed("keyctl", keys);
  allowed("ptrace", trace_sibling);
  allowed("mount", mount_tmpfs);
  allowed("bpf", bpf_call);
  landlock_layers();
  hostname();
  return 0;
}
