// What one sandbox is, seen from inside and from its exit record. Each runs real commands under the default policy.
#include <gmock/gmock.h>
#include <seccomp.h>
#include <signal.h>

#include "sandbox/host/landlock_abi.h"
#include "tests/support/sandbox_fixture.h"

namespace bulkhead::test {
namespace {

using ::testing::HasSubstr;

using RootSandbox = RootSandboxTest;

TEST_F(RootSandbox, RunsACommandAndReportsItsStatus) {
  const auto ok = sh("echo hello; exit 7");
  EXPECT_EQ(ok.record.reason, EndReason::exited) << ok.record.detail;
  EXPECT_EQ(ok.record.exit_code, 7);
  EXPECT_EQ(ok.out, "hello\n");
  EXPECT_EQ(exit_status(ok.record), 7);
}

TEST_F(RootSandbox, IsUserThousandOfItsOwnRangeAndHostUidZeroNowhere) {
  const auto r =
      sh("id -u; id -g; cat /proc/self/uid_map; grep -h ^Cap /proc/self/status; grep NoNewPrivs /proc/self/status");
  EXPECT_EQ(r.record.exit_code, 0) << r.record.detail << r.err;
  EXPECT_THAT(r.out, HasSubstr("1000\n1000\n"));
  EXPECT_THAT(r.out, HasSubstr(std::to_string(range())));
  EXPECT_THAT(r.out, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(r.out, HasSubstr("CapBnd:\t0000000000000000"));
  EXPECT_THAT(r.out, HasSubstr("NoNewPrivs:\t1"));
}

TEST_F(RootSandbox, SeesOnlyItsOwnProcessesNetworkAndNames) {
  const auto r =
      sh("ls -d /proc/[0-9]* | wc -l; ls /sys/class/net 2>/dev/null; cat /proc/net/dev | tail -n +3 | cut -d: -f1; "
         "hostname; cat /proc/self/cgroup");
  EXPECT_EQ(r.record.exit_code, 0) << r.record.detail << r.err;
  EXPECT_THAT(r.out, HasSubstr("lo\nbulkhead\n"));
  EXPECT_THAT(r.out, HasSubstr("0::/\n"));
  EXPECT_LT(std::stoi(r.out), 10);
}

TEST_F(RootSandbox, LoopbackIsUpAndNothingElseIsReachable) {
  const auto r =
      sh("python3 -c \"import socket\ns=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(1)\n"
         "c=socket.create_connection(s.getsockname()); print('lo works')\n"
         "try: socket.create_connection(('192.0.2.1',80),2)\nexcept OSError as e: print(e.strerror)\"");
  EXPECT_EQ(r.out, "lo works\nNetwork is unreachable\n") << r.err << r.record.detail;
}

TEST_F(RootSandbox, WritesToItsScratchOnly) {
  const auto r = sh(
      "for d in / /usr /etc /proc/sys/kernel /dev /var /root /home; do touch $d/x 2>/dev/null && echo wrote $d; done; "
      "for d in /tmp /home/agent /dev/shm; do touch $d/x || echo cannot $d; done; echo end");
  EXPECT_EQ(r.out, "end\n") << r.err;
}

TEST_F(RootSandbox, KernelSettingsAndMemoryAreOutOfReach) {
  const auto r =
      sh("for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger; do (echo x > $f) "
         "2>/dev/null && echo wrote $f; done; "
         "for f in kcore keys timer_list kallsyms vmallocinfo; do [ -e /proc/$f ] && [ \"$(head -c 1 /proc/$f | wc "
         "-c)\" != 0 ] && echo read $f; done; echo end");
  EXPECT_EQ(r.out, "end\n") << r.err;
}

TEST_F(RootSandbox, MountsAreNosuidAndNodevAndCannotBeMade) {
  const auto r =
      sh("while read -r a b point opts rest; do case $opts in *nosuid*) ;; *) echo suid $point;; esac; done < "
         "/proc/self/mounts | head; "
         "awk '{ if ($4 !~ /nosuid/) print \"suid\", $2 }' /proc/self/mounts; mount -t tmpfs none /tmp 2>&1; unshare "
         "-U true 2>&1; echo end");
  EXPECT_THAT(r.out, ::testing::Not(HasSubstr("suid /")));
  EXPECT_THAT(r.out, HasSubstr("unshare failed"));
  EXPECT_THAT(r.out, HasSubstr("end\n"));
}

TEST_F(RootSandbox, OverItsMemoryItEndsWhole) {
  const auto r = sh("python3 -c 'b=bytearray(300<<20)'; sleep 60", {{"limits", {{"memory", "64Mi"}}}});
  EXPECT_EQ(r.record.reason, EndReason::out_of_memory) << nlohmann::json(r.record).dump();
  EXPECT_EQ(r.record.detail, "over the memory limit of 64Mi");
  EXPECT_EQ(r.record.origin, "/limits/memory");
  EXPECT_LT(r.record.wall_ms, 30000);
}

TEST_F(RootSandbox, AForkBombMeetsThePidsLimit) {
  const auto r = sh("python3 -c \"import os,time\nfor i in range(200):\n  if os.fork()==0: time.sleep(60)\"",
                    {{"limits", {{"pids", 32}}}});
  EXPECT_EQ(r.record.reason, EndReason::pids_exhausted) << nlohmann::json(r.record).dump();
  EXPECT_EQ(r.record.detail, "over the limit of 32 processes");
}

TEST_F(RootSandbox, WallTimeEndsIt) {
  const auto r = sh("sleep 100", {{"limits", {{"wall", "300ms"}}}});
  EXPECT_EQ(r.record.reason, EndReason::wall_time);
  EXPECT_EQ(r.record.detail, "ran longer than 300ms");
  EXPECT_EQ(exit_status(r.record), 124);
}

TEST_F(RootSandbox, CpuTimeEndsIt) {
  const auto r = sh("while :; do :; done", {{"limits", {{"cpu_time", "300ms"}}}});
  EXPECT_EQ(r.record.reason, EndReason::cpu_time);
  EXPECT_GE(r.record.cpu_ms, 300);
}

TEST_F(RootSandbox, ASignalIsNamed) {
  const auto r = sh("kill -SEGV $$");
  EXPECT_EQ(r.record.reason, EndReason::signalled);
  EXPECT_EQ(r.record.signal, SIGSEGV);
  EXPECT_EQ(r.record.detail, "killed by signal SIGSEGV");
  EXPECT_EQ(exit_status(r.record), 139);
}

TEST_F(RootSandbox, AMissingCommandIsASetupFailureThatNamesIt) {
  const auto r = run(spec_of(policy()), {"no-such-command"});
  EXPECT_EQ(r.record.reason, EndReason::setup_failed);
  EXPECT_EQ(r.record.step, "exec_command");
  EXPECT_EQ(r.record.detail, "exec_command no-such-command: No such file or directory");
}

TEST_F(RootSandbox, AFailingOperationIsNamedAndLeavesNothing) {
  Placement place = placement();
  place.mounts.push_back(
      {.type = MountType::bind, .target = *SandboxPath::parse("/data"), .source = "/no/such/dir", .origin = "test"});
  const auto r = run(spec_of(policy()), {"true"}, place);
  EXPECT_EQ(r.record.reason, EndReason::setup_failed);
  EXPECT_EQ(r.record.detail, "bind /data: No such file or directory (from /no/such/dir)");
}

TEST_F(RootSandbox, OutputBeyondTheBoundIsDroppedAndCounted) {
  const auto r = sh("head -c 300000 /dev/zero; echo done >&2", {{"limits", {{"output", "100000"}}}});
  EXPECT_EQ(r.out.size(), 100000u);
  EXPECT_EQ(r.record.stdout_dropped, 200000u);
  EXPECT_EQ(r.err, "done\n");
  EXPECT_EQ(r.record.exit_code, 0);
}

TEST_F(RootSandbox, WhatTheCommandLeavesRunningEndsWithIt) {
  const auto r = sh("setsid sleep 1000 & setsid sh -c 'trap \"\" TERM; sleep 1000' & exit 0");
  EXPECT_EQ(r.record.reason, EndReason::exited);
  EXPECT_EQ(r.record.exit_code, 0);
  EXPECT_EQ(cgroup_free(), true);
}

TEST_F(RootSandbox, KilledByRequestIsWholeAndNamed) {
  auto plan = plan_for(spec_of(policy()), {"/bin/sh", "-c", "trap '' TERM INT; sleep 1000 & sleep 1000"}, placement());
  ASSERT_TRUE(plan) << plan.error().text();
  auto live = client_->launch({.id = "killed", .plan = *plan, .extra_fds = {}});
  ASSERT_TRUE(live) << live.error().text();
  EXPECT_GT(live->pid, 0);
  EXPECT_GT(live->start_time, 0u);
  ASSERT_TRUE(client_->kill("killed", EndReason::fault_injected));
  auto record = client_->next_exit();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->reason, EndReason::fault_injected);
  EXPECT_FALSE(client_->kill("killed", EndReason::idle));
}

TEST_F(RootSandbox, AFurtherCommandStandsInTheSameCompartment) {
  auto plan = plan_for(spec_of(policy()), {"/bin/sh", "-c", "echo here > /tmp/mark; sleep 1000"}, placement());
  ASSERT_TRUE(client_->launch({.id = "host", .plan = *plan, .extra_fds = {}}));
  const Fd out = std::move(*open_file(scratch_ + "/out", O_RDWR | O_CREAT | O_TRUNC, 0600));
  auto entered = client_->exec("host", "host.exec",
                               {"/bin/sh", "-c",
                                "while ! cat /tmp/mark 2>/dev/null; do sleep 0.01; done; id -u; ls /proc | grep -c "
                                "'^[0-9]'; grep -h CapEff /proc/self/status; unshare -U true || echo no"},
                               {{"PATH", "/usr/bin:/bin"}}, "/tmp", -1, out.get(), out.get());
  ASSERT_TRUE(entered) << entered.error().text();
  auto record = client_->next_exit();
  ASSERT_TRUE(record);
  EXPECT_EQ(record->id, "host.exec");
  EXPECT_EQ(record->exit_code, 0);
  const auto text = read_file(scratch_ + "/out").value();
  EXPECT_THAT(text, HasSubstr("here\n1000\n"));
  EXPECT_THAT(text, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(text, HasSubstr("no\n"));
  ASSERT_TRUE(client_->kill("host", EndReason::killed_by_request));
  EXPECT_EQ(client_->next_exit()->id, "host");
}

// Init has let go of its own 0, 1 and 2 by then, so that what it is given for others may come under these numbers.
TEST_F(RootSandbox, AFurtherCommandHasTheStreamsItIsGiven) {
  for (const bool capture : {false, true}) {
    auto plan = plan_for(spec_of(policy()), {"/bin/sleep", "1000"}, placement());
    const Fd hosts = std::move(*open_file(scratch_ + "/host", O_RDWR | O_CREAT | O_TRUNC, 0600));
    const auto live = client_->launch({.id = "host",
                                       .plan = *plan,
                                       .stdout_fd = hosts.get(),
                                       .stderr_fd = hosts.get(),
                                       .capture_output = capture,
                                       .extra_fds = {}});
    ASSERT_TRUE(live) << live.error().text();
    ASSERT_TRUE(write_file_atomic(scratch_ + "/in", "what it reads\n"));
    for (const std::string id : {"first", "second"}) {
      const Fd in = std::move(*open_file(scratch_ + "/in", O_RDONLY));
      const Fd out = std::move(*open_file(scratch_ + "/out", O_RDWR | O_CREAT | O_TRUNC, 0600));
      const Fd err = std::move(*open_file(scratch_ + "/err", O_RDWR | O_CREAT | O_TRUNC, 0600));
      ASSERT_TRUE(client_->exec("host", id, {"/bin/sh", "-c", "cat && echo to stderr >&2 && ls /proc/self/fd"},
                                {{"PATH", "/usr/bin:/bin"}}, "/tmp", in.get(), out.get(), err.get()));
      EXPECT_EQ(client_->next_exit()->exit_code, 0);
      // Its three, and the directory that ls looks at.
      EXPECT_EQ(read_file(scratch_ + "/out").value(), "what it reads\n0\n1\n2\n3\n") << capture;
      EXPECT_EQ(read_file(scratch_ + "/err").value(), "to stderr\n") << capture;
    }
    EXPECT_EQ(read_file(scratch_ + "/host").value(), "") << capture;
    ASSERT_TRUE(client_->kill("host", EndReason::killed_by_request));
    EXPECT_EQ(client_->next_exit()->id, "host");
    for (const char* id : {"host", "first", "second"}) ASSERT_TRUE(client_->acknowledge(id));
  }
}

TEST_F(RootSandbox, SignalsAreAtTheirDefaults) {
  const auto r = sh("grep -h -E '^Sig(Ign|Blk)' /proc/self/status; yes | head -1");
  EXPECT_EQ(r.out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\ny\n") << r.err;
  EXPECT_EQ(r.err, "");
}

TEST_F(RootSandbox, CannotTakeTheHostsTerminalsOrAioContexts) {
  const auto r =
      sh("python3 -c \"import os\nn=0\ntry:\n  while n<500: os.openpty(); n+=1\nexcept OSError as e: print(n<=64, "
         "e.strerror)\"");
  EXPECT_EQ(r.out, "True No space left on device\n") << r.err;
}

// Each number a worker's descriptor may have is one that the launcher may be using for something else just then.
TEST_F(RootSandbox, ExtraDescriptorsArriveAtEveryNumber) {
  const Fd content = std::move(*make_memfd("bulkhead-test", "content"));
  auto plan =
      plan_for(spec_of(policy()),
               {"/bin/sh", "-c", "for n in $(seq 3 31); do [ -e /proc/self/fd/$n ] || echo no $n; done"}, placement());
  ASSERT_TRUE(plan) << plan.error().text();
  for (int first = 3; first < 32; first += 13) {
    LaunchRequest request{.id = "fds" + std::to_string(first), .plan = *plan, .extra_fds = {}};
    for (int n = first; n < std::min(first + 13, 32); ++n) request.extra_fds.emplace_back(content.get(), n);
    auto live = client_->launch(request);
    ASSERT_TRUE(live) << live.error().text();
    EXPECT_EQ(client_->next_exit()->reason, EndReason::exited);
  }
}

TEST_F(RootSandbox, LandlockLeavesOrdinaryWorkAlone) {
  const auto r =
      sh("mkdir a b; echo x >a/f; mv a/f b/g; ln b/g a/h; ln -s g b/l; mkfifo a/p; truncate -s 9 b/g; "
         "echo ok >/dev/stderr; : >/dev/null; echo $$ >/proc/self/comm; rm -r a b");
  EXPECT_EQ(r.record.exit_code, 0) << r.err;
  EXPECT_EQ(r.err, "ok\n");
}

TEST_F(RootSandbox, TcpPortsAreWhatThePolicyNames) {
  if (!landlock::knows_tcp(host_.landlock_abi)) GTEST_SKIP() << "this kernel's Landlock knows no ports";
  const std::string program =
      "import socket,errno\n"
      "def t(f):\n"
      "  try: f(); return 'ok'\n"
      "  except OSError as e: return errno.errorcode[e.errno]\n"
      "def bind(p): s=socket.socket(); s.bind(('127.0.0.1',p))\n"
      "def connect(p): socket.create_connection(('127.0.0.1',p))\n"
      "print(t(lambda:bind(7001)),t(lambda:bind(7002)),t(lambda:connect(7003)),t(lambda:connect(7004)))\n";
  const auto ports =
      run(spec_of(policy({{"tcp", {{"bind", {7001}}, {"connect", {7003}}}}})), {"python3", "-c", program});
  EXPECT_EQ(ports.out, "ok EACCES ECONNREFUSED EACCES\n") << ports.err;
  const auto any = run(spec_of(policy()), {"python3", "-c", program});
  EXPECT_EQ(any.out, "ok ok ECONNREFUSED ECONNREFUSED\n") << any.err;
}

TEST_F(RootSandbox, APreparedRootFollowsTheHostsFiles) {
  const std::string file = scratch_ + "/settings", other = scratch_ + "/later";
  ASSERT_EQ(::chmod(scratch_.c_str(), 0755), 0);
  const SandboxSpec spec = spec_of(
      policy({{"mounts",
               {{"/data/settings", {{"source", file}}}, {"/data/later", {{"source", other}, {"optional", true}}}}}}));
  const std::vector<std::string> look{"sh", "-c", "cat /data/settings; test -e /data/later && cat /data/later; :"};
  ASSERT_TRUE(write_file_atomic(file, "one\n", 0644));
  EXPECT_EQ(run(spec, look).out, "one\n");
  ASSERT_TRUE(write_file_atomic(file, "two\n", 0644));  // another inode under the same name
  EXPECT_EQ(run(spec, look).out, "two\n");
  ASSERT_TRUE(write_file_atomic(other, "later\n", 0644));
  EXPECT_EQ(run(spec, look).out, "two\nlater\n");
  ASSERT_EQ(::unlink(other.c_str()), 0);
  EXPECT_EQ(run(spec, look).out, "two\n");
}

TEST_F(RootSandbox, ALinkIsMadeAgainWhereverItsMountStands) {
  const std::string link = scratch_ + "/link";
  ASSERT_EQ(::symlink("/nowhere", link.c_str()), 0);
  const auto r = sh("readlink /data/shared; readlink /home/agent/own",
                    {{"mounts", {{"/data/shared", {{"source", link}}}, {"/home/agent/own", {{"source", link}}}}}});
  EXPECT_EQ(r.out, "/nowhere\n/nowhere\n") << r.record.detail << r.err;
}

TEST_F(RootSandbox, AProfileOfAnyNameLoadsBesideTheGuard) {
  const auto profile = nlohmann::json{{"defaultAction", "SCMP_ACT_ALLOW"},
                                      {"syscalls", {{{"names", {"mkdir"}}, {"action", "SCMP_ACT_ERRNO"}}}}};
  for (const std::string name : {"guard", "terminal-guard"}) {
    const auto spec = SandboxSpec::from_policy(apply_defaults(policy({{"seccomp", name}})), {{name, profile}});
    ASSERT_TRUE(spec) << spec.error().text();
    EXPECT_EQ(run(*spec, {"sh", "-c", "mkdir /tmp/d 2>/dev/null || echo refused"}).out, "refused\n") << name;
  }
}

TEST_F(RootSandbox, RefusedCallsBeyondTheBoundAreCountedTogether) {
  // Forty, each called once, and two of them once more.
  const std::vector<std::string> names{"acct",
                                       "add_key",
                                       "bpf",
                                       "chroot",
                                       "clock_adjtime",
                                       "clock_settime",
                                       "delete_module",
                                       "finit_module",
                                       "fsconfig",
                                       "fsmount",
                                       "fsopen",
                                       "fspick",
                                       "init_module",
                                       "ioperm",
                                       "iopl",
                                       "io_uring_enter",
                                       "io_uring_register",
                                       "io_uring_setup",
                                       "kcmp",
                                       "kexec_load",
                                       "keyctl",
                                       "mount",
                                       "mount_setattr",
                                       "move_mount",
                                       "move_pages",
                                       "open_tree",
                                       "perf_event_open",
                                       "pivot_root",
                                       "ptrace",
                                       "quotactl",
                                       "reboot",
                                       "request_key",
                                       "setdomainname",
                                       "sethostname",
                                       "setns",
                                       "settimeofday",
                                       "swapoff",
                                       "swapon",
                                       "umount2",
                                       "unshare"};
  const nlohmann::json profile = {{"defaultAction", "SCMP_ACT_ALLOW"},
                                  {"syscalls", {{{"names", names}, {"action", "SCMP_ACT_ERRNO"}}}}};
  const auto spec = SandboxSpec::from_policy(apply_defaults(policy({{"seccomp", "p"}})), {{"p", profile}});
  ASSERT_TRUE(spec) << spec.error().text();
  std::string script = "import ctypes\ncall = ctypes.CDLL(None).syscall\n";
  const auto add = [&](const std::string& name) {
    script += "call(" + std::to_string(::seccomp_syscall_resolve_name(name.c_str())) + ", 0, 0, 0)\n";
  };
  for (const std::string& name : names) add(name);
  add(names.front());
  add(names.back());
  const std::vector<Denial> seen = run(*spec, {"python3", "-c", script}).record.denials;
  ASSERT_EQ(seen.size(), 32u);
  EXPECT_EQ(seen.front().call, names.front());
  EXPECT_EQ(seen.front().times, 2u);
  EXPECT_EQ(seen[30].call, names[30]);
  EXPECT_EQ(seen.back().call, "others");
  EXPECT_EQ(seen.back().times, 10u);
}

TEST_F(RootSandbox, RefusedCallsAreNotedWithWhoAndHowOften) {
  const auto r =
      sh("for i in 1 2 3; do unshare --net true 2>/dev/null; done; mount -t tmpfs x /tmp 2>/dev/null; kill -9 $$");
  EXPECT_EQ(r.record.signal, SIGKILL);
  ASSERT_EQ(r.record.denials.size(), 2u);
  EXPECT_EQ(r.record.denials[0].call, "unshare");
  EXPECT_EQ(r.record.denials[0].who, "unshare");
  EXPECT_EQ(r.record.denials[0].times, 3u);
  EXPECT_EQ(r.record.denials[0].arguments.front(), std::uint64_t{CLONE_NEWNET});
  EXPECT_EQ(r.record.denials[1].call, "mount");
}

TEST_F(RootSandbox, DenialsOutliveAnEndThatInitDoesNotSee) {
  const auto r = sh("unshare --net true 2>/dev/null; head -c 64M /dev/zero >/dev/shm/x; sleep 60",
                    {{"limits", {{"memory", "32Mi"}}}});
  EXPECT_EQ(r.record.reason, EndReason::out_of_memory);
  ASSERT_EQ(r.record.denials.size(), 1u);
  EXPECT_EQ(r.record.denials[0].call, "unshare");
}

TEST_F(RootSandbox, WhatAPolicyAddsToTheProfileIsAllowed) {
  const std::string program = "import ctypes; print(ctypes.CDLL(None).unshare(0x08000000))";  // CLONE_NEWIPC
  const auto refused = run(spec_of(policy()), {"python3", "-c", program});
  EXPECT_EQ(refused.record.denials.size(), 1u);
  const auto allowed = run(spec_of(policy({{"seccomp_allow", {"@namespaces"}}})), {"python3", "-c", program});
  EXPECT_EQ(allowed.out, "-1\n");  // no capability for it
  EXPECT_TRUE(allowed.record.denials.empty());
}

TEST_F(RootSandbox, ThePermissiveProfileIsForDebuggers) {
  const std::string program =
      "import ctypes\nc = ctypes.CDLL(None)\n"
      "print(c.personality(0x40000), c.unshare(0x10000000), c.syscall(321, 0, 0, 0), c.ptrace(0, 0, 0, 0))";
  const auto profile = read_json(std::string(BULKHEAD_SOURCE_DIR) + "/policies/seccomp/permissive.json");
  const auto spec =
      SandboxSpec::from_policy(apply_defaults(policy({{"seccomp", "permissive"}})), {{"permissive", profile}});
  ASSERT_TRUE(spec) << spec.error().text();
  const auto r = run(*spec, {"python3", "-c", program});
  EXPECT_EQ(r.out, "0 -1 -1 0\n") << r.err;  // no namespace, no bpf
  ASSERT_EQ(r.record.denials.size(), 1u);
  EXPECT_EQ(r.record.denials[0].call, "bpf");
  EXPECT_EQ(run(spec_of(policy()), {"python3", "-c", program}).out, "-1 -1 -1 -1\n");
}

TEST_F(RootSandbox, NothingIsWrittenIntoASharedRoot) {
  const SandboxSpec spec = spec_of(policy({{"allow", {"no-landlock"}}}));
  const auto r = run(spec, {"sh", "-c",
                            "for d in / /dev /etc /usr; do touch $d/mine 2>/dev/null && echo wrote $d; done; "
                            "echo hello >/tmp/mine; echo hello >/dev/shm/mine"});
  EXPECT_EQ(r.out, "");
  const auto next = run(spec, {"sh", "-c", "ls /tmp /dev/shm /dev/pts; ls -l /dev | grep -c mine"});
  EXPECT_EQ(next.out, "/dev/pts:\nptmx\n\n/dev/shm:\n\n/tmp:\n0\n") << next.err;
}

TEST_F(RootSandbox, OrdinaryToolsWork) {
  const auto r =
      sh("cd /tmp && git init -q r && cd r && git config user.email a@b && git config user.name a && echo 'int "
         "main(){return 0;}' > m.c && "
         "gcc -o m m.c && ./m && git add m.c && git commit -qm one && git log --oneline | wc -l && python3 -c "
         "'print(6*7)' && make --version | head -1");
  EXPECT_EQ(r.record.exit_code, 0) << r.err << r.record.detail;
  EXPECT_THAT(r.out, HasSubstr("1\n42\nGNU Make"));
}

}  // namespace
}  // namespace bulkhead::test
