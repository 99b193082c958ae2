#!/bin/bash
# What an agent leaves on disk is removed, whatever it is: trees deeper than a path can be long, and names that mislead whoever walks them.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
cd "$repository"

cat >"$scratch/deep.py" <<'P'
import os, sys
for top in (b"/workspace", b"/home/agent"):
    os.chdir(top)
    # 5,000 directories, one in another, with names of 200 bytes: the path is a million bytes long.
    for level in range(5000):
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
cat >"$scratch/deep.yaml" <<'W'
version: 1
repository: repository
base: main
tasks:
  deep:
    command: "printf '/d*/\nnames/\n' >.gitignore; git add .gitignore; git commit -qm ignore; python3 /deep.py; echo made >made"
    inputs: {/deep.py: deep.py}
W
status=0
"$binaries/bulkhead" --state "$state" run --name deep "$scratch/deep.yaml" >"$output" 2>&1 </dev/null || status=$?
cat $output; report deep 'run["agents"][0]'
