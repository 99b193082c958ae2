"""Everything on this machine that Bulkhead could have left behind, one "kind name" a line, sorted.

Comparing the output from before and after a run shows what that run left.
"""
import os

FIRST_RANGE_UID = 0x70000000  # agents and workers have their uids from here


def cgroups():
    for directory, children, _ in os.walk("/sys/fs/cgroup"):
        for child in children:
            if "bulkhead" in child:
                yield "cgroup", os.path.join(directory, child)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""


def mounts(process):
    for line in read(f"{process}/mountinfo").splitlines():
        fields, _, kind = line.partition(" - ")
        target = fields.split(" ")[4]
        if "bulkhead" in target or (kind.startswith("overlay ") and "bulkhead" in kind):
            yield "mount", target


def processes():
    for number in filter(str.isdigit, os.listdir("/proc")):
        process = f"/proc/{number}"
        program = link(f"{process}/exe")
        if not program:  # a kernel thread, or gone
            continue
        uids = [line.split()[1] for line in read(f"{process}/status").splitlines() if line.startswith("Uid:")]
        if os.path.basename(program).startswith("bulkhead") or (uids and int(uids[0]) >= FIRST_RANGE_UID):
            yield "process", f"{number} {program}"
        yield "network-namespace", link(f"{process}/ns/net")
        yield from mounts(process)


def entries(directory, keep):
    try:
        names = os.listdir(directory)
    except OSError:
        return
    for name in names:
        if keep(name):
            yield "file", os.path.join(directory, name)


def traces():
    yield from cgroups()
    yield from processes()
    for directory in ("/tmp", "/var/tmp", "/dev/shm"):
        yield from entries(directory, lambda name: "bulkhead" in name)
    # The lock that keeps launchers from taking the same uid range stays: removing it would race.
    yield from entries("/run/bulkhead", lambda name: name != "uid-ranges.lock")
    yield from entries("/run/netns", lambda name: True)
    yield from entries("/var/lib", lambda name: name == "bulkhead")


for kind, name in sorted(set(traces())):
    print(kind, name)
