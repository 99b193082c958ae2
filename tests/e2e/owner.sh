#!/bin/bash
# Called with sudo, the work is the invoking user's: their repository, their identity, nothing of root's in it.
. "$(dirname "$0")/../support/e2e.sh"
user=$(id -u nobody)
group=$(id -g nobody)
# Policies are read as the user: without that right there is nothing to run.
if ! setpriv --reuid "$user" --regid "$group" --clear-groups test -r "$root/policies/default.json"; then
  echo "the source lies where the user 'nobody' cannot read it"
  exit 77
fi
repository=$scratch/repository
make_repository "$repository"
rm -f "$GIT_CONFIG_GLOBAL"
unset GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
chown -R "$user:$group" "$repository"
cd "$repository"

as_sudo() { SUDO_UID=$user SUDO_GID=$group SUDO_USER=nobody "$@"; }
as_user() { setpriv --reuid "$user" --regid "$group" --clear-groups env HOME=/nonexistent "$@"; }

cat >"$scratch/w.yaml" <<'W'
version: 1
repository: repository
base: main
merge: {into: merged}
tasks:
  one: {command: "echo one >one; git add .; git commit -qm one", verify: test -s one}
  two: {command: echo two >two, verify: test -s two}
W
chmod 644 "$scratch/w.yaml"
expect 0 "merged" as_sudo bulkhead run --name owned "$scratch/w.yaml"
same "files that are not the user's" "" "$(find . \( ! -uid "$user" -o ! -gid "$group" \) -print | head -n 3)"
expect 0 "one" as_user git show --name-only --format= bulkhead/owned/one
expect 0 "" as_user git gc -q
expect 0 "two" as_user git ls-tree --name-only merged
expect 0 "" as_user git checkout -q merged
as_sudo bulkhead clean >"$output" 2>&1 || fail "clean failed"


# A repository of somebody else is not opened with root's power.
chown -R root:root .
chmod 700 .git
status=0
as_sudo bulkhead run -- true >"$output" 2>&1 </dev/null || status=$?
[ "$status" = 2 ] || fail "expected status 2 for a repository that the user cannot read, got $status"
echo "owner: refs, objects and branches are the invoking user's"
