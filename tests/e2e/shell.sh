#!/bin/bash
# `bulkhead shell`: a command in a running agent's compartment reads and writes what its caller gave it, a pipe or a terminal.
. "$(dirname "$0")/../support/e2e.sh"
make_repository "$scratch/repository"
cd "$scratch/repository"
"$binaries/bulkhead" --state "$state" run --name r -- sh -c 'until [ -e done ]; do sleep 0.1; done' >"$scratch/client" 2>&1 &
client=$!
wait_for bulkhead shell r/agent -- true

same "a command's output" "from r/agent in /workspace" \
  "$(bulkhead shell r/agent -- sh -c 'echo from $BULKHEAD_RUN/$BULKHEAD_AGENT in $(pwd)' </dev/null 2>"$output")"
same "what it reads and writes" "THROUGH A PIPE" "$(echo through a pipe | bulkhead shell r/agent -- tr a-z A-Z 2>"$output")"
same "much of both" "$(seq 200000 | sha256sum)" "$(seq 200000 | bulkhead shell r/agent -- cat 2>"$output" | sha256sum)"
bulkhead shell r/agent -- sh -c 'echo told >&2' </dev/null >"$output" 2>"$scratch/err"
same "its stdout" "" "$(cat "$output")"
same "its stderr" told "$(cat "$scratch/err")"
expect 7 "" bulkhead shell r/agent -- sh -c 'exit 7'

# From a terminal it has one of its own, of the same size: keys arrive there, and what it writes is shown.
python3 - "$binaries/bulkhead" --state "$state" shell r/agent >"$output" 2>&1 <<'PROGRAM' || fail "a shell in a terminal"
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
shown = b""
def until(text):
    global shown
    while text not in shown:
        shown += os.read(terminal, 4096)
    print(shown.decode(errors="replace")); shown = b""
until(b"$ ")
os.write(terminal, b"stty size; test -t 0 -a -t 1 -a -t 2 && echo all $((20 + 22)); exit 5\n")
until(b"31 97")
until(b"all 42")
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
PROGRAM

bulkhead shell r/agent -- touch done </dev/null >"$output" 2>&1
wait "$client" || { cat "$scratch/client" >"$output"; fail "the run ended with $?"; }
expect 2 "nothing runs there" bulkhead shell r/agent -- true
expect 0 "" bulkhead clean
echo "shell: streams and terminals reach a further command, and it the workspace"
