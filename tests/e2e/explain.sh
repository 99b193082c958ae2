#!/bin/bash
# `--explain`: what a command was refused is told with wall, rule and the least change; what is no denial is not; in
# `sandbox run`, its report, the journal and the report of a run.
. "$(dirname "$0")/../support/e2e.sh"

data=$scratch/data
mkdir "$data" "$scratch/tools"
echo text >"$data/file"
printf '#!/bin/sh\nexit 0\n' >"$data/tool"
chmod 755 "$data" "$data/tool" "$scratch/tools"
echo secret >"$data/private"
chmod 600 "$data/private"
cat >"$scratch/p.yaml" <<POLICY
version: 1
mounts:
  /data: {source: $data}
  /noexec: {source: $data, executable: false}
limits: {open_files: 64, file_size: 64Ki, pids: 40}
POLICY

explain() { # POLICY COMMAND…: leaves $scratch/r.json and $output
  rm -f "$scratch/r.json"
  local status=0
  bulkhead sandbox run --policy "$1" --explain --report "$scratch/r.json" -- "${@:2}" >"$output" 2>&1 </dev/null || status=$?
  [ -s "$scratch/r.json" ] || fail "no report of: ${*:2}"
  same "the status of: ${*:2}" "$status" "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["exit_status"])' "$scratch/r.json")"
}
# Fields of the denial whose `what` is this; "None" where there is none.
row() { # WHAT EXPRESSION over `d`
  python3 - "$scratch/r.json" "$@" <<'PROGRAM'
import json, sys
rows = [d for d in json.load(open(sys.argv[1]))["denied"] if d["what"] == sys.argv[2]]
print(eval(sys.argv[3], {"d": rows[0]}) if rows else None)
PROGRAM
}
is() { same "$1" "$3" "$(row "$1" "$2")"; }
py() { explain "$1" python3 -c "$2"; }
everything='d["kind"], d["wall"], d["rule"], d["allow"]'

# Nothing refused, nothing said.
explain default true
same "denied" 0 "$(python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["denied"]))' "$scratch/r.json")"

# Files: only the host has it; nowhere at all; private; read-only; of the root; no execution; somebody else's.
explain "$scratch/p.yaml" sh -c 'cat /var/lib/dpkg/status /etc/none-of-that /etc/shadow; echo >/data/new; echo >/usr/bin/mine; mkdir /newdir; /noexec/tool; cat /data/private'
is "find /var/lib/dpkg/status" "$everything" "('file', 'mounts', 'built-in', 'mounts: {/var/lib/dpkg/status: {source: /var/lib/dpkg/status}}')"
is "find /etc/none-of-that" "$everything" None
is "find /etc/shadow" 'd["allow"], d["reason"]' "('', 'not everybody may read it')"
is "write /data/new" "$everything" "('file', 'mounts', '/mounts/~1data', 'allow: [writable-host], mounts: {/data: {access: read_write}}')"
is "write /usr/bin/mine" 'd["wall"], d["allow"]' "('mounts', '')"
is "write /newdir" "$everything" "('file', 'mounts', 'built-in', 'mounts: {/newdir: {tmpfs: 64Mi}}')"
is "run /noexec/tool" "$everything" "('file', 'mounts', '/mounts/~1noexec', 'mounts: {/noexec: {executable: true}}')"
is "read /data/private" 'd["wall"], d["rule"], d["allow"]' "('permissions', '/mounts/~1data', '')"
is "write /data/new" 'd["who"]' sh
grep -qF "write /data/new, by sh; rule: mounts, $scratch/p.yaml:3:" "$output" || fail "the line does not name the rule's place"
# What is said to allow it does.
sed 's|source: '"$data"', executable: false|source: '"$data"', executable: true|' "$scratch/p.yaml" >"$scratch/q.yaml"
explain "$scratch/q.yaml" /noexec/tool
is "run /noexec/tool" "$everything" None

# Its own doings are no denials: a file of its own without permissions, a directory that it did not make, a link of its own to the host's.
explain default sh -c 'cd /tmp; echo x >f; chmod 0 f; cat f; echo >none/such; ln -s /etc/shadow l; cat l; test -e none; ls /usr/lib/none'
same "its own doings" "[]" "$(python3 -c 'import json, sys; print([d["what"] for d in json.load(open(sys.argv[1]))["denied"] if "/tmp" in d["what"] or "none" in d["what"]])' "$scratch/r.json")"

