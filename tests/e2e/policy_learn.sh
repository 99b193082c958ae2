#!/bin/bash
# `bulkhead policy learn` and `policy diff`: what real commands miss becomes a policy under which they run, and the
# difference says so. Nothing that would be written is proposed.
. "$(dirname "$0")/../support/e2e.sh"

learnt=$scratch/learnt.yaml
learn() { # ROUNDS BASE COMMAND…: leaves $learnt
  local rounds=$1 base=$2
  shift 2
  rm -f "$learnt"
  expect 0 "" bulkhead policy learn --rounds "$rounds" --policy "$base" -o "$learnt" -- "$@"
  bulkhead policy check "$learnt" >"$output" 2>&1 || fail "no policy was proposed for: $*"
}
asked() { # EXPRESSION over `policy`, the proposal
  bulkhead config "$learnt" | python3 -c 'import json, sys; policy = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"
}
under() { expect "$1" "$2" bulkhead sandbox run --policy "$learnt" -- "${@:3}"; }

# A command that misses nothing.
learn 1 default true
same "a proposal for true" "{'version': 1}" "$(asked policy)"
expect 0 "allows nothing beyond" bulkhead policy diff default "$learnt"

# A refused system call: keyctl(KEYCTL_GET_KEYRING_ID, session keyring).
cat >"$scratch/keyring.py" <<'PROGRAM'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.syscall(250, 0, -3, 0) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
PROGRAM
keyring=$(cat "$scratch/keyring.py")
expect 1 "Operation not permitted" bulkhead sandbox run -- python3 -c "$keyring"
learn 2 default python3 -c "$keyring"
same "calls" "['keyctl']" "$(asked 'policy["seccomp_allow"]')"
expect 1 "system calls of @keyring: keyctl" bulkhead policy diff default "$learnt"
expect 0 "no longer lets" bulkhead policy diff "$learnt" default
expect 0 "" bulkhead sandbox run --policy "$learnt" -- python3 -c "$keyring"

# Programs that git does not find. Of a root that names only what git is linked with.
exec_path=$(git --exec-path)
libraries=$(ldd "$(command -v git)" | grep -oE '/[^ ]+' | sed 's|/[^/]*$||' | xargs realpath | cat - <(printf '%s\n' /bin /lib /lib64 /usr/bin) |
  sort -u | paste -sd, -)
cat >"$scratch/small.yaml" <<POLICY
version: 1
name: small
root: {from: host, paths: [$libraries]}
POLICY
expect 0 "git version" bulkhead sandbox run --policy "$scratch/small.yaml" -- git --version
expect 1 "" bulkhead sandbox run --policy "$scratch/small.yaml" -- git remote-https
learn 1 "$scratch/small.yaml" git --version
same "programs of git for git --version" False "$(asked "'$exec_path' in policy.get('mounts', {})")"
learn 20 "$scratch/small.yaml" git remote-https
asked "[path for path in policy['mounts'] if path.startswith('$exec_path')]" | grep -q "$exec_path" || fail "git's programs are not proposed"
same "writable mounts" "[]" "$(asked "[m for m in policy['mounts'].values() if m.get('access') == 'read_write']")"
grep -qF "usage: git remote-" <(bulkhead sandbox run --policy "$learnt" -- git remote-https 2>&1) || fail "git's programs are not found with the proposal"

