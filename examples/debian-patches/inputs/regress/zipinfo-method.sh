#!/bin/sh
# zipinfo must list a member with an absurd compression method (CVE-2016-9844).
set -eu
. "$(dirname "$0")/onezip.sh"
method=65535 onezip "$scratch/t.zip"
./unzip -Z "$scratch/t.zip" | grep -q 'FFFF'
