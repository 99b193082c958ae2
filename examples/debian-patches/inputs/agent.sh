#!/bin/sh
# A very small coding agent: fixes one bug of unzip in three commits, building and testing as it goes.
#   agent.sh BUG        in the source tree; BUG has a patch in patches/ and a test in regress/, beside this file
# Whatever of that is already committed is not done again.
set -eu
bug=$1
here=$(cd "$(dirname "$0")" && pwd)

say() { echo "agent $bug: $*"; }

committed() { git log -n 20 --format=%s | grep -qxF "$1"; }

# The name that git signs commits with, where the machine has none configured.
if ! git config user.email >/dev/null; then
  export GIT_AUTHOR_NAME=agent GIT_AUTHOR_EMAIL=agent@example.com
  export GIT_COMMITTER_NAME=agent GIT_COMMITTER_EMAIL=agent@example.com
fi

if [ -n "${BULKHEAD_RESUME:-}" ] && [ -r "$BULKHEAD_RESUME" ]; then
  say "an earlier attempt was interrupted: $(sed -n 's/.*"reason": *"\([a-z_]*\)".*/\1/p' "$BULKHEAD_RESUME" | tail -n 1)"
fi

subject="Test: $bug"
if committed "$subject"; then
  say "already done: step 1, the test"
else
  say "step 1: a test that fails"
  mkdir -p regress
  cp "$here/regress/$bug.sh" regress/
  "$here/build.sh"
  if "regress/$bug.sh" 2>/dev/null; then
    say "the bug does not show, nothing to fix"
    exit 1
  fi
  git add regress
  git commit -qm "$subject"
fi

subject="Fix: $bug"
if committed "$subject"; then
  say "already done: step 2, the fix"
else
  say "step 2: the fix"
  git apply --reverse --check "$here/patches/$bug.patch" 2>/dev/null || git apply "$here/patches/$bug.patch"
  make -s -f unix/Makefile clean >/dev/null
  "$here/build.sh"
  "$here/check.sh"
  "regress/$bug.sh"
  git commit -qam "$subject"
fi

subject="Note: $bug"
if committed "$subject"; then
  say "already done: step 3, the note"
else
  say "step 3: the note"
  sed '/^--- /,$d' "$here/patches/$bug.patch" >"regress/$bug.txt"
  git add regress
  git commit -qm "$subject"
fi
say "done"