# Sources of rename and link.
py "$scratch/p.yaml" 'import os
for f in (lambda: os.rename("/data/file", "/tmp/f"), lambda: os.link("/var/lib/dpkg/status", "/tmp/g")):
    try: f()
    except OSError: pass'
is "write /data/file" 'd["wall"]' mounts
is "find /var/lib/dpkg/status" 'd["wall"]' mounts

# /proc: masked, and read-only to its owner.
explain default sh -c 'cat /proc/kallsyms; echo >/proc/sys/kernel/hostname; cat /proc/self/status >/dev/null'
is "open /proc/kallsyms" "$everything" "('file', 'proc mask', 'built-in', 'allow: [unmasked-proc]')"
is "write /proc/sys/kernel/hostname" 'd["wall"]' permissions

# Device nodes: the mounts would let them, Landlock does not (a whiteout, which needs no capability).
py default 'import os
try: os.mknod("/tmp/d", 0o20600, os.makedev(0, 0)); print("made")
except OSError as e: print(e.strerror)'
if grep -q "^landlock.*yes\|made" "$output"; then echo "explain: no Landlock here" >&2; fi
is "make the device /tmp/d" 'd["kind"], d["allow"]' "('file', '')"
explain default sh -c 'cat /dev/kmsg'
[ ! -e /dev/kmsg ] || is "open /dev/kmsg" 'd["wall"], d["allow"]' "('mounts', '')"

# Network: by address, IPv6, UDP, the host's own loopback, sockets by path and by abstract name, low ports.
python3 - "$scratch" <<'PROGRAM' &
import os, socket, sys, time
scratch = sys.argv[1]
tcp = socket.socket(); tcp.bind(("127.0.0.1", 0)); tcp.listen()
path = socket.socket(socket.AF_UNIX); path.bind(scratch + "/tools/socket"); path.listen()
name = socket.socket(socket.AF_UNIX); name.bind("\0" + os.path.basename(scratch)); name.listen()
open(scratch + "/port.new", "w").write(str(tcp.getsockname()[1])); os.rename(scratch + "/port.new", scratch + "/port")
time.sleep(600)
PROGRAM
server=$!
wait_for test -e "$scratch/port"
port=$(cat "$scratch/port")
cat >"$scratch/net.py" <<PROGRAM
import socket, sys
def reach(family, kind, to):
    try:
        s = socket.socket(family, kind); s.settimeout(1)
        s.sendto(b"x", to) if kind == socket.SOCK_DGRAM else s.connect(to)
    except OSError: pass
four, six, local, stream, datagram = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.SOCK_STREAM, socket.SOCK_DGRAM
reach(four, stream, ("1.2.3.4", 443))
reach(six, stream, ("2001:db8::1", 443))
reach(four, datagram, ("192.0.2.1", 53))
reach(four, stream, ("127.0.0.1", $port))
reach(six, stream, ("::1", 1))
reach(local, stream, "$scratch/tools/socket")
reach(local, stream, "\0$(basename "$scratch")")
reach(local, stream, "\0nowhere")
inside = socket.socket(); inside.bind(("127.0.0.1", 0)); inside.listen()
reach(four, stream, inside.getsockname())
try: socket.socket().bind(("0.0.0.0", 80))
except OSError: pass
PROGRAM
# The socket's directory is no tmpfs of the sandbox's own where the policy takes /tmp away.
printf 'version: 1\nmounts: {/tmp: null}\n' >"$scratch/no-tmp.yaml"
py "$scratch/no-tmp.yaml" "$(cat "$scratch/net.py")"
is "connect to tcp 1.2.3.4:443" "$everything" "('network', 'network namespace', 'built-in', 'allow: [host-network]')"
is "connect to tcp [2001:db8::1]:443" 'd["allow"]' "allow: [host-network]"
is "send to udp 192.0.2.1:53" 'd["allow"]' "allow: [host-network]"
is "connect to tcp 127.0.0.1:$port" 'd["reason"]' "inside nobody listens there; the host's own loopback is another"
is "connect to tcp [::1]:1" "$everything" None
is "connect to $scratch/tools/socket" 'd["kind"], d["allow"]' "('network', '')"
is "connect to abstract socket $(basename "$scratch")" 'd["wall"], d["allow"]' "('network namespace', '')"
is "connect to abstract socket nowhere" "$everything" None
is "bind tcp 0.0.0.0:80" 'd["wall"], d["allow"]' "('permissions', '')"
same "connections inside" "[]" "$(python3 -c 'import json, sys; print([d["what"] for d in json.load(open(sys.argv[1]))["denied"] if "127.0.0.1" in d["what"] and not d["what"].endswith(":" + sys.argv[2])])' "$scratch/r.json" "$port")"
kill "$server"

