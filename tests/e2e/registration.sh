#!/bin/bash
# Agents' branches are held in the repository by one worker a run: what it does when a branch is taken, when it dies, and that
# a workspace is ready only when it is.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
cd "$repository"

# A branch of somebody's is in one agent's way: that one fails, nothing of it is left, the other one works.
git branch bulkhead/taken/one other
cat >"$scratch/taken.yaml" <<'W'
version: 1
repository: repository
base: main
concurrency: 1
tasks:
  one: {command: "true"}
  two: {command: "echo two >two; git add two; git commit -qm two"}
W
expect 1 "branch bulkhead/taken/one: it is there already" bulkhead run --name taken "$scratch/taken.yaml"
same "the branch in the way" "$(git rev-parse other)" "$(git rev-parse bulkhead/taken/one)"
same "pins of the agents" "" "$(git for-each-ref refs/bulkhead/)"
expect 0 "two" git show --name-only --format= bulkhead/taken/two
same "worktrees" 1 "$(git worktree list | wc -l)"
[ ! -e "$state/runs/taken" ] || fail "the run's directory is still there"

# Every workspace that is ready has its branch held by a locked worktree entry, and the range and mount that its agent finds.
mkdir "$scratch/signal"
cat >"$scratch/slow.yaml" <<'W'
version: 1
repository: repository
base: main
concurrency: 1
defaults:
  inputs: {/signal: signal}
tasks:
  one: {command: "echo one >one; until [ -e /signal/go ]; do sleep 0.1; done"}
  two: {command: "echo two >two"}
W
worker() { # of a run: the pid of the worker that stays
  local cgroup
  for cgroup in /proc/[0-9]*/cgroup; do
    grep -qsF "/$1/_register/" "$cgroup" || continue
    tr '\0' ' ' <"${cgroup%cgroup}cmdline" 2>/dev/null | grep -q "^/bulkhead/bulkhead-worker serve " || continue
    basename "${cgroup%/cgroup}"
    return 0
  done
  return 1
}
held() { git worktree list --porcelain | grep -A3 -F "branch refs/heads/bulkhead/slow/$1" | grep -q '^locked'; }
bulkhead run --name slow "$scratch/slow.yaml" >"$scratch/log" 2>&1 &
run=$!
wait_for held one
wait_for worker slow
same "whom the worker is" "$(stat -c %u .git)" "$(stat -c %u "/proc/$(worker slow)")"

# The worker dies: the next agent gets another one.
first=$(worker slow)
kill -KILL "$first"
touch "$scratch/signal/go"
status=0
wait "$run" || status=$?
cp "$scratch/log" "$output"
same "status of a run whose worker was killed" 0 "$status"
for agent in one two; do
  same "what $agent did" "$agent" "$(git show --name-only --format= "bulkhead/slow/$agent")"
done
same "worktrees" 1 "$(git worktree list | wc -l)"
if worker slow >/dev/null; then fail "the worker outlived its run"; fi
expect 0 "" bulkhead clean --check
echo "registration: a taken branch is kept, a dead worker replaced, nothing is left"
