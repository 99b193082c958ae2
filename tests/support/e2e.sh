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

# Waits until a command succeeds; a condition that does not come true within a minute is a failure.
wait_for() {
  local i
  for ((i = 0; i < 600; i++)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  fail "waited a minute in vain for: $*"
}

leave() {
  local status=$?
  trap - EXIT
  if [ -d "$state" ]; then
    bulkhead clean >"$scratch/clean" 2>&1 || { echo "$test_name: clean failed:" >&2; cat "$scratch/clean" >&2; status=1; }
  fi
  rm -rf "$scratch"
  exit "$status"
}
trap leave EXIT