# Lists of ports, where the kernel knows them.
cat >"$scratch/ports.yaml" <<'POLICY'
version: 1
tcp: {connect: [443], bind: [8000]}
POLICY
if bulkhead sandbox run --policy "$scratch/ports.yaml" -- true >"$output" 2>&1; then
  py "$scratch/ports.yaml" 'import socket
for act in (lambda: socket.socket().connect(("127.0.0.1", 80)), lambda: socket.socket().connect(("127.0.0.1", 443)), lambda: socket.socket().bind(("127.0.0.1", 9000)), lambda: socket.socket().bind(("127.0.0.1", 8000))):
    try: act()
    except OSError: pass'
  is "connect to tcp 127.0.0.1:80" "$everything" "('network', 'landlock', '/tcp/connect', 'tcp: {connect: [80]}')"
  is "bind tcp 127.0.0.1:9000" "$everything" "('network', 'landlock', '/tcp/bind', 'tcp: {bind: [9000]}')"
  is "connect to tcp 127.0.0.1:443" "$everything" None
  is "bind tcp 127.0.0.1:8000" "$everything" None
else
  grep -q "ports need Landlock" "$output" || fail "a list of ports is refused for another reason"
  echo "explain: this kernel has no ports in Landlock"
fi

# System calls, the guard of terminals, a listener of its own: refused as ever.
cat >"$scratch/calls.py" <<'PROGRAM'
import ctypes, errno, fcntl, os, struct
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments): print(libc.syscall(*arguments), errno.errorcode.get(ctypes.get_errno()))
call(250, 0, -3, 0)                      # keyctl
class Program(ctypes.Structure): _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
allow = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7fff0000))
program = Program(1, ctypes.cast(allow, ctypes.c_void_p))
call(317, 1, 8, ctypes.byref(program))   # seccomp, NEW_LISTENER
for request in (0x5412, 0x541c):
    try: fcntl.ioctl(0, request, b"x"); print("typed")
    except OSError as e: print(request, errno.errorcode[e.errno])
PROGRAM
py default "$(cat "$scratch/calls.py")"
grep -q "^-1 EPERM" "$output" || fail "keyctl was not refused with EPERM"
grep -q "^-1 EBUSY" "$output" || fail "there were two listeners"
same "requests refused" 2 "$(grep -c "^21.* EPERM" "$output")"
is "system call keyctl" "$everything" "('system_call', 'seccomp', '/seccomp', 'seccomp_allow: [keyctl]')"
is "to listen to system calls (seccomp)" 'd["times"], d["allow"]' "(1, '')"
is "to type into a terminal (TIOCSTI or TIOCLINUX)" 'd["wall"], d["times"], d["allow"]' "('guard', 2, 'allow: [terminal-injection]')"

# Limits.
py "$scratch/p.yaml" 'files = []
try:
    while True: files.append(open("/dev/null"))
except OSError as e: print(e.strerror)'
grep -q "Too many open files" "$output" || fail "the limit of open files was not reached"
python3 -c 'import os, sys; d = os.open("/proc/self/fd", os.O_PATH); sys.exit(os.fstat(d).st_size == 0)' && is "open files beyond their limit" "$everything" "('limit', 'limits', '/limits/open_files', 'limits: {open_files: 128}')"
explain "$scratch/p.yaml" sh -c 'exec dd if=/dev/zero of=/tmp/big bs=1k count=100'
is "a file beyond its limit" 'd["rule"], d["allow"]' "('/limits/file_size', 'limits: {file_size: 128Ki}')"
explain "$scratch/p.yaml" sh -c 'for i in $(seq 60); do sleep 1 & done; wait'
is "processes beyond their limit" 'd["rule"], d["allow"]' "('/limits/pids', 'limits: {pids: 80}')"

# Names that would fool a terminal.
py default 'import os
for name in ("/usr/bin/\x1b[31m", "/usr/bin/\u202egpj", "/usr/bin/\udcff", "/usr/bin/a\nbulkhead: denied: nothing"):
    try: open(name, "w")
    except OSError: pass'
grep -qF 'write /usr/bin/\x1b[31m' "$output" || fail "an escape sequence is not shown as text"
if LC_ALL=C grep -qP '\x1b|\xe2\x80\xae|\xff' "$output"; then fail "a name reached the terminal as it is"; fi
if grep -q '^bulkhead: denied: nothing' "$output"; then fail "a name made a line of its own"; fi

