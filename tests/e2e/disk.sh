#!/bin/bash
# Disks: an agent that fills its own is told so and nobody else is touched; what is refused, what a word allows, what is left.
. "$(dirname "$0")/../support/e2e.sh"
repository=$scratch/repository
make_repository "$repository"
cd "$repository"

cat >"$scratch/run.yaml" <<YAML
version: 1
repository: $repository
base: main
concurrency: 3
defaults: {limits: {disk: 32Mi, inodes: 600}}
tasks:
  bytes: {command: [sh, -c, "head -c 100M /dev/zero >big"]}
  home: {command: [sh, -c, "head -c 100M /dev/zero >~/big"]}
  inodes: {command: [python3, -c, "for i in range(2000): open(f'f{i}', 'w').close()"]}
  deleted: {command: [sh, -c, "head -c 20M /dev/zero >big && rm big && head -c 20M /dev/zero >big && rm big"]}
  fine: {command: [sh, -c, "head -c 8M /dev/zero >~/some && echo new >new && git add new && git commit -qm new"]}
  proud: {command: [sh, -c, "head -c 100M /dev/zero >~/big; exit 0"]}
YAML
expect 1 "" bulkhead run --name full "$scratch/run.yaml"
for agent in bytes home; do
  same "$agent" disk_full "$(report full "agents['$agent']['attempts'][0]['ended']['reason']")"
  grep -qE "^ *[0-9.]+s +$agent +out of disk after .*, by /limits/disk .*limits\.disk 32Mi" "$output" ||
    fail "$agent: not said on the terminal"
  [[ $(report full "agents['$agent']['attempts'][0]['ended']['detail']") == "disk full: used "*"Mi of limits.disk 32Mi" ]] ||
    fail "$agent: $(report full "agents['$agent']['attempts'][0]['ended']['detail']")"
  same "$agent: the line behind it" /limits/disk "$(report full "agents['$agent']['attempts'][0]['ended']['rule']")"
done
same inodes disk_full "$(report full "agents['inodes']['attempts'][0]['ended']['reason']")"
same "inodes: the line behind it" /limits/inodes "$(report full "agents['inodes']['attempts'][0]['ended']['rule']")"
for agent in fine deleted proud; do same "$agent" done "$(report full "agents['$agent']['outcome']")"; done
[ "$(report full "agents['fine']['attempts'][0]['disk']['bytes'] >= 8 << 20")" = True ] || fail "its use of the disk is not reported"
same "full, and went on" "writing to a full disk" "$(report full "agents['proud']['denied'][0]['what']")"
same "its work" new "$(git show bulkhead/full/fine:new)"
nothing_left "after disks were filled"

# A checkpoint, and an attempt that goes on from it, with a sparse file that no disk could hold.
cat >"$scratch/again.yaml" <<YAML
version: 1
repository: $repository
base: main
tasks:
  again:
    limits: {disk: 32Mi}
    restart: {attempts: 2, backoff: 10ms}
    inputs: {/go: go}
    command:
      - sh
      - -c
      - |
        if [ "\$BULKHEAD_ATTEMPT" = 1 ]; then
          truncate -s 1T ~/sparse && head -c 4M /dev/zero >~/some && echo a >a && git add a && git commit -qm a
          until [ -e /go/on ]; do sleep 0.05; done
          head -c 100M /dev/zero >big
        else
          test "\$(stat -c %s ~/sparse)" = 1099511627776 && test "\$(stat -c %s ~/some)" = 4194304 && test ! -e big && cat a
        fi
YAML
mkdir "$scratch/go"
seen() { report "$1" "agents['$2']['checkpoints'][0]" | grep -qE "'taken': True|'problem': '[^']"; }
goes_on() { # RUN AGENT: once its first checkpoint was tried
  local status=0 run
  rm -f "$scratch/go/on"
  bulkhead run --name "$1" "$scratch/$1.yaml" >"$scratch/client" 2>&1 &
  run=$!
  wait_for seen "$1" "$2"
  touch "$scratch/go/on"
  wait "$run" || status=$?
  cp "$scratch/client" "$output"
  same "how run $1 ended" 0 "$status"
}
goes_on again again
same "first attempt" disk_full "$(report again "agents['again']['attempts'][0]['ended']['reason']")"
same "second attempt" 1 "$(report again "agents['again']['attempts'][1]['resumed_from']['n']")"
nothing_left "after a second attempt"

