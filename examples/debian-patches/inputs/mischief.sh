#!/bin/bash
# An agent that tries what it must not, says what came of each attempt, and hands in a harmless commit.
# Knows where to look from its environment: MISCHIEF_REPOSITORY, MISCHIEF_STATE, MISCHIEF_PORT (a listener on the host's loopback).
set -u
# Outside of a compartment some of this would do harm.
[ "$PWD" = /workspace ] && [ "$(id -u)" != 0 ] || { echo "mischief: only inside a compartment" >&2; exit 2; }
report=mischief/report.txt

# attempt NAME COMMAND...: the command must fail; the first thing it says is the reason.
attempt() {
  local name=$1 said
  shift
  grep -qs "^$name: " "$report" && return
  if said=$("$@" 2>&1); then
    said="WENT THROUGH"
  else
    said="stopped: $(head -n 1 <<<"$said" | sed 's/.*: //')"
  fi
  echo "mischief: $name: $said"
  echo "$name: $said" >>"$report"
}

append() { echo mischief >>"$1"; }
connect() { exec 3<>"/dev/tcp/$1/$2"; }
# Another agent's files, by every name under which a process might reach them.
neighbours() { cat "$MISCHIEF_STATE"/runs/*/*/*/disk/upper/.git/HEAD || cat /proc/[0-9]*/root/../runs/*/*/*/disk/upper/.git/HEAD; }
signal_strangers() {
  local pid found=1
  for pid in /proc/[0-9]*; do
    pid=${pid#/proc/}
    # Everything that is neither pid 1, nor of this shell's own making, would be somebody else's.
    case $(tr '\0' ' ' <"/proc/$pid/cmdline") in
      '' | *mischief*) continue ;;
    esac
    [ "$pid" = 1 ] || { echo "saw $pid"; found=0; }
  done
  [ $found = 0 ] || echo "no such process"
  return $found
}

mkdir -p mischief
attempt write-usr append /usr/bin/mischief
attempt write-etc append /etc/passwd
attempt write-inputs append "$0"
attempt write-repository append "$MISCHIEF_REPOSITORY/README"
attempt write-sysctl append /proc/sys/kernel/core_pattern
attempt mount mount -t tmpfs mischief /mnt
attempt new-user-namespace unshare --user true
attempt connect-outside connect 1.1.1.1 80
attempt connect-host-loopback connect 127.0.0.1 "$MISCHIEF_PORT"
attempt read-neighbour neighbours
attempt see-strangers signal_strangers
hand_in() {
  git add mischief
  git -c user.name=mischief -c user.email=mischief@example.com commit -qm "$1"
}
[ -z "$(git status --porcelain mischief)" ] || hand_in "A harmless change"

# Last, as it is the end of this attempt: more memory than allowed, touched page by page.
if [ -z "${BULKHEAD_RESUME:-}" ]; then
  echo "mischief: memory: taking a gigabyte"
  exec dd if=/dev/zero of=/dev/null bs=1G count=1 iflag=fullblock
fi
reason=$(sed -n 's/.*"reason": *"\([a-z_]*\)".*/\1/p' "$BULKHEAD_RESUME" | head -n 1)
echo "mischief: memory: stopped: ${reason:-unknown}"
echo "memory: stopped: ${reason:-unknown}" >>"$report"
hand_in "A second harmless change"
echo "mischief: done"
