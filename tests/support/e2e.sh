# shellcheck shell=bash
# What the end-to-end tests share. Sourced first. Each test has a scratch directory with a state directory of its own; both are gone
# when it ends, and so is whatever it left running.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
test_name=$(basename "$0" .sh)
binaries=${BULKHEAD_BIN:-$root/build/bin}
scratch=$(mktemp -d -t bulkhead-e2e.XXXXXX)
state=$scratch/state
output=$scratch/output
chmod 755 "$scratch"

export GIT_AUTHOR_NAME=user GIT_AUTHOR_EMAIL=user@example.com GIT_COMMITTER_NAME=user GIT_COMMITTER_EMAIL=user@example.com
export GIT_CONFIG_GLOBAL=$scratch/gitconfig GIT_CONFIG_NOSYSTEM=1
git config --file "$GIT_CONFIG_GLOBAL" init.defaultBranch main
git config --file "$GIT_CONFIG_GLOBAL" --add safe.directory '*'
unset BULKHEAD_STATE SUDO_UID SUDO_GID SUDO_USER SUDO_COMMAND

bulkhead() { "$binaries/bulkhead" --state "$state" "$@"; }

fail() {
  echo "$test_name: $*" >&2
  [ ! -s "$output" ] || sed 's/^/  | /' "$output" >&2
  exit 1
}

# expect STATUS TEXT COMMAND…: it must end with this status, and say this (on stdout or stderr; "" for anything).
expect() {
  local status=0 wanted=$1 text=$2
  shift 2
  "$@" >"$output" 2>&1 </dev/null || status=$?
  [ "$status" = "$wanted" ] || fail "expected status $wanted, got $status from: $*"
  [[ -z $text ]] || grep -qF -- "$text" "$output" || fail "expected '$text' in what this said: $*"
}

same() { [ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"; }

# A repository with two commits on main, and on a branch `other`.
make_repository() {
  git init -q "$@"
  local directory=${!#}
  printf 'one\ntwo\nthree\n' >"$directory/file"
  mkdir "$directory/sub"
  echo text >"$directory/sub/other"
  git -C "$directory" add .
  git -C "$directory" commit -qm first
  echo four >>"$directory/file"
  git -C "$directory" commit -qam second
  git -C "$directory" branch other
}

# What of a repository a run must not change: working tree, index, HEAD, configuration, hooks.
fingerprint() {
  (
    cd "$1"
    find . \( -path ./.git -prune \) -o -printf '%p %y %m %U:%G %l\n' | sort
    find . \( -path ./.git -prune \) -o -type f -print0 | sort -z | xargs -0r sha256sum
    cd "$(git rev-parse --git-dir)"
    find HEAD config hooks info -type f -print0 2>/dev/null | sort -z | xargs -0r sha256sum
    [ ! -e index ] || sha256sum index
  )
}

# What there is of this test's state directory: processes, cgroups, mounts, directories of runs. For none of it to be there the
# kernel may need a moment after the last process.
traces() { python3 "$root/tests/support/traces.py" "$state"; }
nothing_left() { # WHEN
  local end=$((SECONDS + 20))
  while ((SECONDS < end)); do
    traces >"$output"
    [ -s "$output" ] || return 0
    sleep 0.1
  done
  fail "left behind $1"
}

# Processes of this test's own: one of Bulkhead's programs by its name, or agents by what they run.
ours() { # PROGRAM
  local process
  for process in /proc/[0-9]*; do
    [ "$(readlink "$process/exe" 2>/dev/null)" = "$binaries/$1" ] || continue
    if tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -qxF "$state"; then echo "${process#/proc/}"; fi
  done
}
agents_that() { # COMMAND LINE: their pids
  local process
  node=${node:-$(python3 "$root/tests/support/traces.py" --cgroup "$state")}
  for process in $(find /sys/fs/cgroup -path "*/$node/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un); do
    if [ "$({ tr '\0' ' ' <"/proc/$process/cmdline"; } 2>/dev/null)" = "$1 " ]; then echo "$process"; fi
  done
}

report() { # RUN, then Python over `run`, the report, and `agents` (name -> report)
  bulkhead journal "$1" --json | python3 -c '
import json, sys
run = json.load(sys.stdin)
agents = {agent["name"]: agent for agent in run["agents"]}
print(eval(sys.argv[1]))' "$2"
}
finished() { [ "$(report "$1" 'run["outcome"] is not None')" = True ]; }

# Waits until a command succeeds; a condition that does not come true within a minute is a failure.
wait_for() {
  local end=$((SECONDS + 60))
  while ((SECONDS < end)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  fail "waited a minute in vain for: $*"
}

# A test that fails leaves runs going on: their daemons are told to stop, and awaited.
leave() {
  local status=$? directory process
  trap - EXIT
  for directory in "$scratch"/*/lock; do
    [ -e "$directory" ] || continue
    state=$(dirname "$directory")
    for process in $(ours bulkheadd); do
      kill -TERM "$process" || true
      timeout 60 tail --pid="$process" -f /dev/null || echo "$test_name: bulkheadd does not stop" >&2
    done
    bulkhead clean >"$scratch/clean" 2>&1 || { echo "$test_name: clean failed:" >&2; cat "$scratch/clean" >&2; status=1; }
  done
  rm -rf "$scratch"
  exit "$status"
}
trap leave EXIT
