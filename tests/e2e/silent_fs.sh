#!/bin/bash
# A path of the agent's leads, on the host, to a file system that does not answer: what explains gives up, and nobody waits for it.
. "$(dirname "$0")/../support/e2e.sh"
if [ "${1-}" != inside ]; then
  rm -rf "$scratch"
  exec unshare --mount --propagation private "$BASH" "$0" inside
fi
mount -t tmpfs none /mnt
mkdir /mnt/silent
python3 "$root/tests/support/silent_fs.py" /mnt/silent >"$scratch/server" 2>&1 &
server=$!
answer_and_leave() { # a failure must not wait for what it tests
  local status=$?
  kill "$server" 2>/dev/null || true
  set +e
  (exit "$status")
  leave
}
trap answer_and_leave EXIT
wait_for grep -q ready "$scratch/server"
lookers() { # processes that wait for it
  local process
  for process in /proc/[0-9]*; do
    if grep -q "^State:.D" "$process/status" 2>/dev/null && [ "$(readlink "$process/ns/mnt")" = "$(readlink /proc/self/ns/mnt)" ]; then echo "${process#/proc/}"; fi
  done
}

# Whoever reads what it says is at its end when bulkhead is.
timeout -k 1 30 "$binaries/bulkhead" --state "$state" sandbox run --explain -- sh -c 'cat /mnt/silent/file; echo >/usr/bin/mine; true' 2>&1 </dev/null | timeout -k 1 30 cat >"$output" || fail "waited for a file system that does not answer"
grep -q "denied: write /usr/bin/mine" "$output" || fail "what needs no look is not told"
[ -n "$(lookers)" ] || fail "nobody waits for the file system: this test tries nothing"

# A run: its worker cannot even be killed, and the attempt ends all the same.
make_repository "$scratch/repository"
cd "$scratch/repository"
expect 0 "stopped: write /usr/bin/mine" timeout -k 1 30 "$binaries/bulkhead" --state "$state" run --explain --name r -- sh -c 'cat /mnt/silent/file; echo >/usr/bin/mine; true'

kill "$server"
wait "$server" || true
expect 0 "" bulkhead clean
nothing_left "after a file system that did not answer"
echo "silent_fs: nobody waits for a file system that does not answer"
