#!/bin/bash
# `bulkhead sandbox run`: the command's own status, and a report with an enumerated reason.
. "$(dirname "$0")/../support/e2e.sh"

field() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$scratch/report.json" "$1"; }
ends() { # REASON STATUS POLICY COMMAND…
  local reason=$1 status=$2 policy=$3
  shift 3
  rm -f "$scratch/report.json"
  expect "$status" "" bulkhead sandbox run --policy "$policy" --report "$scratch/report.json" -- "$@"
  same "reason of: $*" "$reason" "$(field reason)"
}

ends exited 0 default true
ends exited 42 default sh -c 'exit 42'
ends signalled 143 default sh -c 'kill -TERM $$'
ends setup_failed 127 default no-such-program

cat >"$scratch/small.yaml" <<'POLICY'
version: 1
name: small
limits: {memory: 64Mi, pids: 16, wall: 1s}
POLICY
ends out_of_memory 137 "$scratch/small.yaml" dd if=/dev/zero of=/dev/null bs=1G count=1
ends wall_time 124 "$scratch/small.yaml" sleep 100

# What it sees is what the policy names.
expect 0 "agent" bulkhead sandbox run -- id -un
expect 0 "1000" bulkhead sandbox run -- id -u
expect 1 "" bulkhead sandbox run -- test -e /etc/shadow
expect 1 "" bulkhead sandbox run -- test -e /root
expect 1 "" bulkhead sandbox run -- test -e "$root"
same "interfaces" "lo:" "$(bulkhead sandbox run -- cat /proc/net/dev | sed 1,2d | awk '{print $1}' | paste -sd' ')"
expect 0 "" bulkhead sandbox run -- sh -c 'echo x >/tmp/x && cat /tmp/x && test "$PWD" = / -o -w .'

# Input and output are the caller's, and signals reach the command.
same "a pipe through a sandbox" "HELLO" "$(echo hello | bulkhead sandbox run -- tr a-z A-Z)"
"$binaries/bulkhead" --state "$state" sandbox run -- sh -c 'trap "exit 7" TERM; echo ready; while :; do sleep 0.1; done' >"$scratch/log" 2>&1 &
caller=$!
wait_for grep -q ready "$scratch/log"
kill -TERM "$caller"
status=0
wait "$caller" || status=$?
same "status after SIGTERM" 7 "$status"

# A bad policy: status 2, nothing started.
printf 'version: 1\nlimits: {memry: 1Gi}\n' >"$scratch/bad.yaml"
expect 2 "bad.yaml:2:10" bulkhead sandbox run --policy "$scratch/bad.yaml" -- touch "$scratch/started"
grep -q "did you mean 'memory'" "$output" || fail "no near key suggested"
expect 2 "" bulkhead policy check "$scratch/bad.yaml"
expect 0 "" bulkhead policy check "$scratch/small.yaml"

# The plan names the line behind each operation.
expect 0 "/limits/memory" bulkhead sandbox plan --policy "$scratch/small.yaml"
bulkhead sandbox plan --policy "$scratch/small.yaml" --json | python3 -m json.tool >/dev/null || fail "the plan is no JSON"
echo "sandbox_run: status, reason, walls, signals and refusals are right"
