#!/bin/bash
# Everything on this machine that Bulkhead could have left behind, one "kind name" a line, sorted.
# Comparing the output from before and after a run shows what that run left.
set -u
{
  find /sys/fs/cgroup -type d -iname '*bulkhead*' -printf 'cgroup %p\n' 2>/dev/null
  for mountinfo in /proc/[0-9]*/mountinfo; do
    awk '$5 ~ /bulkhead/ || / - overlay .*bulkhead/ {print "mount " $5}' "$mountinfo" 2>/dev/null
  done
  for process in /proc/[0-9]*; do
    # Bulkhead's own programs by their file, agents and workers by their uid range (0x70000000 and up).
    program=$(readlink "$process/exe" 2>/dev/null) || continue
    uid=$(awk '$1 == "Uid:" {print $2}' "$process/status" 2>/dev/null)
    case ${program##*/} in
      bulkhead*) echo "process ${process#/proc/} $program" ;;
      *) [ "${uid:-0}" -lt 1879048192 ] || echo "process ${process#/proc/} $program" ;;
    esac
    echo "network-namespace $(readlink "$process/ns/net" 2>/dev/null)"
  done
  find /run/netns -mindepth 1 -printf 'network-namespace %p\n' 2>/dev/null
  # The lock that keeps launchers from taking the same uid range stays; removing it would race.
  find /tmp /var/tmp /dev/shm -maxdepth 1 -iname '*bulkhead*' -printf 'file %p\n' 2>/dev/null
  find /run/bulkhead -mindepth 1 ! -name uid-ranges.lock -printf 'file %p\n' 2>/dev/null
  [ ! -e /var/lib/bulkhead ] || echo 'file /var/lib/bulkhead'
} | sort -u
