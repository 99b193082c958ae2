#!/bin/bash
# One binary per trust level: what a program could do wrong is bounded by what is linked into it.
. "$(dirname "$0")/../support/e2e.sh"

needs() { readelf --dynamic --wide "$binaries/$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p'; }
links_not() {
  local program=$1 library
  shift
  needs "$program" >"$output"
  for library in "$@"; do
    ! grep -q "$library" "$output" || fail "$program links $library"
  done
}
# By name too: a static library leaves no dynamic entry.
mentions_not() {
  local program=$1 word
  shift
  for word in "$@"; do
    ! grep -qaF "$word" "$binaries/$program" || fail "$program contains $word"
  done
}

for program in bulkheadd bulkhead-launcher; do
  links_not $program libgit2 libyaml libcurl libssl libxml libz.so
  mentions_not $program git_repository_open YAML:: valijson inflateInit
done
# bulkheadd hashes with libcrypto; the launcher needs nothing of it.
links_not bulkhead-launcher libcrypto libsqlite3 libboost libspdlog libfmt
mentions_not bulkhead-launcher sqlite3_open boost::asio
links_not bulkhead-worker libsqlite3 libyaml libboost libssl
: >"$output"
same "dynamic libraries of bulkhead-init" "" "$(needs bulkhead-init)"

for program in bulkhead bulkheadd bulkhead-launcher bulkhead-init bulkhead-worker; do
  same "set-id bits of $program" 755 "$(stat -c %a "$binaries/$program")"
done
echo "trust_levels: what each program links is what its trust level may hold"
