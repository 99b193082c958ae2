#!/bin/sh
# The program must not carry the day it was built on.
set -eu
. "$(dirname "$0")/onezip.sh"
./unzip -v >"$scratch/version"
grep -q '^Compiled with' "$scratch/version"
! grep -q '^Compiled with.* on [A-Z]' "$scratch/version"
