#!/bin/bash
# Roots from OCI images: unpacked once, used by single sandboxes and by runs, by several at once, and after a maker was
# killed half way.
. "$(dirname "$0")/../support/e2e.sh"
make_image() { python3 "$root/tests/support/oci_image.py" "$@"; }
in_image() { bulkhead sandbox run --policy "$scratch/image.json" -- "$@"; }
policy() { # MEMBERS OF root
  printf '{"version": 1, "name": "image", "root": {"from": "image", "path": "%s", %s}}\n' "$scratch/layout" "$1" >"$scratch/image.json"
}
unpacked() { find "$state/images" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort | paste -sd' '; }

# Of a store's uid ranges, the host's last 64, nobody holds one but while a worker runs. LAUNCHER: its pid.
holds_no_store_range() {
  local held number
  held=$(sed -n 's/^lock:.* OFDLCK .* \([0-9]*\) \([0-9]*\)$/\1/p' "/proc/$1/fdinfo/"*)
  [ -n "$held" ] || fail "no locks of ranges were found"
  for number in $held; do
    [ "$number" -lt 4032 ] || fail "it holds a store's range while commands run: $number"
  done
}

# A small real root, and a second layer that hides and replaces.
busybox=$(command -v busybox) || fail "no busybox: scripts/setup installs it"
mkdir -p "$scratch"/{lower/{bin,etc,gone},upper/{etc,opt}}
cp "$busybox" "$scratch/lower/bin/busybox"
for name in sh ls cat sed id touch mkdir test stat sleep true; do ln -s busybox "$scratch/lower/bin/$name"; done
echo 'root:x:0:0::/:/bin/sh' >"$scratch/lower/etc/passwd"
echo lower >"$scratch/lower/etc/which"
echo secret >"$scratch/lower/etc/shadow"
chmod 600 "$scratch/lower/etc/shadow"
install -m 4755 "$busybox" "$scratch/lower/bin/su"
mkfifo "$scratch/lower/pipe"
echo upper >"$scratch/upper/etc/which"
touch "$scratch/upper/.wh.gone"
digest=$(make_image "$scratch/layout" one --env PATH=/bin --env GREETING=hello "$scratch/lower" "$scratch/upper")
key=${digest#sha256:}

# The plan names the image, and unpacks nothing; the first command does.
policy '"reference": "one", "environment": ["PATH", "GREETING"]'
expect 0 "ok: image" bulkhead policy check "$scratch/image.json"
expect 0 "$key" bulkhead sandbox plan --policy "$scratch/image.json"
same "unpacked by a plan" "" "$(unpacked)"
expect 0 "unpacking the image" in_image true
grep -qxF "bulkhead: 1 device node, pipe or socket of the image was left out" "$output" || fail "nothing is said of the pipe"
same "unpacked" "$key" "$(unpacked)"
expect 0 "" in_image true
[ ! -s "$output" ] || fail "unpacked twice"

# What is in it, and what is not.
same "the upper layer" "upper" "$(in_image cat /etc/which)"
same "variables" "hello /bin" "$(in_image sh -c 'echo $GREETING $PATH')"
same "identity" "1000" "$(in_image id -u)"
same "hosts" "127.0.0.1	localhost bulkhead" "$(in_image sed 1q /etc/hosts)"
expect 1 "" in_image test -e /gone
expect 1 "" in_image test -e /pipe
expect 1 "Permission denied" in_image cat /etc/shadow
same "setuid bits" "755" "$(in_image stat -c %a /bin/su)"
expect 1 "Read-only file system" in_image touch /etc/which
expect 1 "Read-only file system" in_image mkdir /new
expect 0 "" in_image sh -c 'test -d /proc/self && echo x >/tmp/x && echo y >/home/agent/y && test -c /dev/null'
same "mode of the store" "700" "$(stat -c %a "$state/images")"
same "what a sandbox added to the image" "bin etc opt" "$(ls "$state/images/$key/tree" | paste -sd' ')"

# Pinned: by its digest alone, also when the layout is gone; another digest is another image.
policy "\"digest\": \"$digest\""
mv "$scratch/layout" "$scratch/away"
expect 0 "" in_image true
mv "$scratch/away" "$scratch/layout"
policy "\"digest\": \"sha256:$(printf '0%.0s' $(seq 64))\""
expect 2 "No such file" in_image true
policy '"reference": "two"'
expect 2 "none has the reference 'two'" in_image true

# It is read by somebody who is nobody on this host.
policy '"reference": "one"'
chmod 600 "$scratch/layout/index.json"
expect 2 "chmod -R a+rX $scratch/layout" in_image true
chmod 644 "$scratch/layout/index.json"

# A link is not followed: a plan and a run say the same.
ln -s layout "$scratch/link"
sed -i "s,$scratch/layout,$scratch/link," "$scratch/image.json"
for verb in plan run; do
  expect 2 "open image layout $scratch/link: is a symbolic link" bulkhead sandbox $verb --policy "$scratch/image.json" -- true
done

# A damaged image leaves nothing.
policy '"reference": "two"'
two=$(make_image "$scratch/layout" two "$scratch/lower")
layer=$(find "$scratch/layout/blobs" -type f -size +100k -newer "$scratch/image.json" | head -n 1)
cp "$layer" "$scratch/layer"
printf X | dd of="$layer" bs=1 seek=1000 conv=notrunc status=none
expect 2 "its content is sha256:" in_image true
same "after a damaged image" "$key" "$(unpacked)"
cp "$scratch/layer" "$layer"
policy '"reference": "two", "size": "1Mi"'
expect 2 "larger than 1Mi" in_image true
same "after one that is too large" "$key" "$(unpacked)"

# Two at once: one unpacks, both run.
policy '"reference": "two"'
in_image true >"$scratch/a" 2>&1 &
first=$!
in_image true >"$scratch/b" 2>&1 || fail "the second of two: $(cat "$scratch/b")"
wait "$first" || fail "the first of two: $(cat "$scratch/a")"
same "unpacked once" 1 "$(cat "$scratch/a" "$scratch/b" | grep -c 'unpacking the image')"
same "both" "$(printf '%s\n' "$key" "${two#sha256:}" | sort | paste -sd' ')" "$(unpacked)"

# While somebody makes it nobody else begins; who waits makes it where nothing came of that. The lock is all that says so.
waited=$(make_image "$scratch/layout" waited "$scratch/upper" "$scratch/lower")
policy '"reference": "waited"'
hold() { # KEY: as who makes it; until descriptor 9 is closed
  mkdir -p "$state/images/$1.making"
  exec 9<"$state/images/$1.making"
  flock --exclusive --nonblock 9
}
hold "${waited#sha256:}"
in_image true >"$scratch/e" 2>&1 9<&- &
waiter=$!
wait_for grep -q "another command is unpacking" "$scratch/e"
grep -q 'unpacking the image' "$scratch/e" && fail "it began while another was at it"
exec 9<&-
wait "$waiter" || fail "the one that waited: $(cat "$scratch/e")"
same "unpacked once" 1 "$(grep -c 'unpacking the image' "$scratch/e")"

# Killed half way: nobody uses what is left, and the next one makes it anew.
mkdir "$scratch/large"
head -c 96M /dev/urandom >"$scratch/large/data"
three=$(make_image "$scratch/layout" three --plain "$scratch/upper" "$scratch/lower" "$scratch/large")
policy '"reference": "three"'
"$binaries/bulkhead" --state "$state" sandbox run --policy "$scratch/image.json" -- true >"$scratch/c" 2>&1 &
maker=$!
until [ -d "$state/images/${three#sha256:}.making" ]; do
  kill -0 "$maker" 2>/dev/null || fail "it was unpacked before anybody could kill it"
done
kill -9 "$maker"
wait "$maker" 2>/dev/null && fail "the maker was not killed"
finds_half() { ! bulkhead clean --check >"$scratch/leftovers" && grep -q half-unpacked "$scratch/leftovers"; }
[ -d "$state/images/${three#sha256:}.making" ] || fail "it was whole before it could be killed"
wait_for finds_half
expect 0 "unpacking the image" in_image true
same "all of it" 100663296 "$(in_image stat -c %s /data)"
# Where the dead one's range was not to be had, what it made is left.
expect 0 "" bulkhead clean
expect 0 "nothing left behind" bulkhead clean --check

# In a run: the agent's command, its workspace and its verification.
make_repository "$scratch/repository"
cat >"$scratch/run.yaml" <<W
version: 1
repository: repository
base: main
merge: {into: merged}
policy: image.json
tasks:
  a: {command: "/bin/cat /etc/which >which; echo \$GREETING >>which", verify: /bin/test -s which}
  b: {command: "/bin/id -u >uid"}
W
policy '"reference": "one", "environment": ["GREETING", "PATH"]'
(cd "$scratch" && expect 0 "" bulkhead run --name images "$scratch/run.yaml")
same "what a made" "upper hello" "$(git -C "$scratch/repository" show merged:which | paste -sd' ')"
same "what b made" "1000" "$(git -C "$scratch/repository" show merged:uid)"
policy '"reference": "four"'
(cd "$scratch" && expect 2 "none has the reference 'four'" bulkhead run --name refused "$scratch/run.yaml")
nothing_left "by runs with images"

# A run on an image that is damaged begins nothing, and what was unpacked of it goes; mended, it is taken.
mkdir "$scratch/more"
head -c 100000 /dev/urandom >"$scratch/more/data"
four=$(make_image "$scratch/layout" four "$scratch/lower" "$scratch/more")
layer=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["layers"][1]["digest"].split(":")[1])' \
  "$scratch/layout/blobs/sha256/${four#sha256:}")
layer=$scratch/layout/blobs/sha256/$layer
cp "$layer" "$scratch/layer"
printf X | dd of="$layer" bs=1 seek=1000 conv=notrunc status=none
before=$(unpacked)
(cd "$scratch" && expect 2 "its content is sha256:" bulkhead run --name damaged "$scratch/run.yaml")
same "after a run on a damaged image" "$before" "$(unpacked)"
nothing_left "by a run on a damaged image"
cp "$scratch/layer" "$layer"
policy '"reference": "four", "environment": []'
sed 's/ echo \$GREETING/ stat -c %s \/data/; s/merged/mended/' "$scratch/run.yaml" >"$scratch/mended.yaml"
(cd "$scratch" && expect 0 "" bulkhead run --name mended "$scratch/mended.yaml")
grep -q "mended: unpacked 2 layers, .*; 1 device node" "$state/bulkheadd.log" || fail "bulkheadd does not say what it unpacked"
same "what a made" "lower 100000" "$(git -C "$scratch/repository" show mended:which | paste -sd' ')"

# A run that waits for an image keeps those that it has, also when the launcher dies meanwhile.
five=$(make_image "$scratch/layout" five --plain "$scratch/upper" "$scratch/lower")
cp "$scratch/image.json" "$scratch/first.json"
policy '"reference": "five"'
cat >"$scratch/wait.yaml" <<W
version: 1
repository: repository
base: main
tasks:
  a: {policy: first.json, command: "/bin/sleep 1003"}
  b: {policy: image.json, command: "/bin/sleep 1004"}
W
over() { ! kill -0 "$run" 2>/dev/null; }
both_run() { [ -n "$(agents_that "/bin/sleep 1003")" ] && [ -n "$(agents_that "/bin/sleep 1004")" ]; }
another_launcher() { grep -q "another one carries on" "$state/bulkheadd.log" || over; }
both_run_or_over() { both_run || over; }
# One that was asking the launcher something just when it died is refused: then once more.
for ((try = 1; try <= 30; ++try)); do
  rm -f "$state/bulkheadd.log"
  hold "${five#sha256:}"
  (cd "$scratch" && exec "$binaries/bulkhead" --state "$state" run --name "waits$try" wait.yaml) >"$scratch/f" 2>&1 9<&- &
  run=$!
  wait_for grep -q "waits$try: another is unpacking the image" "$state/bulkheadd.log"
  kill -KILL "$(ours bulkhead-launcher)"
  wait_for another_launcher
  exec 9<&-
  wait_for both_run_or_over
  over || break
  grep -q "it ended before it answered" "$scratch/f" || fail "the run was refused: $(cat "$scratch/f")"
done
over && fail "each of $try runs was refused"
expect 0 "" bulkhead clean --images
same "in use by a run" "$(printf '%s\n' "${four#sha256:}" "${five#sha256:}" | sort | paste -sd' ')" "$(unpacked)"
holds_no_store_range "$(ours bulkhead-launcher)"
kill -TERM "$run"
status=0
wait "$run" || status=$?
[ "$status" != 0 ] || fail "the run that was ended says that it is done"
nothing_left "by a run that was ended"
expect 0 "" bulkhead clean --images

# In use it stays; unused it goes when it is asked for.
policy '"reference": "one", "environment": ["PATH"]'
expect 0 "" in_image true
"$binaries/bulkhead" --state "$state" sandbox run --policy "$scratch/image.json" -- sh -c 'echo ready; sleep 1000' >"$scratch/d" 2>&1 &
user=$!
wait_for grep -q ready "$scratch/d"
expect 0 "" bulkhead clean --images
same "in use" "$key" "$(unpacked)"
holds_no_store_range "$(tr -d ' ' <"/proc/$user/task/$user/children")"
kill -TERM "$user"
status=0
wait "$user" || status=$?
same "what the user ends with" 143 "$status"
expect 0 "nothing left behind" bulkhead clean --check
touch -d '40 days ago' "$state/images/$key/ready"
expect 1 "unpacked image that nobody uses" bulkhead clean --check
expect 0 "" bulkhead clean
same "in the end" "" "$(unpacked)"
echo "image_roots: unpacked once, shared, pinned, refused, recovered and removed"
