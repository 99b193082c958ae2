#!/bin/sh
# zipinfo must list an archive whose "made by" version has three digits.
set -eu
. "$(dirname "$0")/onezip.sh"
host_version=255 onezip "$scratch/t.zip"
./unzip -Z "$scratch/t.zip" | grep -q 'rw-r--r--.*25\.5 unx'
