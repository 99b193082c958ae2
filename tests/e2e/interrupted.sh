#!/bin/bash
# A run that is cancelled leaves nothing; one whose processes are killed leaves at most what `bulkhead clean` removes.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
cd "$repository"
cat >"$scratch/long.yaml" <<'W'
version: 1
repository: repository
base: main
tasks:
  one: {command: "echo begun >begun; git add .; git commit -qm begun; sleep 1000"}
  two: {command: "sleep 1001"}
W

traces() { python3 "$root/tests/support/traces.py" | grep -v '^file /tmp/bulkhead-e2e'; }
nothing_left() {
  local i
  for ((i = 0; i < 50; i++)); do
    traces >"$scratch/after"
    comm -13 "$scratch/before" "$scratch/after" >"$output"
    [ -s "$output" ] || return 0
    sleep 0.1
  done
  fail "left behind $1"
}
agents_sleep() { [ "$(ps -eo uid=,args= | awk '$1 >= 1879048192 && /sleep 100[01]$/ && !/sh -c/' | wc -l)" -ge 2 ]; }

traces >"$scratch/before"

# Ctrl-C.
setsid "$binaries/bulkhead" --state "$state" run --name cancelled "$scratch/long.yaml" >"$scratch/log" 2>&1 &
run=$!
wait_for agents_sleep
kill -INT "$run"
status=0
wait "$run" || status=$?
[ "$status" != 0 ] || fail "a cancelled run ended with 0"
nothing_left "by a cancelled run"
same "worktrees after a cancelled run" 1 "$(git worktree list | wc -l)"

# SIGKILL to the client and everything it started, one after another, the launcher last: nobody is left to tidy up.
setsid "$binaries/bulkhead" --state "$state" run --name killed "$scratch/long.yaml" >"$scratch/log" 2>&1 &
run=$!
wait_for agents_sleep
ours=$(for process in /proc/[0-9]*; do
  case $(readlink "$process/exe" 2>/dev/null) in
    "$binaries"/bulkhead*) tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qF "$scratch" && echo "${process#/proc/}" ;;
  esac
done | sort -n)
for process in $ours; do
  kill -KILL "$process" 2>/dev/null || true
done
wait "$run" 2>/dev/null || true
expect 1 "" bulkhead clean --check
expect 0 "" bulkhead clean
expect 0 "" bulkhead clean --check
nothing_left "after clean"
same "worktrees after clean" 1 "$(git worktree list | wc -l)"

# And the state directory serves again.
expect 0 "" bulkhead run --name again -- true
echo "interrupted: cancelled and killed runs leave nothing behind"
