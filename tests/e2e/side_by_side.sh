#!/bin/bash
# Runs beside one another: under one supervisor they share what is made once, under two they share nothing but the repository.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
cd "$repository"
# A base that takes a while to make, so that it is asked for while it is being made.
mkdir many
for i in {1..4000}; do echo "$i" >"many/$i"; done
git add many
git commit -qm many
base=$(git rev-parse HEAD)

# Four runs of one supervisor need the same base at once: one makes it, the others wait for it.
"$binaries/bulkheadd" --state "$state" >"$scratch/daemon" 2>&1 &
daemon=$!
wait_for bulkhead ps
wait_for test -S "$state/control.sock"
clients=()
for run in a b c d; do
  "$binaries/bulkhead" --state "$state" run --name "$run" -- sh -c "test \"\$(ls many | wc -l)\" = 4000 && echo $run >$run" >"$scratch/client-$run" 2>&1 &
  clients+=($!)
done
for client in "${clients[@]}"; do
  wait "$client" || { cat "$scratch"/client-* >"$output"; fail "a run beside others failed"; }
done
for run in a b c d; do
  report "$run" 'run["base"]["reused"]' >>"$scratch/reused"
  same "the work of run $run" "$run" "$(git show "bulkhead/$run/agent:$run")"
done
same "who made the base" "False True True True" "$(sort "$scratch/reused" | paste -sd' ')"
same "bases" "$base" "$(cd "$state/bases" && ls */ | paste -sd' ')"
kill -TERM "$daemon"
wait "$daemon" || fail "bulkheadd ended with $?"
nothing_left "by a supervisor that was told to stop"

# Two supervisors with state directories of their own work on one repository at once, each with several agents and their workers.
first=$state second=$scratch/second
cat >"$scratch/several.yaml" <<'W'
version: 1
repository: repository
base: main
concurrency: 3
defaults: {command: "echo $BULKHEAD_RUN-$BULKHEAD_AGENT >made; git add .; git commit -qm made", verify: "test -s made"}
tasks: {one: {}, two: {}, three: {}}
W
clients=()
for of in first second; do
  state=${!of}
  for i in 1 2; do
    "$binaries/bulkhead" --state "$state" run --name "$of-$i" "$scratch/several.yaml" >"$scratch/client-$of-$i" 2>&1 &
    clients+=($!)
  done
done
for client in "${clients[@]}"; do
  wait "$client" || { cat "$scratch"/client-{first,second}-* >"$output"; fail "a run beside another supervisor's failed"; }
done
for of in first second; do
  for i in 1 2; do
    for agent in one two three; do
      same "work" "$of-$i-$agent" "$(git show "bulkhead/$of-$i/$agent:made")"
    done
  done
  state=${!of}
  node=
  nothing_left "by the $of supervisor"
done

# The name of a run is the repository's too: the second of that name is told, and changes nothing of the first's.
cat >"$scratch/long.yaml" <<'W'
version: 1
repository: repository
base: main
tasks: {one: {command: "until [ -e /go/on ]; do sleep 0.1; done; echo done >done", inputs: {/go: go}}}
W
mkdir "$scratch/go"
entries() { git worktree list --porcelain; git for-each-ref; }
started() { [ "$(report long 'run["agents"][0]["state"]')" = running ]; }
state=$first
"$binaries/bulkhead" --state "$state" run --name long "$scratch/long.yaml" >"$scratch/client" 2>&1 &
client=$!
wait_for started
entries >"$scratch/before"
grep -q bulkhead-long-one "$scratch/before" || grep -q "bulkhead/long/one" "$scratch/before" || fail "the agent is not registered"
state=$second
expect 1 "another supervisor has a run of that name" bulkhead run --name long "$scratch/long.yaml"
entries >"$scratch/after"
diff -u "$scratch/before" "$scratch/after" >"$output" || fail "the first run's registration was changed by the second's"
touch "$scratch/go/on"
wait "$client" || { cat "$scratch/client" >"$output"; fail "the first run of that name failed"; }
same "its work" done "$(git show bulkhead/long/one:done)"
same "worktrees" 1 "$(git worktree list | wc -l)"
git fsck --strict >"$output" 2>&1 || fail "git fsck finds fault"
for state in "$second" "$first"; do
  expect 0 "" bulkhead clean
  expect 0 "" bulkhead clean --check
done
echo "side_by_side: runs share a base, supervisors share nothing"
