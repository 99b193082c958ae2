#!/bin/bash
# Runs the kernel tests and the attacks in a virtual machine with cgroup v2 alone, and appends what came of each to RESULTS (see gtest_run.py).
#   kernel_in_vm.sh RESULTS [BUILD [KERNEL]]      KERNEL is 6.1 where not given; see scripts/vm
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
results=$1
build=${2:-build}
kernel=${3:-6.1}
name=v2
[ "$kernel" = 6.1 ] || name=v2-$kernel
output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
# shellcheck disable=SC2016 # expanded inside the machine
scripts/vm --kernel "$kernel" --show "$build" --timeout "${BULKHEAD_VM_TIMEOUT:-2700}" -- bash -c '
  mkdir -p /tmp/home && export HOME=/tmp/home
  python3 tests/support/traces.py >/tmp/before
  python3 tests/support/gtest_run.py /tmp/results "kernel-$2" "$1"/tests/kernel_*
  BULKHEAD_ATTACK_TIMEOUT=600 python3 tests/attack/run.py --quiet --results /tmp/results --prefix "attack-$2" \
    --bin "$1/bin" --attack "$1/attack/attack" || grep -q "^failed.attack-$2/" /tmp/results ||
    printf "failed\tattack-%s\tended early\n" "$2" >>/tmp/results
  python3 tests/support/traces.py | comm -13 /tmp/before - >/tmp/left
  if [ -s /tmp/left ]; then
    printf "failed\tkernel-%s/left-behind\t%s\n" "$2" "$(paste -sd, /tmp/left)" >>/tmp/results
  fi
  sed "s/^/RESULT\t/" /tmp/results' kernel_in_vm "$build" "$name" | tee "$output" | grep --line-buffered -v '^RESULT' || status=${PIPESTATUS[0]}
sed -n 's/^RESULT\t//p' "$output" >>"$results"
exit "$status"
