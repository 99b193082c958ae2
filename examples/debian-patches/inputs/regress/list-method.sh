#!/bin/sh
# unzip -v must list a member with an absurd compression method (CVE-2014-9913).
set -eu
. "$(dirname "$0")/onezip.sh"
method=65535 onezip "$scratch/t.zip"
./unzip -v "$scratch/t.zip" | grep -q 'FFFF'