# A checkpoint would hold more names than it may: it is not taken, which the report says, and the agent works on.
cat >"$scratch/names.yaml" <<YAML
version: 1
repository: $repository
base: main
tasks:
  names:
    limits: {disk: 32Mi, inodes: 600}
    inputs: {/go: go}
    command:
      - python3
      - -c
      - |
        import os, subprocess, time
        open('/home/agent/f', 'w').close()
        for i in range(1000): os.link('/home/agent/f', f'/home/agent/l{i}')
        open('new', 'w').close()
        subprocess.check_call('git add new && git commit -qm new', shell=True)
        while not os.path.exists('/go/on'): time.sleep(0.05)
YAML
goes_on names names
[[ $(report names "agents['names']['checkpoints'][0]['problem']") == *"it has more than "*" files"* ]] ||
  fail "the checkpoint: $(report names "agents['names']['checkpoints'][0]")"
same "its work" done "$(report names "agents['names']['outcome']")"
nothing_left "after a checkpoint that was not taken"

# A host without loop devices and quotas says what it lacks, before anything has begun; a word lets it go on.
if [ "$(bulkhead doctor | sed -n 's/^disk bounds *yes *//p')" = "file systems in images, on loop devices" ]; then
  without() { unshare -m sh -c 'mount --bind /dev/null /dev/loop-control && exec "$@"' sh "$binaries/bulkhead" --state "$scratch/other" "$@"; }
  expect 2 "this host cannot bound a disk" without run --name none -- true
  grep -qF "'unbounded-disk'" "$output" || fail "the word is not named"
  echo '{"version": 1, "allow": ["unbounded-disk"]}' >"$scratch/word.json"
  expect 0 "" without run --policy "$scratch/word.json" --name word -- sh -c 'head -c 1M /dev/zero >~/some'
  grep -qF "without the wall disk-bounds: task" "$output" || fail "that its disk is not bounded is not said"
  state=$scratch/other report word "run['missing_walls']" | grep -qF "attach loop device" || fail "the report does not say why"
  expect 0 "workspaces are refused" without doctor
  grep -q "^disk bounds *no " "$output" || fail "doctor does not say it"
  # The word is for what a host lacks, and not for what fails once.
  once() { unshare -m sh -c 'd=$1/disks && shift && mount --bind "$d" "$d" && mount -o remount,bind,ro "$d" && exec "$@"' sh "$@"; }
  mkdir -m 700 "$scratch/third" "$scratch/third/disks"
  expect 2 "its disk could not be bounded" once "$scratch/third" "$binaries/bulkhead" --state "$scratch/third" run --policy "$scratch/word.json" -- true
fi
echo '{"version": 1, "allow": ["unbounded-disk"], "limits": {"disk": "unlimited"}}' >"$scratch/unlimited.json"
expect 0 "" bulkhead run --policy "$scratch/unlimited.json" --name unlimited -- sh -c 'head -c 1M /dev/zero >~/some'
nothing_left "after a disk without a bound"
expect 0 "nothing left behind" bulkhead clean --check

# A doctor that was killed while it tried; one that still tries is left alone.
mkdir "$state/bulkhead-try-killed" "$state/bulkhead-try-alive"
mkdir "$state/bulkhead-try-killed/lower"
exec 7<"$state/bulkhead-try-alive"
flock 7
expect 0 "removed directory of a try" bulkhead clean
[ ! -e "$state/bulkhead-try-killed" ] && [ -e "$state/bulkhead-try-alive" ] || fail "clean took the wrong one"
exec 7<&-
expect 0 "bulkhead-try-alive" bulkhead clean
expect 0 "nothing left behind" bulkhead clean --check

# Kept workspaces keep their disk: an image, or under a quota what stands in it, until they are asked for.
expect 0 "" bulkhead run --keep-workspaces --name kept -- sh -c 'echo kept >new'
kept() { find "$state/runs/kept" -name 'disk-*.img' -size +0 -o -path '*/disk/upper/new' | grep -q .; }
kept || fail "the kept workspace has no disk"
expect 0 "nothing left behind" bulkhead clean
kept || fail "clean took a kept workspace's disk"
expect 0 "" bulkhead clean --kept
nothing_left "after kept workspaces were cleaned"

# A launcher that nobody is left for: when clean says that nothing is left, nothing is.
status=0
"$binaries/bulkhead" --state "$state" run --name alone -- sh -c 'head -c 24M /dev/zero >big; exec sleep 1004' >"$scratch/client" 2>&1 &
runs() { [ -n "$(agents_that "sleep 1004")" ]; }
wait_for runs
kill -KILL "$(ours bulkheadd)"
wait $! || status=$?
same "the client's status" 5 "$status"
rm "$state"/journal.db*
expect 0 "ended launcher without a daemon" bulkhead clean
traces >"$output"
[ ! -s "$output" ] || fail "clean did not wait for what the launcher had"
echo "disk: filled by bytes and by inodes, reported, and nobody else touched"
