#!/bin/bash
# `bulkhead run -- CMD`: one agent in the repository; its work on a branch, the user's own files untouched.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
cd "$repository"

# What must not be touched: an unclean working tree, an index with something staged, and hooks, which must not run either.
echo five >>file
echo staged >staged
git add staged
for hook in pre-commit post-commit post-checkout post-merge reference-transaction post-index-change pre-auto-gc; do
  printf '#!/bin/sh\ntouch %s/hook-ran\n' "$scratch" >.git/hooks/$hook
  chmod +x .git/hooks/$hook
done
rm -f "$scratch/hook-ran"
fingerprint . >"$scratch/before"

untouched() {
  fingerprint . >"$scratch/after"
  diff -u "$scratch/before" "$scratch/after" >"$output" || fail "the user's files changed"
  [ ! -e "$scratch/hook-ran" ] || fail "a hook of the repository ran"
}

expect 0 "bulkhead/" bulkhead run --name first -- sh -c '
  test "$(git status --porcelain)" = "" && test "$(git log --oneline | wc -l)" = 2 &&
  echo new >new && git add new && git commit -qm "new file" && echo loose >loose'
untouched
same "commits of the agent" 2 "$(git rev-list --count main..bulkhead/first/agent)"
same "its file" new "$(git show bulkhead/first/agent:new)"
same "what it left uncommitted" loose "$(git show bulkhead/first/agent:loose)"
same "the branch main" "$(git rev-parse other)" "$(git rev-parse main)"
git fsck --strict >"$output" 2>&1 || fail "git fsck finds fault with what was imported"
same "worktrees" 1 "$(git worktree list | wc -l)"

expect 42 "" bulkhead run --name second -- sh -c 'exit 42'
expect 143 "" bulkhead run --name third -- sh -c 'kill -TERM $$'
untouched

expect 0 "new file" bulkhead log first/agent
expect 0 "" bulkhead run --name talk -- sh -c 'echo said; printf "\033[31mred\n" >&2'
expect 0 "said" bulkhead log --output talk/agent
grep -qF '\x1b[31mred' "$output" || fail "an agent's escape sequence was not escaped"
expect 0 "+new" bulkhead diff first/agent
expect 0 "" bulkhead ps
expect 0 "" bulkhead journal first --json
bulkhead journal first --json | python3 -m json.tool >/dev/null || fail "the report is no JSON"
expect 0 "" bulkhead clean
expect 0 "" bulkhead clean --check
echo "run_command: results on branches, the user's files untouched"
