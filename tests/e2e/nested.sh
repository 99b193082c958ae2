#!/bin/bash
# Nested mode: below containers that give less, each missing wall is named, and the policy's `require` decides. The containers are
# made here: mounts of our own over what a container hides, and tests/support/confine.c.
. "$(dirname "$0")/../support/e2e.sh"
confine=${BULKHEAD_CONFINE:-$root/build/tests/confine}
[ -x "$confine" ] || fail "build it first: ninja confine"

default_walls=(user-namespace no-namespaces-below fresh-proc limits landlock keyring)
but() { # WALL…: a policy that requires all but these
  local wall words=
  for wall in "${default_walls[@]}"; do [[ " $* " == *" $wall "* ]] || words+="${words:+, }$wall"; done
  printf 'version: 1\nname: nested\nrequire: [%s]\n' "$words" >"$scratch/without.yaml"
}
run() { "$@" "$binaries/bulkhead" --state "$state" sandbox run --policy "$policy" --report "$scratch/report.json" -- "${command[@]}"; }
missing_in_report() { python3 -c 'import json, sys; print(" ".join(sorted(json.load(open(sys.argv[1]))["missing_walls"])))' "$scratch/report.json"; }
in_report() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2], "absent"))' "$scratch/report.json" "$1"; }

# refused WALLS ENVIRONMENT…: the default policy is refused by one error that names these walls and the line that goes on without.
refused() {
  local walls=$1 wall
  shift
  policy=default command=(true)
  expect 3 "bulkhead: missing walls: " run "$@"
  for wall in $walls; do grep -q "^bulkhead: missing walls:.*$wall: " "$output" || fail "does not name $wall"; done
  same "errors" 1 "$(grep -c '^bulkhead' "$output")"
  same "lines" 2 "$(wc -l <"$output")"
}
# goes_on WALLS ENVIRONMENT…: with a policy that requires all but these the command runs; each is named, once, and in the report.
goes_on() {
  local walls=$1 wall
  shift
  # shellcheck disable=SC2086
  but $walls
  policy=$scratch/without.yaml
  expect 0 "" run "$@"
  for wall in $walls; do
    same "warnings of $wall" 1 "$(grep -c "^bulkhead: without the wall $wall: " "$output")"
  done
  same "missing walls in the report" "$(tr ' ' '\n' <<<"$walls" | sort | paste -sd' ')" "$(missing_in_report)"
}

as_it_is=(env)
# A host that has all: nothing is left out by a policy that would go on without.
but "${default_walls[@]}"
policy=$scratch/without.yaml command=(sh -c 'id -u && test -e /proc/self')
expect 0 "1000" run "${as_it_is[@]}"
same "missing walls" "" "$(missing_in_report)"
grep -q "without the wall" "$output" && fail "something is said to be missing here"

# -- limits: the cgroup file systems are mounted read-only
read_only_cgroups() {
  unshare --mount --propagation private bash -euc '
    while read -r _ at type _; do
      case $type in cgroup | cgroup2) mount -o remount,bind,ro "$at" ;; esac
    done </proc/mounts
    exec "$@"' read_only_cgroups "$@"
}
refused limits read_only_cgroups
grep -q "Read-only file system" "$output" || fail "the kernel's answer is missing"
grep -qF "require: [user-namespace, no-namespaces-below, fresh-proc, landlock, keyring]" "$output" || fail "the line is missing"
command=(sh -c 'ulimit -p; id -u')
goes_on limits read_only_cgroups
grep -qx 512 "$output" || fail "no limit of processes stands in"
same "CPU time without a cgroup" absent "$(in_report cpu_ms)"
same "memory without a cgroup" absent "$(in_report peak_memory)"
# Fork bombs, memory and time end without a cgroup too, and nothing outlives the sandbox.
printf 'limits: {memory: 64Mi, pids: 20, wall: 2s}\n' >>"$scratch/without.yaml"
command=(sh -c 'for i in $(seq 40); do sleep 100 & done; wait')
expect 2 "" run read_only_cgroups
command=(dd if=/dev/zero of=/dev/null bs=200M count=1)
expect 1 "" run read_only_cgroups
marker="sleep 98765"
command=(sh -c "setsid $marker & $marker")
expect 124 "ran longer than 2s" run read_only_cgroups
for process in /proc/[0-9]*; do
  [ "$({ tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null)" != "$marker " ] || fail "a process outlived its sandbox: $process"
