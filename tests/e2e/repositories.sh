#!/bin/bash
# Repositories of every kind: each works, or is refused with a message of its own and nothing half-made.
. "$(dirname "$0")/../support/e2e.sh"
cd "$scratch"

works() { # DIRECTORY
  (
    cd "$1"
    expect 0 "" bulkhead run -- sh -c 'echo new >new && git add new && git commit -qm new'
    git for-each-ref --format='%(refname)' refs/heads/bulkhead/ | grep -q . || fail "no branch in $1"
  )
}
refused() { # STATUS TEXT DIRECTORY
  (
    cd "$3"
    expect "$1" "$2" bulkhead run -- sh -c 'echo new >new && git add new && git commit -qm new'
    [ -z "$(git for-each-ref refs/heads/bulkhead refs/bulkhead 2>/dev/null)" ] || fail "refs were left in $3"
  )
}

make_repository plain
works plain
git clone -q --bare plain bare.git
works bare.git
git clone -q plain detached
git -C detached checkout -q --detach HEAD~1
works detached
git clone -q --depth 1 "file://$scratch/plain" shallow
works shallow
make_repository --object-format=sha256 sha256
works sha256
git -C plain worktree add -q "$scratch/linked" other
works linked
works plain/sub
make_repository "name with 'quotes', \$signs and \\ slashes"
works "name with 'quotes', \$signs and \\ slashes"
git clone -q plain with-submodule
git -C with-submodule -c protocol.file.allow=always submodule --quiet add "$scratch/plain" module
git -C with-submodule commit -qm "a submodule"
works with-submodule

# Somebody else's, in which everybody may write: refused, and good from the first to the last step once the caller's own configuration
# declares it safe.
make_repository shared
git -C shared config core.sharedRepository 0666
chmod -R a+rwX shared
chown -R nobody:nogroup shared
mkdir home
HOME=$scratch/home refused 2 "it belongs to somebody else" shared
git config --file home/.gitconfig --add safe.directory "$scratch/shared"
cat >shared.yaml <<'W'
version: 1
repository: shared
base: main
merge: {into: merged}
tasks: {one: {command: echo one >one}, two: {command: echo two >two, needs: [one]}}
W
HOME=$scratch/home expect 0 "merged" bulkhead run shared.yaml
same "what was merged" "file one sub two" "$(git -C shared ls-tree --name-only merged | paste -sd' ')"

mkdir nothing
refused 2 "not a git repository" nothing
make_repository line$'\n'break
refused 2 "line break" line$'\n'break
git init -q empty
refused 2 "" empty
echo "repositories: those that can be worked on are, the others are refused"
