# shellcheck shell=bash
# What the scripts share. Sourced, after `set -euo pipefail`.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Runs a command as the person the source tree belongs to, so that `sudo scripts/…` leaves no root-owned files in it.
as_owner() {
  local uid gid home
  uid=$(stat -c %u "$root")
  gid=$(stat -c %g "$root")
  if [ "$(id -u)" != 0 ] || [ "$uid" = 0 ]; then
    "$@"
    return
  fi
  home=$(getent passwd "$uid" | cut -d: -f6)
  HOME=${home:-/tmp} setpriv --reuid "$uid" --regid "$gid" --init-groups "$@"
}

need_root() {
  [ "$(id -u)" = 0 ] || { echo "${0##*/}: $1 needs root; run: sudo $0" >&2; exit 3; }
}