done
# So do they when the launcher is killed: nobody else would find them.
sed -i '$d' "$scratch/without.yaml"
command=(sh -c "setsid $marker & $marker")
(run read_only_cgroups >"$scratch/log" 2>&1 || true) &
caller=$!
sleeping() { grep -lxzF "${marker#sleep }" /proc/[0-9]*/cmdline 2>/dev/null; }
wait_for sleeping
for process in $(sleeping); do
  inside=$(readlink "/proc/$(cut -d/ -f3 <<<"$process")/ns/pid")
done
for process in /proc/[0-9]*; do
  [ "$(cat "$process/comm" 2>/dev/null)" = bulkhead-launch ] || continue
  child=$(tr ' ' '\n' <"$process/task/${process#/proc/}/children" | head -1)
  [ -n "$child" ] && [ "$(readlink "/proc/$child/ns/pid")" = "$inside" ] && kill -KILL "${process#/proc/}"
done
wait "$caller"
gone() { ! sleeping; }
wait_for gone

# -- fresh-proc: a container of its own user namespace, with parts of /proc hidden from outside
masked_proc() {
  unshare --mount --propagation private bash -euc '
    mount -t tmpfs -o ro tmpfs /proc/sys/fs
    exec "$@"' masked_proc "$confine" --ids 1000000 -- "$@"
}
refused fresh-proc masked_proc
command=(sh -c 'test -d /proc && test -z "$(ls -A /proc)" && ! mkdir /proc/x 2>/dev/null && id -u')
goes_on fresh-proc masked_proc
grep -qx 1000 "$output" || fail "the uid inside is not 1000"
# One in full view elsewhere is none where sandboxes are made: a sandbox has the container's /proc in sight and no other.
mkdir "$scratch/proc"
masked_with_another() {
  unshare --mount --propagation private bash -euc '
    mount -t proc proc "$1"
    shift
    mount -t tmpfs -o ro tmpfs /proc/sys/fs
    exec "$@"' masked_with_another "$scratch/proc" "$confine" --ids 1000000 -- "$@"
}
refused fresh-proc masked_with_another
goes_on fresh-proc masked_with_another
# Nothing can be observed there: said, not told as "nothing denied".
explained() { bulkhead sandbox run --policy "$policy" --explain -- cat /var/lib/dpkg/status; }
export -f bulkhead explained
export binaries state policy
expect 1 "files and network are not explained: nothing can be seen without the wall fresh-proc" masked_proc bash -c explained
expect 3 "nothing can be seen without the wall fresh-proc" masked_proc "$binaries/bulkhead" policy learn --policy "$policy" -- true
# A /proc in full view is enough for a fresh one, and nothing of the old is left below it.
policy=default command=(sh -c 'test "$(ls -d /proc/[0-9]* | wc -l)" -lt 6 && test "$(grep -c " /proc " /proc/self/mountinfo)" = 1 && id -u')
expect 0 "1000" run "$confine" --ids 1000000 --

# -- user-namespace: none can be made; or too few ids are mapped for a range
none_below=("$confine" --ids 4294967295 --none-below --)
refused user-namespace "${none_below[@]}"
grep -q "No space left on device" "$output" || fail "the kernel's answer is missing"
command=(sh -c 'test "$(id -u)" -gt 1879048192 && id -un && sed -n "s/^CapBnd:[[:space:]]*//p" /proc/self/status')
goes_on user-namespace "${none_below[@]}"
grep -qx agent "$output" || fail "the uid has no name inside"
grep -qx 0000000000000000 "$output" || fail "capabilities are left in the bounding set"
few_ids=("$confine" --ids 65536 --)
refused "user-namespace no-namespaces-below" "${few_ids[@]}"
command=(sh -c 'test "$(id -u)" -ge 52000 && test "$(id -u)" -lt 60000')
goes_on "user-namespace no-namespaces-below" "${few_ids[@]}"
expect 3 "no ids of a sandbox's own are mapped here" env -- "$confine" --ids 1000 -- "$binaries/bulkhead" sandbox run --policy "$scratch/without.yaml" -- true
# Without the one there is nothing to forbid the other in: it is missing too, and required of itself.
but user-namespace
expect 3 "missing walls: no-namespaces-below:" run "${few_ids[@]}"

