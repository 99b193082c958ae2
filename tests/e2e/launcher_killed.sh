#!/bin/bash
# The launcher is killed under a living bulkheadd: what it had started is over, another one is started, and the run goes on.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
cd "$repository"

# Nobody's failure: each goes on from its last commit, without having used up an attempt.
cat >"$scratch/attempts.yaml" <<'W'
version: 1
repository: repository
base: main
merge: {into: merged}
concurrency: 3
defaults:
  command: if [ -e begun ]; then echo done >$BULKHEAD_AGENT; else echo begun >begun; git add .; git commit -qm begun; sleep $SECONDS_TO_SLEEP; fi
  verify: test -s begun
tasks:
  one: {environment: {SECONDS_TO_SLEEP: "1000"}}
  two: {environment: {SECONDS_TO_SLEEP: "1001"}}
  after: {needs: [one, two], command: "test -s one -a -s two; echo after >after"}
W
start() { # WORKFLOW NAME; sets `run`
  "$binaries/bulkhead" --state "$state" run --name "$2" "$scratch/$1.yaml" >"$scratch/client" 2>&1 &
  run=$!
}
ends() { # STATUS
  local status=0
  wait "$run" || status=$?
  [ "$status" = "$1" ] || { cp "$scratch/client" "$output"; fail "expected the run to end with $1, got $status"; }
  nothing_left "by the run"
  same "worktrees" 1 "$(git worktree list | wc -l)"
  cp "$scratch/client" "$output"
}
both_saved() {
  [ -n "$(agents_that "sleep 1000")" ] && [ -n "$(agents_that "sleep 1001")" ] &&
    [ "$(report attempts 'sum(c["taken"] for a in run["agents"] for c in a["checkpoints"])')" = 2 ]
}
start attempts attempts
wait_for both_saved
kill -KILL "$(ours bulkhead-launcher)"
ends 0
for agent in one two; do
  same "attempts of $agent" "lost exited" "$(report attempts "' '.join(a['ended']['reason'] for a in agents['$agent']['attempts'])")"
  same "where its second began" "1" "$(report attempts "agents['$agent']['attempts'][1]['resumed_from']['commits']")"
done
same "merged" "after begun file one sub two" "$(git ls-tree --name-only merged | paste -sd' ')"
same "supervisors" 1 "$(report attempts 'run["supervisors"]')"
grep -qF "its launcher died" "$output" || fail "the client does not say what happened"
grep -qF "the launcher died; another one carries on" "$state/bulkheadd.log" || fail "bulkheadd does not say what happened"

# In the middle of a verification, whose workspace and uid range are its own: it is done again.
cat >"$scratch/verify.yaml" <<'W'
version: 1
repository: repository
base: main
tasks:
  judged: {command: "echo judged >judged", verify: "until [ -e /go/on ]; do sleep 1002; done", inputs: {/go: go}}
W
mkdir "$scratch/go"
verifying() { [ -n "$(agents_that "sleep 1002")" ]; }
start verify verify
wait_for verifying
touch "$scratch/go/on"
kill -KILL "$(ours bulkhead-launcher)"
ends 0
same "its work" judged "$(git show bulkhead/verify/judged:judged)"
same "verifications" "lost exited" "$(report verify '" ".join(v["reason"] for v in agents["judged"]["verifications"])')"

# One that dies again and again is given up on, and it is said why.
cat >"$scratch/unlucky.yaml" <<'W'
version: 1
repository: repository
base: main
tasks:
  unlucky: {command: "sleep 1003"}
W
start unlucky unlucky
last=
sleeps_anew() {
  sleeper=$(agents_that "sleep 1003")
  [ -n "$sleeper" ] && [ "$sleeper" != "$last" ]
}
for _ in 1 2 3 4; do
  wait_for sleeps_anew
  last=$sleeper
  kill -KILL "$(ours bulkhead-launcher)"
done
ends 1
same "how it ended" "failed: lost lost lost lost" "$(report unlucky '"%s: %s" % (agents["unlucky"]["outcome"],
  " ".join(a["ended"]["reason"] for a in agents["unlucky"]["attempts"]))')"
grep -qF "its launcher died" "$output" || fail "the client does not say what happened"
expect 0 "nothing left behind" bulkhead clean --check
echo "launcher_killed: the run goes on with another launcher"
