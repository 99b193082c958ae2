#!/bin/sh
# zipgrep must not stumble over an archive in which no member matches.
set -eu
. "$(dirname "$0")/onezip.sh"
onezip "$scratch/t.zip"
PATH=$PWD:$PATH sh unix/zipgrep hello "$scratch/t.zip" absent >"$scratch/out" 2>&1 || true
grep -q 'not matched' "$scratch/out"
! grep -q 'test:\|Illegal number' "$scratch/out"