# -- no-namespaces-below: /proc/sys is read-only, and a user namespace keeps the launcher from another proc to write through
read_only_sys() {
  unshare --mount --propagation private bash -euc '
    mount --bind /proc/sys /proc/sys
    mount -o remount,bind,ro /proc/sys
    exec "$@"' read_only_sys "$confine" --ids 1000000 -- "$@"
}
refused "no-namespaces-below fresh-proc" read_only_sys
command=(sh -c 'id -u; ! unshare --user true')
goes_on "no-namespaces-below fresh-proc" read_only_sys
but fresh-proc
expect 3 "missing walls: no-namespaces-below:" run read_only_sys

# -- landlock, keyring: a container's filter refuses the calls
refused landlock "$confine" --deny landlock_create_ruleset --
command=(sh -c 'id -u; ! touch /usr/x')
goes_on landlock "$confine" --deny landlock_create_ruleset --
refused keyring "$confine" --deny keyctl --
goes_on keyring "$confine" --deny keyctl --
# As if the kernel had none, which has.
refused keyring "$confine" --deny keyctl=ENOSYS --
goes_on keyring "$confine" --deny keyctl=ENOSYS --
# Both at once: one error names both, one policy goes on without both, and requiring one of them is enough to refuse.
refused "landlock keyring" "$confine" --deny keyctl,landlock_create_ruleset --
goes_on "landlock keyring" "$confine" --deny keyctl,landlock_create_ruleset --
but keyring
expect 3 "missing walls: landlock:" run "$confine" --deny keyctl,landlock_create_ruleset --

# -- refusals-seen: somebody above listens. Refused all the same; only a policy that says so is refused for it.
policy=default command=(sh -c 'unshare --mount true; test $? != 0')
expect 0 "without the wall refusals-seen: Device or resource busy" run "$confine" --listen --
same "missing walls" refusals-seen "$(missing_in_report)"
same "denials seen" "[]" "$(in_report denied)"
printf 'version: 1\nrequire: [refusals-seen]\n' >"$scratch/seen.yaml"
policy=$scratch/seen.yaml
expect 3 "missing walls: refusals-seen: seccomp listener: Device or resource busy" run "$confine" --listen --
expect 0 "" run "${as_it_is[@]}"
policy=default
expect 0 "" "$confine" --listen -- "$binaries/bulkhead" sandbox run --quiet -- true
[ ! -s "$output" ] || fail "--quiet is not"

# -- nothing goes on without these: one error that lists them
while read -r calls walls; do
  refused "$walls" "$confine" --deny "$calls" --
  grep -q "no policy goes on without" "$output" || fail "--deny $calls: does not say that no policy goes on"
done <<'CALLS'
unshare namespaces mounts network user-namespace fresh-proc
clone3 namespaces user-namespace fresh-proc limits
setns mounts user-namespace
mount,open_tree,fsopen mounts user-namespace fresh-proc
pivot_root mounts fresh-proc
CALLS
refused "namespaces mounts network user-namespace fresh-proc" "$confine" --drop 21 --
printf 'version: 1\nrequire: []\n' >"$scratch/nothing.yaml"
policy=$scratch/nothing.yaml
expect 3 "missing walls: " run "$confine" --drop 21 --

# -- a root directory that is no mount point
in_a_chroot() {
  # shellcheck disable=SC2016
  unshare --mount --propagation private bash -euc '
    outside=$1 root=$1/root source=$2
    shift 2
    mount -t tmpfs tmpfs "$outside"
    mkdir -p "$root"/{proc,sys,tmp,run,var/lib,"$source"}
    echo secret >"$outside/secret"
    for entry in /usr /etc /dev /sys; do mkdir -p "$root$entry"; mount --rbind "$entry" "$root$entry"; done
    for link in bin sbin lib lib64; do ln -s "usr/$link" "$root/$link"; done
    mount -t proc proc "$root/proc"
    mount --rbind "$source" "$root$source"
    exec chroot "$root" "$@"' in_a_chroot "$scratch/chroot" "$root" "$@"
}
mkdir "$scratch/chroot"
expect 0 "1000" in_a_chroot "$binaries/bulkhead" sandbox run -- sh -c 'id -u'
expect 0 "" in_a_chroot "$binaries/bulkhead" doctor