# A command that is not there at all: the program is proposed, then what it is linked with.
cat >"$scratch/empty.yaml" <<'POLICY'
version: 1
name: empty
root: {from: host, paths: [/lib, /lib64]}
POLICY
mkdir "$scratch/bin"
printf '#!/bin/sh\nexit 7\n' >"$scratch/bin/tool"
chmod 755 "$scratch/bin/tool"
learn 1 default "$scratch/bin/tool"
if [[ $scratch == /tmp/* ]]; then
  # /tmp inside is the sandbox's own: what the host has there is no business of it.
  same "mounts" "{'version': 1}" "$(asked policy)"
fi
learn 20 "$scratch/empty.yaml" env env true
same "the program" "{'source': '/usr/bin/env'}" "$(asked 'policy["mounts"]["/usr/bin/env"]')"
under 0 "" env env true

# Limits that were hit are doubled.
printf 'version: 1\nlimits: {memory: 32Mi, pids: 4}\n' >"$scratch/tight.yaml"
printf 'version: 1\nlimits: {wall: 500ms}\n' >"$scratch/short.yaml"
learn 1 "$scratch/tight.yaml" dd if=/dev/zero of=/dev/null bs=1G count=1
same "memory" 64Mi "$(asked 'policy["limits"]["memory"]')"
learn 1 "$scratch/short.yaml" sleep 100
same "wall" 1s "$(asked 'policy["limits"]["wall"]')"
learn 1 "$scratch/tight.yaml" sh -c 'for i in 1 2 3 4 5 6; do sleep 1 & done; wait'
same "pids" 8 "$(asked 'policy["limits"]["pids"]')"

# Private files of the host, and what would be written, are named and not proposed.
rows() { # KEY OF THE JSON, PART OF A PATH
  python3 -c 'import json, sys; p = json.load(open(sys.argv[1])); print([r["what"] for r in p[sys.argv[2]] if sys.argv[3] in r["what"]], end="")' "$scratch/p.json" "$@"
}
bulkhead policy learn --json -- sh -c 'cat /etc/shadow; : >/usr/bin/mine; : >/tmp/mine; cat /var/lib/none-of-that; cd /usr; rm -f share/doc' >"$scratch/p.json" 2>"$output" </dev/null
same "private files" "['/etc/shadow']" "$(rows named shadow)"
same "files to be written" "['/usr/bin/mine']" "$(rows named mine)"
same "proposed" "[][]" "$(rows added shadow)$(rows added mine)"

# However many paths there are, they are noted up to a bound and the command goes on.
bulkhead policy learn --json -- python3 -c '
import os, threading
def look(thread):
    for i in range(2000):
        os.path.exists(f"/none/{thread}/{i}")
threads = [threading.Thread(target=look, args=(t,)) for t in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print("all looked for")' >"$scratch/p.json" 2>"$output" </dev/null
grep -q "all looked for" "$output" || fail "the command did not get to its end"
same "said to be more" "['more paths']" "$(rows named more)"

# The command holds nothing of what learning needs; its own status and output do not mix with the proposal.
same "descriptors" "0 1 2 3" "$(bulkhead policy learn -- ls /proc/self/fd 2>&1 >/dev/null </dev/null | sort -n | paste -sd' ')"
learn 1 default sh -c 'exit 3'
grep -q "exited with 3" "$learnt" || fail "the proposal does not say how the command ended"

# A profile beside the policy is found from the proposal, too. One without seccomp(2) lets nothing be learnt, and that is said.
mkdir "$scratch/base"
for call in sync seccomp; do
  python3 -c '
import json, sys
profile = json.load(open(sys.argv[1]))
for rule in profile["syscalls"]:
    rule["names"] = [name for name in rule["names"] if name != sys.argv[2]]
profile["syscalls"] = [rule for rule in profile["syscalls"] if rule["names"]]
profile["syscalls"].append({"names": [sys.argv[2]], "action": "SCMP_ACT_ERRNO", "errnoRet": 1})
json.dump(profile, open(sys.argv[3], "w"))' "$root/policies/seccomp/default.json" "$call" "$scratch/base/no-$call.json"
  printf 'version: 1\nseccomp: ./no-%s.json\n' "$call" >"$scratch/base/no-$call.yaml"
done
learn 2 "$scratch/base/no-sync.yaml" sync
same "calls" "['sync']" "$(asked 'policy["seccomp_allow"]')"
under 0 "" sync
expect 0 "" bulkhead sandbox run --policy "$scratch/base/no-seccomp.yaml" -- true
expect 3 "must allow seccomp" bulkhead policy learn --policy "$scratch/base/no-seccomp.yaml" -- true

# Bad input: status 2, nothing is run.
expect 2 "no such policy" bulkhead policy learn --policy none-such -- true
expect 2 "" bulkhead policy learn -o "$scratch/no/such" -- true
expect 2 "" bulkhead policy diff default none-such
bulkhead policy diff --json default default | python3 -m json.tool >/dev/null || fail "the difference is no JSON"
echo "policy_learn: calls, paths, programs and limits are learnt, writes are not, and the difference says so"
