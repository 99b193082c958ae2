// What init notes of an observed sandbox, and that observing changes nothing of what is refused.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>

#include "sandbox/explain/observed.h"
#include "sandbox/host/landlock_abi.h"
#include "tests/support/sandbox_fixture.h"

namespace bulkhead::test {
namespace {

using ::testing::HasSubstr;

class RootObserved : public RootSandboxTest {
 protected:
  struct Seen {
    ExitRecord record;
    Observed observed;
    std::string out;

    const Observation* find(InitSeen what, const std::string& path) const {
      for (const Observation& row : observed.rows)
        if (row.seen == what && row.path == path) return &row;
      return nullptr;
    }
  };

  Seen watch(std::vector<std::string> argv, const nlohmann::json& more = nlohmann::json::object()) {
    Placement place = placement();
    place.learn = true;
    return watch_plan(plan_for(spec_of(policy(more)), std::move(argv), place));
  }
  Seen watch_plan(Result<LaunchPlan> plan) {
    Seen seen;
    EXPECT_TRUE(plan) << plan.error().text();
    const Fd out = std::move(*open_file(scratch_ + "/out", O_RDWR | O_CREAT | O_TRUNC, 0600));
    const Fd notes(::memfd_create("notes", MFD_CLOEXEC));
    const LaunchRequest request{.id = "observed",
                                .plan = std::move(*plan),
                                .stdin_fd = -1,
                                .stdout_fd = out.get(),
                                .stderr_fd = out.get(),
                                .capture_output = true,
                                .learn_fd = notes.get()};
    const auto live = client_->launch(request);
    EXPECT_TRUE(live) << live.error().text();
    seen.record = client_->next_exit().value();
    EXPECT_TRUE(client_->acknowledge("observed"));
    seen.observed = read_observed(notes.get()).value();
    seen.out = read_file(scratch_ + "/out").value_or("");
    return seen;
  }
  Seen watch_sh(const std::string& script, const nlohmann::json& more = nlohmann::json::object()) {
    return watch({"/bin/sh", "-c", script}, more);
  }
};

TEST_F(RootObserved, RowsSayWhatMustComeOfACall) {
  const Seen seen = watch_sh("cat /var/none; cat /var/none; mkdir /new; echo >/usr/new; cat /proc/kallsyms; exit 7");
  EXPECT_EQ(seen.record.exit_code, 7);
  ASSERT_NE(seen.find(InitSeen::missing, "/var/none"), nullptr);
  EXPECT_EQ(seen.find(InitSeen::missing, "/var/none")->times, 2u);
  EXPECT_EQ(seen.find(InitSeen::missing, "/var/none")->who, "cat");
  EXPECT_NE(seen.find(InitSeen::unwritable, "/new"), nullptr);
  EXPECT_NE(seen.find(InitSeen::unwritable, "/usr/new"), nullptr);
  EXPECT_NE(seen.find(InitSeen::masked, "/proc/kallsyms"), nullptr);
}

TEST_F(RootObserved, WhatWorksIsNotNoted) {
  const Seen seen = watch_sh(
      "cd /tmp; echo x >a; mv a b; ln b c; mkdir d; rm c; cat b /etc/passwd /proc/self/status >/dev/null; rmdir d; "
      "cp /bin/true t && ./t; : </dev/null; test ! -e none/of/that");
  EXPECT_EQ(seen.record.exit_code, 0) << seen.out;
  for (const Observation& row : seen.observed.rows) {
    if (row.seen == InitSeen::missing) continue;  // places that a loader looks in
    ADD_FAILURE() << static_cast<int>(row.seen) << " " << row.path << " by " << row.call << " of " << row.who;
  }
}

TEST_F(RootObserved, RefusalsAreWhatTheyAreUnobserved) {
  const Seen seen = watch({"python3", "-c",
                           "import ctypes, errno, fcntl\n"
                           "libc = ctypes.CDLL(None, use_errno=True)\n"
                           "def call(*a): libc.syscall(*a); print(errno.errorcode[ctypes.get_errno()])\n"
                           "call(272, 0x40000000)\n"  // unshare
                           "call(250, 0, -3, 0)\n"    // keyctl
                           "for r in (0x5412, 0x541c, 0x5412 | 1 << 40):\n"
                           "  ctypes.set_errno(0); call(16, 0, ctypes.c_ulong(r), b'x')\n"});
  EXPECT_EQ(seen.out, "EPERM\nEPERM\nEPERM\nEPERM\nEPERM\n");
  EXPECT_EQ(seen.record.denials.size(), 2u);
}

// What a profile allows under conditions alone it refuses otherwise, also where the call is one that init lets go on,
// or one of init's own.
class RootConditions : public RootObserved {
 protected:
  // The default profile under a default that refuses with EPERM, `call` allowed under the condition alone.
  SandboxSpec conditional(const std::string& call, const nlohmann::json& condition) {
    nlohmann::json profile = read_json(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/default.json");
    profile["defaultAction"] = "SCMP_ACT_ERRNO";
    profile.erase("defaultErrnoRet");
    for (auto& rule : profile["syscalls"])
      for (auto name = rule["names"].begin(); name != rule["names"].end();)
        name = *name == call ? rule["names"].erase(name) : name + 1;
    std::erase_if(profile["syscalls"].get_ref<nlohmann::json::array_t&>(),
                  [](const nlohmann::json& rule) { return rule["names"].empty(); });
    profile["syscalls"].push_back({{"names", {call}}, {"action", "SCMP_ACT_ALLOW"}, {"args", {condition}}});
    return SandboxSpec::from_policy(apply_defaults(policy({{"limits", {{"wall", "5s"}}}})), {{"default", profile}})
        .value();
  }
};

TEST_F(RootConditions, ObservingLetsNothingOnThatTheProfileRefuses) {
  const SandboxSpec spec =
      conditional("openat", {{"index", 2}, {"value", O_ACCMODE}, {"valueTwo", O_RDONLY}, {"op", "SCMP_CMP_MASKED_EQ"}});
  for (const bool learn : {false, true}) {
    Placement place = placement();
    place.learn = learn;
    const Seen seen =
        watch_plan(plan_for(spec, {"/bin/sh", "-c", "cat /etc/passwd >&-; echo x >/tmp/f; cat /tmp/f"}, place));
    EXPECT_THAT(seen.out, HasSubstr("Operation not permitted")) << learn;
    EXPECT_THAT(seen.out, HasSubstr("/tmp/f: No such file")) << learn;
  }
}

TEST_F(RootConditions, InitDoesNotWaitForItself) {
  const SandboxSpec spec = conditional("prctl", {{"index", 0}, {"value", 15}, {"op", "SCMP_CMP_EQ"}});  // PR_SET_NAME
  for (const bool learn : {false, true}) {
    Placement place = placement();
    place.learn = learn;
    const Seen seen = watch_plan(plan_for(spec, {"/bin/true"}, place));
    EXPECT_EQ(seen.record.reason, EndReason::exited) << name(seen.record.reason);
    EXPECT_EQ(seen.record.exit_code, 125);  // it could not become undumpable
  }
}

// Init's listener is the command's alone: a further command is refused by the filter itself, and seen by nobody.
TEST_F(RootObserved, AFurtherCommandIsRefusedAsEverywhere) {
  Placement place = placement();
  place.learn = true;
  const Fd notes(::memfd_create("notes", MFD_CLOEXEC));
  const auto plan = plan_for(spec_of(policy()), {"sleep", "1000"}, place);
  ASSERT_TRUE(client_->launch({.id = "host", .plan = *plan, .learn_fd = notes.get()}));
  const Fd out = std::move(*open_file(scratch_ + "/out", O_RDWR | O_CREAT | O_TRUNC, 0600));
  const std::string calls =
      "import ctypes, errno, os\n"
      "libc = ctypes.CDLL(None, use_errno=True)\n"
      "def call(*a): libc.syscall(*a); print(errno.errorcode[ctypes.get_errno()])\n"
      "call(272, 0x40000000)\n"  // unshare
      "call(250, 0, -3, 0)\n"    // keyctl
      "print(os.path.exists('/usr'), os.path.exists('/none'))\n";
  ASSERT_TRUE(client_->exec("host", "guest", {"python3", "-c", calls}, {{"PATH", "/usr/bin:/usr/local/bin"}}, "/tmp",
                            -1, out.get(), out.get()));
  EXPECT_EQ(client_->next_exit()->exit_code, 0);
  EXPECT_EQ(read_file(scratch_ + "/out").value(), "EPERM\nEPERM\nTrue False\n");
  ASSERT_TRUE(client_->kill("host", EndReason::killed_by_request));
  EXPECT_EQ(client_->next_exit()->id, "host");
}

// Mounts let a whiteout be made where the sandbox writes, and it needs no capability (mknod(2)).
TEST_F(RootObserved, DeviceNodesAreLandlocksToRefuse) {
  if (host_.landlock_abi < landlock::kLeastAbi) GTEST_SKIP() << "no Landlock here";
  const std::string make =
      "import os\ntry: os.mknod('/tmp/d', 0o20600, 0); print('made')\nexcept OSError as e: print(e.strerror)";
  const Seen seen = watch({"python3", "-c", make});
  EXPECT_EQ(seen.out, "Permission denied\n");
  EXPECT_NE(seen.find(InitSeen::device_node, "/tmp/d"), nullptr);
  EXPECT_EQ(watch({"python3", "-c", make}, {{"allow", {"no-landlock"}}}).out, "made\n");
}

TEST_F(RootObserved, CallersMayDieWhileTheyAreLookedAt) {
  const Seen seen = watch_sh(
      "for i in 1 2 3 4 5 6 7 8; do (while :; do test -e /none; done) & all=\"$all $!\"; done; "
      "n=0; while [ $n -lt 200 ]; do n=$((n+1)); test -e /none/$n; done; kill -9 $all; wait; echo >/usr/last; exit 5");
  EXPECT_EQ(seen.record.exit_code, 5) << seen.out;
  EXPECT_NE(seen.find(InitSeen::unwritable, "/usr/last"), nullptr);
}

TEST_F(RootObserved, TheSandboxIsKilledWithItsCallsUnanswered) {
  const Seen seen = watch_sh("while :; do test -e /none; done", {{"limits", {{"wall", "300ms"}}}});
  EXPECT_EQ(seen.record.reason, EndReason::wall_time);
  EXPECT_NE(seen.find(InitSeen::missing, "/none"), nullptr);
}

// A dangling link is missing to who follows it alone.
TEST_F(RootObserved, LinksAreLookedAtAsTheCallLooksAtThem) {
  ASSERT_EQ(::symlink("/none/dangling", (scratch_ + "/link").c_str()), 0);
  ASSERT_EQ(::chmod(scratch_.c_str(), 0755), 0);
  const Seen seen = watch({"python3", "-c",
                           "import os\n"
                           "def attempt(f, *a, **b):\n"
                           "  try: f(*a, **b)\n"
                           "  except OSError as e: print(f.__name__, e.strerror)\n"
                           "os.lstat('/data/link'); os.readlink('/data/link')\n"
                           "os.symlink('/none/here', '/tmp/a'); os.lstat('/tmp/a'); os.link('/tmp/a', '/tmp/b', "
                           "follow_symlinks=False); os.rename('/tmp/b', '/tmp/c'); os.unlink('/tmp/c')\n"
                           "attempt(os.open, '/tmp/a', os.O_RDONLY | os.O_NOFOLLOW)\n"
                           "attempt(os.unlink, '/data/link')\n"
                           "attempt(os.mkdir, '/data/link')\n"},
                          {{"mounts", {{"/data", {{"source", scratch_}}}}}});
  EXPECT_EQ(seen.out, "open Too many levels of symbolic links\nunlink Read-only file system\nmkdir File exists\n");
  for (const char* path : {"/data/link", "/tmp/a", "/tmp/b", "/tmp/c"})
    EXPECT_EQ(seen.find(InitSeen::missing, path), nullptr) << path;
  ASSERT_NE(seen.find(InitSeen::unwritable, "/data/link"), nullptr);
  EXPECT_EQ(seen.find(InitSeen::unwritable, "/data/link")->times,
            1u);  // the unlink; the mkdir met a name that is there
  EXPECT_NE(watch_sh("ln -s /none/here /tmp/a; cat /tmp/a").find(InitSeen::missing, "/tmp/a"), nullptr);
}

TEST_F(RootObserved, NamesThatNoFileCanHaveAreNoDenials) {
  const Seen seen = watch({"python3", "-c",
                           "import os\n"
                           "for path in ('/usr/' + 'x' * 300 + '/y', '/usr/new'):\n"
                           "  try: os.open(path, os.O_CREAT | os.O_WRONLY)\n"
                           "  except OSError as e: print(e.strerror)\n"});
  EXPECT_EQ(seen.out, "File name too long\nRead-only file system\n");
  EXPECT_EQ(seen.find(InitSeen::unwritable, "/usr/" + std::string(300, 'x') + "/y"), nullptr);
  EXPECT_NE(seen.find(InitSeen::unwritable, "/usr/new"), nullptr);
}

TEST_F(RootObserved, RowsBeyondTheBoundAreToldOf) {
  const Seen seen = watch({"python3", "-c",
                           "import os\n"
                           "for i in range(4500):\n"
                           "  try: os.mkdir(f'/usr/{i}')\n"
                           "  except OSError: pass\n"
                           "for i in range(4500): os.path.exists(f'/none/{i}')\n"});
  EXPECT_TRUE(seen.observed.more);
  EXPECT_NE(seen.find(InitSeen::unwritable, "/usr/0"), nullptr);
}

// The same path or address, asked for in another way, is another row.
TEST_F(RootObserved, WhatDiffersInItsFlagsIsNotedOnItsOwn) {
  const Seen seen = watch({"python3", "-c",
                           "import os, socket\n"
                           "os.path.exists('/none/tool')\n"
                           "try: os.execv('/none/tool', ['tool'])\n"
                           "except OSError: pass\n"
                           "s = socket.socket(); s.bind(('127.0.0.1', 0))\n"
                           "try: socket.create_connection(s.getsockname())\n"
                           "except OSError: pass\n"
                           "s.listen(); socket.create_connection(s.getsockname())\n"});
  int runs = 0, looks = 0, closed = 0, open = 0;
  for (const Observation& row : seen.observed.rows) {
    if (row.path == "/none/tool") ++(row.runs ? runs : looks);
    if (row.seen == InitSeen::connect) ++(row.address.listening ? open : closed);
  }
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(looks, 1);
  EXPECT_EQ(closed, 1);
  EXPECT_EQ(open, 1);
}

TEST_F(RootObserved, AddressesAreNotedWithTheirProtocol) {
  const Seen seen = watch({"python3", "-c",
                           "import socket\n"
                           "for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
                           "  try: socket.socket(socket.AF_INET, kind).connect(('192.0.2.1', 80))\n"
                           "  except OSError as e: print(e.strerror)\n"
                           "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n"
                           "socket.create_connection(s.getsockname()).send(b'x'); print(s.getsockname()[1])\n"});
  EXPECT_THAT(seen.out, HasSubstr("Network is unreachable\nNetwork is unreachable\n"));
  const auto port =
      static_cast<std::uint16_t>(std::stoi(seen.out.substr(seen.out.rfind('\n', seen.out.size() - 2) + 1)));
  bool tcp = false, udp = false, inside = false;
  for (const Observation& row : seen.observed.rows) {
    if (row.seen != InitSeen::connect) continue;
    tcp |= row.address.host == "192.0.2.1" && row.address.protocol == SeenAddress::Protocol::tcp;
    udp |= row.address.host == "192.0.2.1" && row.address.protocol == SeenAddress::Protocol::udp;
    inside |= row.address.local && row.address.listening && row.address.port == port;
  }
  EXPECT_TRUE(tcp && udp && inside);
}

}  // namespace
}  // namespace bulkhead::test