# -- the plan says what is left out, and the doctor what would go on without it
but limits
expect 0 "# without limits: " read_only_cgroups "$binaries/bulkhead" sandbox plan --policy "$scratch/without.yaml"
grep -q "left out: limit_cgroup memory 2Gi" "$output" || fail "the plan does not say what is left out"
expect 3 "missing walls: limits" read_only_cgroups "$binaries/bulkhead" sandbox plan
expect 0 "a sandbox            yes" bulkhead doctor
expect 3 "require: [user-namespace, no-namespaces-below, fresh-proc, landlock, keyring]" read_only_cgroups "$binaries/bulkhead" doctor
expect 3 "" read_only_cgroups "$binaries/bulkhead" doctor --json
python3 - "$output" <<'PYTHON' || fail "the doctor's JSON is not right"
import json, sys
said = json.load(open(sys.argv[1]))
missing = {wall["name"] for wall in said["walls"] if not wall["present"]}
assert missing == {"limits"}, missing
assert said["sandbox"].startswith("missing walls: limits"), said["sandbox"]
assert said["policy_line"].startswith("require: ["), said["policy_line"]
PYTHON

# Where a wall cannot be tried for want of descriptors nobody knows, and that is what is said.
expect 3 "Too many open files; try again" prlimit --nofile=9 "$binaries/bulkhead" --state "$state" doctor
grep -q "^user-namespace  *? " "$output" || fail "a wall that could not be tried is not shown as such"

# -- a run: refused by its default policy before anything is made; with another it says so, and its workers go on without, too
make_repository "$scratch/repository"
cd "$scratch/repository"
agent=(sh -c 'echo changed >file && git commit -qam changed')
expect 3 "missing walls: limits" read_only_cgroups "$binaries/bulkhead" --state "$state" run --name refused -- "${agent[@]}"
same "branches after a refusal" "main other" "$(git for-each-ref --format='%(refname:short)' refs/heads | paste -sd' ')"
# So are walls that are not tried when a daemon starts: those that must stand anyway, and those that few policies require.
expect 3 "missing walls: mounts: " "$confine" --deny pivot_root -- "$binaries/bulkhead" --state "$state" run --name refused -- "${agent[@]}"
expect 3 "missing walls: refusals-seen: seccomp listener: Device or resource busy" \
  "$confine" --listen -- "$binaries/bulkhead" --state "$state" run --name refused --policy "$scratch/seen.yaml" -- "${agent[@]}"
same "branches after refusals" "main other" "$(git for-each-ref --format='%(refname:short)' refs/heads | paste -sd' ')"
expect 0 "" bulkhead run --name seen --policy "$scratch/seen.yaml" -- true
but limits
expect 0 "without the wall limits: " read_only_cgroups "$binaries/bulkhead" --state "$state" run --name nested --policy "$scratch/without.yaml" -- "${agent[@]}"
same "the agent's commit" changed "$(git show bulkhead/nested/agent:file)"
same "missing walls in the journal" limits "$(report nested '" ".join(w["wall"] for w in run["missing_walls"])')"
same "CPU time in the report" None "$(report nested 'agents["agent"]["cpu_ms"]')"
cat >"$scratch/flow.yaml" <<WORKFLOW
version: 1
repository: $scratch/repository
policy: $scratch/without.yaml
tasks: {a: {command: "true", checkpoint: {every: 10s}}}
WORKFLOW
expect 2 "checkpoint.every" read_only_cgroups "$binaries/bulkhead" --state "$state" run "$scratch/flow.yaml"
# Processes are counted by uid then, and a worker of ours is of the agent's: however many that has, its commit is seen while it lives.
mkdir "$scratch/go"
cat >"$scratch/many.yaml" <<WORKFLOW
version: 1
repository: $scratch/repository
policy: $scratch/without.yaml
tasks:
  many:
    command: for i in \$(seq 100); do sleep 1000 & done; echo changed >file; git commit -qam changed; until [ -e /go/on ]; do sleep 0.1; done
    inputs: {/go: $scratch/go}
WORKFLOW
(read_only_cgroups "$binaries/bulkhead" --state "$state" run --name many "$scratch/many.yaml" >"$scratch/log" 2>&1) &
client=$!
commit_seen() { bulkhead journal many --events --json >"$scratch/events" && grep -q boundary_seen "$scratch/events"; }
wait_for commit_seen
touch "$scratch/go/on"
wait "$client" || fail "the run of many ended with $?: $(cat "$scratch/log")"
same "the commit of many" changed "$(git show bulkhead/many/many:file)"
expect 3 "missing walls: user-namespace" "${none_below[@]}" "$binaries/bulkhead" --state "$state" run --policy "$scratch/nothing.yaml" -- true
cd "$scratch"

nothing_left "by sandboxes without walls"
echo "nested: missing walls are named, refused or gone on without"
