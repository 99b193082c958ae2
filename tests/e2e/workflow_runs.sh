#!/bin/bash
# Workflows that run: order, parallelism, verification, merging, conflicts, restarts.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
cd "$repository"

# `last` sees what `first` merged; both of the middle run at once; what fails verification is not merged.
cat >"$scratch/order.yaml" <<'W'
version: 1
name: order
repository: repository
base: main
merge: {into: merged}
concurrency: 3
defaults:
  restart: {attempts: 1}
tasks:
  first:
    command: echo first >first.txt; git add .; git commit -qm first
    verify: test -s first.txt
  left:
    needs: [first]
    command: test -s first.txt; echo left >left.txt
  right:
    needs: [first]
    command: test -s first.txt; echo right >right.txt
  last:
    needs: [left, right]
    command: cat left.txt right.txt >last.txt && git add . && git commit -qm last
    verify: {pass: test -s last.txt, fail_to_pass: test -s last.txt, pass_to_pass: test -s file}
W
expect 0 "merged" bulkhead run --name order "$scratch/order.yaml"
same "files on the target" "file first.txt last.txt left.txt right.txt sub" "$(git ls-tree --name-only merged | paste -sd' ')"
same "what last made" "left right" "$(git show merged:last.txt | paste -sd' ')"
same "the base" "$(git rev-parse other)" "$(git rev-parse main)"
same "merges" "merged merged merged merged" "$(report order '" ".join(a["merge"]["state"] for a in run["agents"])')"
git fsck --strict >"$output" 2>&1 || fail "git fsck finds fault"

# A result that does not pass is a failed task, and stays a branch; a test that passes on the base proves nothing.
cat >"$scratch/verify.yaml" <<'W'
version: 1
repository: repository
base: main
merge: {into: verified}
tasks:
  bad: {command: echo bad >bad.txt, verify: test -s good.txt}
  idle: {command: "true > idle.txt", verify: {fail_to_pass: "true"}}
  good: {command: echo good >good.txt, verify: test -s good.txt}
W
expect 1 "bad" bulkhead run --name verify "$scratch/verify.yaml"
same "only the good one" "file good.txt sub" "$(git ls-tree --name-only verified | paste -sd' ')"
git rev-parse -q --verify bulkhead/verify/bad >/dev/null || fail "the branch of the failed task is gone"

# Two that change the same line: the second is a conflict, named, and its branch is kept.
cat >"$scratch/conflict.yaml" <<'W'
version: 1
repository: repository
base: main
merge: {into: conflicted}
tasks:
  one: {command: sed -i s/two/ONE/ file}
  two: {command: sed -i s/two/TWO/ file}
W
expect 7 "file" bulkhead run --name conflict "$scratch/conflict.yaml"
same "outcomes" "conflict merged" "$(report conflict '" ".join(sorted(a["merge"]["state"] for a in run["agents"]))')"
git rev-parse -q --verify bulkhead/conflict/one >/dev/null && git rev-parse -q --verify bulkhead/conflict/two >/dev/null ||
  fail "a branch of the conflict is gone"

# Restarts: from the last commit, told why, not doing it again; limits end an attempt by their own name.
cat >"$scratch/restart.yaml" <<'W'
version: 1
repository: repository
base: main
defaults: {restart: {attempts: 3, backoff: 10ms}}
tasks:
  fails-once:
    command: |
      if [ -e begun ]; then test -r "$BULKHEAD_RESUME" && cp "$BULKHEAD_RESUME" resume.json && exit 0; fi
      touch begun; git add begun; git commit -qm begun; exit 9
  too-slow:
    command: sleep 1000
    limits: {wall: 500ms}
    restart: {attempts: 2}
  too-big:
    command: dd if=/dev/zero of=/dev/null bs=1G count=1
    limits: {memory: 64Mi}
    restart: {attempts: 1}
  too-quiet:
    command: sleep 1000
    limits: {idle: 1s}
    restart: {attempts: 1}
W
expect 1 "" bulkhead run --name restart "$scratch/restart.yaml"
same "attempts" "2 2 1 1" "$(report restart '" ".join(str(len(agents[n]["attempts"])) for n in ("fails-once", "too-slow", "too-big", "too-quiet"))')"
same "endings" "exited exited wall_time out_of_memory idle" "$(report restart '" ".join(
  [a["ended"]["reason"] for a in agents["fails-once"]["attempts"]] +
  [agents[n]["attempts"][-1]["ended"]["reason"] for n in ("too-slow", "too-big", "too-quiet")])')"
git show bulkhead/restart/fails-once:resume.json | python3 -m json.tool >/dev/null || fail "the resume report is no JSON"

expect 0 "" bulkhead clean
expect 0 "" bulkhead clean --check
same "worktrees" 1 "$(git worktree list | wc -l)"
echo "workflow_runs: order, verification, conflicts and restarts are right"
