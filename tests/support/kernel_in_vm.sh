#!/bin/bash
# Runs the kernel tests and the attacks in a virtual machine with cgroup v2 alone, and appends what came of each to RESULTS (see gtest_run.py).
#   kernel_in_vm.sh RESULTS [BUILD]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
results=$1
build=${2:-build}
output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
# shellcheck disable=SC2016 # expanded inside the machine
scripts/vm --show "$build" --timeout "${BULKHEAD_TEST_TIMEOUT:-1500}" -- bash -c '
  mkdir -p /tmp/home && export HOME=/tmp/home
  python3 tests/support/traces.py >/tmp/before
  python3 tests/support/gtest_run.py /tmp/results kernel-v2 "$1"/tests/kernel_*
  BULKHEAD_ATTACK_TIMEOUT=300 python3 tests/attack/run.py --quiet --results /tmp/results --prefix attack-v2 \
    --bin "$1/bin" --attack "$1/attack/attack" || grep -q "^failed.attack-v2/" /tmp/results ||
    printf "failed\tattack-v2\tended early\n" >>/tmp/results
  python3 tests/support/traces.py | comm -13 /tmp/before - >/tmp/left
  if [ -s /tmp/left ]; then
    printf "failed\tkernel-v2/left-behind\t%s\n" "$(paste -sd, /tmp/left)" >>/tmp/results
  fi
  sed "s/^/RESULT\t/" /tmp/results' kernel_in_vm "$build" | tee "$output" | grep --line-buffered -v '^RESULT' || status=${PIPESTATUS[0]}
sed -n 's/^RESULT\t//p' "$output" >>"$results"
exit "$status"
