#!/bin/bash
# The example's agents without Bulkhead, in ordinary worktrees: what the example shows must not rest on anything but them.
#   needs: the source package of unzip, cached or from the network; no root
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
"$root/examples/debian-patches/prepare" "$directory/example"
cd "$directory/example"
bugs=$(cd inputs/patches && ls | sed 's/\.patch$//')

expect() { [ "$2" = "$3" ] || { echo "agents_alone: $1: expected '$2', got '$3'" >&2; exit 1; }; }

# A build of the base, on which every test must fail.
git -C unzip worktree add -q --detach "$directory/base" main
(cd "$directory/base" && "$directory/example/inputs/build.sh")
for bug in $bugs; do
  if (cd "$directory/base" && "$directory/example/inputs/regress/$bug.sh" >/dev/null 2>&1); then
    echo "agents_alone: regress/$bug.sh passes on the base" >&2
    exit 1
  fi
done

git -C unzip branch merged main
for bug in $bugs; do
  git -C unzip worktree add -q -b "$bug" "$directory/$bug" main
  (cd "$directory/$bug" && "$directory/example/inputs/agent.sh" "$bug") >"$directory/$bug.log" 2>&1 || { cat "$directory/$bug.log"; exit 1; }
  expect "commits of $bug" 3 "$(git -C unzip rev-list --count "main..$bug")"
  tree=$(git -C unzip merge-tree --write-tree merged "$bug")
  merge=$(git -C unzip -c user.name=t -c user.email=t@example.com commit-tree -p merged -p "$bug" -m "Merge $bug" "$tree")
  git -C unzip update-ref refs/heads/merged "$merge"
done

# A second run finds all three steps done; one that starts from the first commit does only the other two.
expect "steps done before" 3 "$(cd "$directory/build-date" && "$directory/example/inputs/agent.sh" build-date | grep -c 'already done')"
git -C "$directory/list-method" reset -q --hard HEAD~2
expect "steps left to do" "already done: step 1, the test|step 2: the fix|step 3: the note" \
  "$(cd "$directory/list-method" && "$directory/example/inputs/agent.sh" list-method | sed -n 's/^agent list-method: //p' | grep step | paste -sd'|')"

# All of it merged: everything passes.
git -C "$directory/base" checkout -q --detach merged
(cd "$directory/base" && "$directory/example/inputs/build.sh" && "$directory/example/inputs/check.sh")
for bug in $bugs; do
  (cd "$directory/base" && "$directory/example/inputs/regress/$bug.sh") || { echo "agents_alone: $bug is not fixed after the merge" >&2; exit 1; }
done
echo "agents_alone: $(wc -w <<<"$bugs") agents, all merged, all fixed"
