#!/bin/bash
# Only bulkheadd is killed, while its launcher and its agents live. The next supervisor ends that run, saves what its agents had done,
# and leaves nothing of it.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
mkdir "$scratch/go"
cd "$repository"
echo five >>file
fingerprint . >"$scratch/before"
main=$(git rev-parse main)

cat >"$scratch/long.yaml" <<'W'
version: 1
repository: repository
base: main
merge: {into: merged}
concurrency: 4
tasks:
  works: {command: "echo saved >saved; git add .; git commit -qm saved; echo loose >loose; sleep 1000"}
  idles: {command: "sleep 1001"}
  ends: {command: ["sh", "-c", "until [ -e /go/end ]; do sleep 0.1; done; echo ended >ended"], inputs: {/go: go}}
  judged: {command: "echo judged >judged", verify: "sleep 1002"}
  never: {needs: [idles], command: "true"}
W
waits="sh -c until [ -e /go/end ]; do sleep 0.1; done; echo ended >ended"
nobody_waits() { [ -z "$(agents_that "$waits")" ]; }
under_way() {
  local what
  for what in "sleep 1000" "sleep 1001" "sleep 1002" "$waits"; do [ -n "$(agents_that "$what")" ] || return 1; done
}
kill_daemon_of() { # RUN
  local status=0
  "$binaries/bulkhead" --state "$state" run --name "$1" "$scratch/long.yaml" >"$scratch/client" 2>&1 &
  wait_for under_way
  kill -KILL "$(ours bulkheadd)"
  wait $! || status=$?
  cp "$scratch/client" "$output"
  same "the client's status" 5 "$status"
  grep -qF "bulkheadd ended before the run did" "$output" || fail "the client does not say what happened"
  grep -qF "sudo bulkhead clean" "$output" || fail "the client does not say what to do"
}
saved() { # RUN BRANCHES: what must have become of it
  same "how $1 ended" "cancelled its supervisor had ended" "$(report "$1" 'run["outcome"] + " " + run["cause"]')"
  same "supervisors of $1" 2 "$(report "$1" 'run["supervisors"]')"
  same "its agents" "cancelled cancelled cancelled cancelled cancelled" "$(report "$1" '" ".join(a["outcome"] for a in run["agents"])')"
  same "how they ended" "killed_by_request killed_by_request exited" "$(report "$1" '" ".join(agents[n]["attempts"][-1]["ended"]["reason"]
    for n in ("works", "idles", "judged"))')"
  same "commits of the one that worked" 2 "$(git rev-list --count "main..bulkhead/$1/works")"
  same "what it left uncommitted" loose "$(git show "bulkhead/$1/works:loose")"
  same "the one that was being judged" judged "$(git show "bulkhead/$1/judged:judged")"
  same "branches" "$2" "$(git for-each-ref --format='%(refname:lstrip=4)' "refs/heads/bulkhead/$1" | paste -sd' ')"
  same "pins" "" "$(git for-each-ref refs/bulkhead)"
  same "worktrees" 1 "$(git worktree list | wc -l)"
  same "the target" "" "$(git for-each-ref refs/heads/merged)"
  same "the base" "$main" "$(git rev-parse main)"
  git fsck --strict >"$output" 2>&1 || fail "git fsck finds fault"
  fingerprint . >"$scratch/after"
  diff -u "$scratch/before" "$scratch/after" >"$output" || fail "the user's files changed"
}

# The next run carries on: one agent ends meanwhile, while nobody looks, and its record waits.
kill_daemon_of long
under_way || fail "the agents ended with bulkheadd"
expect 0 "interrupted" bulkhead ps
expect 1 "unfinished run long" bulkhead clean --check
touch "$scratch/go/end"
wait_for nobody_waits
expect 0 "" bulkhead run --name next -- true
wait_for finished long
nothing_left "after a takeover"
saved long "ends judged works"
same "the one that ended alone" "exited 0 ended" "$(report long '"%s %d" % tuple(agents["ends"]["attempts"][-1]["ended"][k] for k in ("reason", "exit_code"))') $(git show bulkhead/long/ends:ended)"

# `bulkhead clean` does the same.
rm "$scratch/go/end"
kill_daemon_of again
expect 0 "ended unfinished run again" bulkhead clean
nothing_left "after clean"
saved again "judged works"
expect 0 "nothing left behind" bulkhead clean --check

# All of its processes killed, and its uid range in use by another launcher by now: the run is kept as it is until that one is done.
cat >"$scratch/short.yaml" <<'W'
version: 1
repository: repository
base: main
tasks: {one: {command: "echo kept >kept; git add .; git commit -qm kept; sleep 1003"}}
W
sleeps() { [ -n "$(agents_that "sleep 1003")" ]; }
"$binaries/bulkhead" --state "$state" run --name robbed "$scratch/short.yaml" >"$scratch/client" 2>&1 &
wait_for sleeps
range=$(sed -n 's/.* robbed one workspace_ready .*"range_base":\([0-9]*\).*/\1/p' "$state/bulkheadd.log")
everything=$(for program in bulkhead bulkheadd bulkhead-launcher; do ours $program; done)
[ "$(wc -l <<<"$everything")" -ge 3 ] || fail "expected a client, a daemon and a launcher, found: $everything"
for process in $everything; do
  kill -KILL "$process" 2>/dev/null || true # one may have ended with the one before it
done
wait $! 2>/dev/null || true
python3 -c '
import fcntl, struct, sys, time
lock = open("/run/bulkhead/uid-ranges.lock", "r+")
index = (int(sys.argv[1]) - 0x70000000) // 65536
fcntl.fcntl(lock, fcntl.F_OFD_SETLKW, struct.pack("hhqqi", fcntl.F_WRLCK, 0, index, 1, 0))
open(sys.argv[2], "w").close()
time.sleep(1000)' "$range" "$scratch/locked" &
locker=$!
wait_for test -e "$scratch/locked"
expect 5 "it could not be taken over, and is kept as it is" bulkhead clean
grep -q "uid range $range cannot be used" "$state/bulkheadd.log" || fail "bulkheadd does not say why"
expect 1 "unfinished run robbed" bulkhead clean --check
kill "$locker"
wait "$locker" 2>/dev/null || true
expect 0 "ended unfinished run robbed" bulkhead clean
same "its work" kept "$(git show bulkhead/robbed/one:kept)"
same "worktrees" 1 "$(git worktree list | wc -l)"
nothing_left "after clean"
echo "takeover: a killed supervisor's run is ended by the next one, and its agents' work is saved"
