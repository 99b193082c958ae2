#!/bin/bash
# Checkpoints: of those taken only what an attempt may go on from is kept, and that one can be gone on from.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
mkdir "$scratch/go"
cd "$repository"

# The agent commits whenever the host says so, four times; then it fails, and its second attempt finds all four.
cat >"$scratch/commits.yaml" <<'W'
version: 1
repository: repository
base: main
tasks:
  commits:
    command: |
      if [ -e 4 ]; then ls 1 2 3 4 loose >found; exit 0; fi
      for i in 1 2 3 4; do
        until [ -e /go/$i ]; do sleep 0.05; done
        echo $i >$i; echo $i >loose; git add $i; git commit -qm $i
      done
      until [ -e /go/fail ]; do sleep 0.05; done
      exit 9
    restart: {attempts: 2, backoff: 10ms}
    inputs: {/go: go}
W
"$binaries/bulkhead" --state "$state" run --name commits "$scratch/commits.yaml" >"$scratch/client" 2>&1 &
client=$!
agent=$state/runs/commits/commits
taken() { [ "$(report commits 'sum(c["taken"] for c in run["agents"][0]["checkpoints"])')" = "$1" ]; }
kept() { ls "$agent/checkpoints" | sort -n | paste -sd' '; }
kept_are() { [ "$(kept)" = "$1" ]; }
for i in 1 2 3 4; do
  touch "$scratch/go/$i"
  wait_for taken "$i"
  # The one before goes only once this one is whole.
  wait_for kept_are "$i"
done
same "what the last holds" "1 2 3 4 loose" "$(cd "$agent/checkpoints/4/upper" && ls | paste -sd' ')"
touch "$scratch/go/fail"
wait "$client" || { cat "$scratch/client" >"$output"; fail "the second attempt did not find what the first had committed"; }
same "where the second attempt began" "4" "$(report commits 'run["agents"][0]["attempts"][1]["resumed_from"]["n"]')"
same "files" "1 2 3 4 loose" "$(git show bulkhead/commits/commits:found | paste -sd' ')"
nothing_left "by the run"
echo "checkpoints: the newest is kept, the others go"
