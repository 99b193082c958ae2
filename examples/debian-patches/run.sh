#!/bin/bash
# The example from nothing to nothing: makes the repository, runs the workflow, checks what the report says and what the repository
# holds, and leaves nothing behind.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
program=${BULKHEAD_BIN:-$root/build/bin}/bulkhead
target=bulkhead/debian-patches

[ "$(id -u)" = 0 ] || { echo "run.sh: compartments are made by root; run: sudo $0" >&2; exit 3; }
[ -x "$program" ] || { echo "run.sh: $program is not there; build it with scripts/build" >&2; exit 3; }

directory=$(mktemp -d -t bulkhead-example.XXXXXX)
listener=
leave() {
  local status=$?
  trap - EXIT
  [ -z "$listener" ] || kill "$listener" 2>/dev/null || true
  if [ -d "$directory/state" ]; then "$program" --state "$directory/state" clean >/dev/null || status=5; fi
  rm -rf "$directory"
  exit "$status"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
fail() { echo "run.sh: $*" >&2; exit 1; }

# The repository is the user's who called sudo, as it would be in life.
as_user() {
  if [ "${SUDO_UID:-0}" = 0 ]; then "$@"; return; fi
  HOME=$(getent passwd "$SUDO_UID" | cut -d: -f6) setpriv --reuid "$SUDO_UID" --regid "${SUDO_GID:?}" --init-groups "$@"
}
chown "${SUDO_UID:-0}:${SUDO_GID:-0}" "$directory"
chmod 755 "$directory"
as_user "$here/prepare" "$directory/example"
repository=$directory/example/unzip
in_repository() { as_user git -C "$repository" "$@"; }

# What a run must leave alone: a working tree with a change in it, the index, the configuration, and hooks, which must not run.
# shellcheck disable=SC2016
as_user sh -c 'cd "$1" && echo "a note of my own" >>README && for hook in pre-commit post-checkout post-merge reference-transaction; do
  printf "#!/bin/sh\ntouch \"%s/hook-ran\"\n" "$2" >.git/hooks/$hook && chmod +x .git/hooks/$hook; done' - "$repository" "$directory"
untouched() {
  (
    cd "$repository"
    find . -path ./.git -prune -o -printf '%p %y %m %U:%G %s\n' | sort
    find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0r sha256sum
    find .git/HEAD .git/config .git/index .git/hooks -type f -print0 | sort -z | xargs -0r sha256sum
  )
}
untouched >"$directory/before"

# A listener on the host's loopback, for the misbehaving agent to try to reach.
python3 -c '
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
listener.accept()
open(sys.argv[1], "w").close()' "$directory/reached" >"$directory/port" &
listener=$!
for ((i = 0; i < 100; i++)); do [ -s "$directory/port" ] && break; sleep 0.1; done
[ -s "$directory/port" ] || fail "the listener did not start"

export MISCHIEF_REPOSITORY=$repository MISCHIEF_STATE=$directory/state MISCHIEF_PORT
MISCHIEF_PORT=$(cat "$directory/port")
"$program" --state "$directory/state" run --name example "$directory/example/workflow.yaml"
echo

# The killed agent's second attempt did not do the first step again.
resumed=$("$program" --state "$directory/state" log --output example/zipinfo-method)
echo "$resumed"
for line in "an earlier attempt was interrupted" "already done: step 1" "step 2: the fix" "done"; do
  grep -qF "agent zipinfo-method: $line" <<<"$resumed" || fail "the second attempt did not say '$line'"
done

"$program" --state "$directory/state" journal example --json >"$directory/report.json"
in_repository show "$target:mischief/report.txt" >"$directory/mischief.txt"
python3 "$here/check_report.py" "$directory/report.json" "$directory/mischief.txt"

# The merges, in the repository itself.
python3 -c '
import json, sys
for agent in json.load(open(sys.argv[1]))["agents"]:
    print(agent["name"], agent["merge"]["commit"])' "$directory/report.json" >"$directory/merges"
while read -r agent merge; do
  in_repository merge-base --is-ancestor "$merge" "$target" || fail "the merge of $agent is not on $target"
  in_repository merge-base --is-ancestor "bulkhead/example/$agent" "$merge" || fail "the work of $agent is not in its merge"
done <"$directory/merges"
[ "$(wc -l <"$directory/merges")" = 7 ] || fail "expected 7 merges"
for bug in zipinfo-hostver zipinfo-method list-method build-date pkware-attributes zipgrep-status; do
  for step in Test Fix Note; do
    [ "$(in_repository log --format=%s "main..$target" | grep -cxF "$step: $bug")" = 1 ] || fail "'$step: $bug' is not on $target exactly once"
  done
done
in_repository fsck --strict >"$directory/fsck" 2>&1 || { cat "$directory/fsck"; fail "git fsck finds fault with the repository"; }
echo "$target: 7 merges, every step of six fixes exactly once"

untouched | diff "$directory/before" - || fail "the user's working tree, index, configuration or hooks changed"
[ ! -e "$directory/hook-ran" ] || fail "a hook of the repository ran"
[ ! -e "$directory/reached" ] || fail "the host's loopback was reached"
echo "the user's working tree, index, configuration and hooks: untouched"

"$program" --state "$directory/state" clean
"$program" --state "$directory/state" clean --check || fail "clean left something"
[ "$(in_repository worktree list | wc -l)" = 1 ] || fail "a worktree is left"
echo "the example ran as it should"
