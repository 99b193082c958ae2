#!/bin/bash
# Workflows that are wrong: one clear message with the place, status 2, nothing started.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
cd "$repository"

refuses() { # TEXT, the file on stdin
  cat >"$scratch/w.yaml"
  expect 2 "$1" bulkhead run "$scratch/w.yaml"
  [ ! -e "$scratch/started" ] || fail "something was started"
  [ -z "$(git for-each-ref refs/heads/bulkhead refs/bulkhead)" ] || fail "refs were left"
  same "worktrees" 1 "$(git worktree list | wc -l)"
}
refuses "w.yaml:3:1: " <<'W'
version: 1
repository: repository
concurency: 4
tasks: {a: {command: "true"}}
W
grep -q "did you mean 'concurrency'" "$output" || fail "no near key suggested"
refuses "w.yaml:" <<'W'
version: 1
repository: repository
tasks: {a: {command: "true"}, a: {command: "false"}}
W
refuses "w.yaml:" <<'W'
version: 1
repository: repository
tasks:
  a: {command: "true", needs: [b]}
  b: {command: "true", needs: [c]}
  c: {command: "true", needs: [a]}
W
grep -qi "cycle\|circle" "$output" || fail "the cycle is not named"
refuses "w.yaml:3:" <<'W'
version: 1
repository: repository
tasks: {a: {command: "true", limits: {memory: lots}}}
W
refuses "no-such-policy" <<'W'
version: 1
repository: repository
tasks: {a: {command: "true", policy: no-such-policy}}
W
refuses "no-such-input" <<'W'
version: 1
repository: repository
tasks: {a: {command: "true", inputs: {/in: no-such-input}}}
W
refuses "no-such-branch" <<'W'
version: 1
repository: repository
base: no-such-branch
tasks: {a: {command: "true"}}
W
refuses "main" <<'W'
version: 1
repository: repository
merge: {into: main}
tasks: {a: {command: "true"}}
W
refuses "w.yaml:" <<'W'
version: 1
	repository: repository
W
refuses "w.yaml:" <<'W'
version: 1
repository: repository
tasks: {a: {command: [touch, "${NO_SUCH_VARIABLE}"]}}
W
cat >"$scratch/w.yaml" <<'W'
version: 1
repository: repository
merge: {into: bulkhead/same}
tasks: {a: {command: "true"}}
W
expect 2 "the branches of run same" bulkhead run --name same "$scratch/w.yaml"
expect 2 "no-such-file.yaml" bulkhead run no-such-file.yaml
expect 2 "" bulkhead run
expect 2 "did you mean" bulkhead rnu

# The state directory, and who asks.
mkdir "$scratch/open"
chmod 777 "$scratch/open"
state=$scratch/open expect 2 "$scratch/open" bulkhead run -- true
rmdir "$scratch/open" 2>/dev/null || fail "something was made in a state directory that was refused"
expect 3 "root" setpriv --reuid nobody --regid nogroup --clear-groups "$binaries/bulkhead" --state "$scratch/nobody" run -- true
echo "workflow_refusals: every mistake has its place and its message"