# Each thing once, however often and by however many; a flood is bounded, the command goes on, and what matters is still seen.
py default 'import os, socket, threading
def look(thread):
    for i in range(2000): os.path.exists(f"/none/{thread}/{i}")
threads = [threading.Thread(target=look, args=(t,)) for t in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
for _ in range(5):
    try: open("/usr/bin/late", "w")
    except OSError: pass
print("all looked for")'
grep -q "all looked for" "$output" || fail "the command did not get to its end"
grep -q "more was asked for than is noted" "$output" || fail "it is not said that there was more"
is "write /usr/bin/late" 'd["times"]' 5

# Processes that are killed while init looks at their calls; a command that ends at once; one that is not there.
explain default sh -c 'for i in $(seq 20); do (while :; do test -e /none; done) & all="$all $!"; done; for i in $(seq 300); do test -e /none/$i; done; kill -9 $all; wait; echo >/usr/bin/x; exit 3'
same "status" 3 "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["exit_code"])' "$scratch/r.json")"
is "write /usr/bin/x" 'd["wall"]' mounts
expect 127 "" bulkhead sandbox run --explain -- /no/such/program
expect 0 "" bulkhead sandbox run --explain -- true

# A root, or a mount namespace, of the program's own is its own business; what it asked for before is not.
cat >"$scratch/views.yaml" <<'POLICY'
version: 1
allow: [capabilities]
capabilities: [CAP_SYS_CHROOT, CAP_SYS_ADMIN]
seccomp_allow: ["@namespaces", chroot]
POLICY
for view in 'os.chroot("/tmp")' 'assert ctypes.CDLL(None).unshare(0x20000) == 0'; do # CLONE_NEWNS
  py "$scratch/views.yaml" "import ctypes, os
def look(path):
    try: open(path)
    except FileNotFoundError as e: print(e)
look('/var/lib/dpkg/triggers/File')
$view
look('/var/lib/dpkg/status')"
  same "files that it did not find" 2 "$(grep -c "No such file" "$output")"
  is "find /var/lib/dpkg/triggers/File" 'd["wall"]' mounts
  is "find /var/lib/dpkg/status" "$everything" None
done

# A profile that does not let a command be observed: said, and the command runs.
printf 'version: 1\nseccomp: strict\n' >"$scratch/strict.yaml"
expect 0 "files and network are not explained" bulkhead sandbox run --policy "$scratch/strict.yaml" --explain -- true

# Without --explain: calls and limits alone.
expect 1 "Read-only file system" bulkhead sandbox run --report "$scratch/r.json" -- sh -c 'echo >/usr/bin/mine; unshare -n true'
is "write /usr/bin/mine" "$everything" None
is "system call unshare" 'd["kind"]' system_call

# Runs: by the workflow's key, and by the flag; journal and report.
make_repository "$scratch/repository"
cat >"$scratch/workflow.yaml" <<WORKFLOW
version: 1
repository: $scratch/repository
tasks:
  told: {command: "cat /var/lib/dpkg/status; echo >/usr/bin/mine; python3 -c 'import socket; socket.socket().connect((\"1.2.3.4\", 443))'; unshare -n true; true", explain: true}
  plain: {command: "cat /var/lib/dpkg/status; unshare -n true; true"}
WORKFLOW
expect 0 "stopped: write /usr/bin/mine, tried by sh" bulkhead run --name told "$scratch/workflow.yaml"
names='sorted(d["what"] for d in agents["%s"]["denied"] if "locale" not in d["what"])'
same "of the task that explains" "['connect to tcp 1.2.3.4:443', 'find /var/lib/dpkg/status', 'system call unshare', 'write /usr/bin/mine']" "$(report told "${names/\%s/told}")"
same "of the one that does not" "['system call unshare']" "$(report told "${names/\%s/plain}")"
same "what would allow it" "mounts: {/var/lib/dpkg/status: {source: /var/lib/dpkg/status}}" "$(report told '[d["allow"] for d in agents["told"]["denied"] if "dpkg" in d["what"]][0]')"
bulkhead journal told >"$output"
grep -q "stopped .*connect to tcp 1.2.3.4:443, by network namespace, built-in, tried by python3; to allow it: allow: \[host-network\]" "$output" || fail "the report does not say what would allow it"
(cd "$scratch/repository" && expect 0 "stopped: write /usr/bin/mine" bulkhead run --explain --name flag -- sh -c 'echo >/usr/bin/mine; true')
expect 0 "" bulkhead clean
echo "explain: calls, files, network and limits are told with wall, rule and change; what is no denial is not"
