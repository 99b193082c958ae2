#!/bin/bash
# What an agent leaves on disk is removed, whatever it is: trees deeper than a path can be long, and names that mislead whoever walks them.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
cd "$repository"

cat >"$scratch/deep.py" <<'P'
import os, sys
for top, depth in ((b"/workspace", int(sys.argv[1])), (b"/home/agent", 300)):
    os.chdir(top)
    for level in range(depth):
        name = b"d" * 200
        os.mkdir(name)
        os.chdir(name)
    open("bottom", "w").close()
    os.chdir(top)
    os.mkdir("names")
    os.chdir("names")
    for name in (b"line\nbreak", b"-rf", b"--", b" ", b"\xff\xfe", b"\x1b[31m", b"*", b"~", b"$(reboot)", b"n" * 255, b".bulkhead-remove-0"):
        os.mkdir(name)
        open(name + b"/" + name, "w").close()
    os.symlink("/", "root")
    os.symlink("loop", "loop")
    os.symlink("../..", "up")
    os.mkfifo("fifo")
    os.mkdir("closed")
    open("closed/file", "w").close()
    os.chmod("closed", 0)
P
# 5,000 directories, one in another, with names of 200 bytes: the path is a million bytes long.
cat >"$scratch/deep.yaml" <<'W'
version: 1
repository: repository
base: main
tasks:
  deep:
    command: "printf '/d*/\nnames/\n' >.gitignore; git add .gitignore; git commit -qm ignore; python3 /deep.py 5000; echo made >made"
    inputs: {/deep.py: deep.py}
W
expect 0 "2 commits" bulkhead run --name deep "$scratch/deep.yaml"
same "what was left behind" "" "$(report deep 'agents["deep"]["left_behind"] + agents["deep"]["import_problem"]')"
same "files on the branch" ".gitignore file made sub" "$(git ls-tree --name-only bulkhead/deep/deep | paste -sd' ')"
nothing_left "by an agent with deep trees"

# The same in a workspace that is to be checkpointed: a copy has its bound, it is said, and the agent works on. Its verification makes
# such trees too.
cat >"$scratch/again.yaml" <<'W'
version: 1
repository: repository
base: main
tasks:
  again:
    command: |
      printf '/d*/\nnames/\n' >.gitignore
      python3 /deep.py 300 && git add .gitignore && git commit -qm ignore && until [ -e /go/on ]; do sleep 0.1; done
    verify: python3 /deep.py 300
    inputs: {/deep.py: deep.py, /go: go}
W
mkdir "$scratch/go"
"$binaries/bulkhead" --state "$state" run --name again "$scratch/again.yaml" >"$scratch/client" 2>&1 &
client=$!
refused() { [[ $(report again 'agents["again"]["checkpoints"][0]["problem"]') == *"nested deeper than 240 directories"* ]]; }
wait_for refused
touch "$scratch/go/on"
wait "$client" || { cat "$scratch/client" >"$output"; fail "it could not work on without a checkpoint"; }
same "what was left behind" "" "$(report again 'agents["again"]["left_behind"] + agents["again"]["import_problem"]')"
nothing_left "by an agent and its verification"
expect 0 "nothing left behind" bulkhead clean --check
echo "deep_trees: whatever lies on disk is removed"
