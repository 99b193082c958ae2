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

agents_sleep() { [ -n "$(agents_that "sleep 1000")" ] && [ -n "$(agents_that "sleep 1001")" ]; }

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
everything=$(for program in bulkhead bulkheadd bulkhead-launcher; do ours $program; done | sort -n)
[ "$(wc -l <<<"$everything")" -ge 3 ] || fail "expected a client, a daemon and a launcher, found: $everything"
for process in $everything; do
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
