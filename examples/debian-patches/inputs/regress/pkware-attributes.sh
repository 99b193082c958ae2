#!/bin/sh
# With PKWARE's verification bit the upper attribute bytes are a checksum: they must not turn a file into a link.
set -eu
. "$(dirname "$0")/onezip.sh"
host=0 internal=4 external=$((0xa1800000)) onezip "$scratch/t.zip"
./unzip -q -d "$scratch" "$scratch/t.zip"
test -f "$scratch/member" && test ! -L "$scratch/member"
