# shellcheck shell=sh
# Writes a zip archive with one stored member byte by byte, so that a test can put any value into any header field.
#   onezip ARCHIVE     with, from the environment: host_version host method internal external

le16() {
  printf "\\$(printf %03o $(($1 & 255)))\\$(printf %03o $(($1 >> 8 & 255)))"
}

le32() {
  le16 $(($1 & 65535))
  le16 $(($1 >> 16 & 65535))
}

# The fields that the local and the central header have in common, of a member that holds "hello\n".
member() {
  le16 20                        # version needed
  le16 0                         # flags
  le16 "${method:-0}"
  le16 0; le16 33                # 1 January 1980
  le32 $((0x363a3020))           # CRC-32
  le32 6; le32 6                 # sizes
  le16 6; le16 0                 # lengths of the name and of the extra field
}

onezip() {
  {
    printf 'PK\003\004'; member; printf 'member'; printf 'hello\n'
    printf 'PK\001\002'
    le16 $(((${host:-3} << 8) + ${host_version:-30}))
    member
    le16 0; le16 0               # comment, disk
    le16 "${internal:-0}"
    le32 "${external:-$((0x81a40000))}"
    le32 0                       # where the local header is
    printf 'member'
    printf 'PK\005\006'; le16 0; le16 0; le16 1; le16 1; le32 52; le32 42; le16 0
  } >"$1"
}

# A directory of the test's own, gone when it ends.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
