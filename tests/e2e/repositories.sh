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

mkdir nothing
refused 2 "not a git repository" nothing
make_repository line$'\n'break
refused 2 "line break" line$'\n'break
git init -q empty
refused 2 "" empty
echo "repositories: those that can be worked on are, the others are refused"
