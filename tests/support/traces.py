"""What Bulkhead has on this machine, one "kind name" a line, sorted.

usage: traces.py [STATE | --cgroup STATE]

Without an argument everything that could be Bulkhead's: comparing the output from before and after a run shows what
that run left. With a state directory only what is of that one: nothing, once its runs are over. --cgroup tells the name
of its cgroup.
"""
import fcntl
import os
import sys

LOOP_GET_STATUS64 = 0x4C05
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


def loop_devices(ours):
    """By the name they were given (disk_owner() in sandbox/launch/disk_image.cpp): their files may have none any more."""
    for name in os.listdir("/sys/block"):
        if read(f"/sys/block/{name}/loop/autoclear") != "1\n":
            continue
        status = bytearray(232)  # struct loop_info64, linux/loop.h
        try:
            device = os.open(f"/dev/{name}", os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.ioctl(device, LOOP_GET_STATUS64, status)
        except OSError:  # it is free by now
            continue
        finally:
            os.close(device)
        owner = status[56:120].split(b"\0")[0].decode(errors="replace")
        if ours(owner):
            yield "loop-device", f"{name} {owner}"


def root_name(state):
    """The name of a state directory's cgroup: cgroup_root_name() in sandbox/launch/cgroup.cpp."""
    value = 1469598103934665603
    for byte in state.encode():
        value = (value ^ byte) * 1099511628211 & (1 << 64) - 1
    return "bulkhead-" + f"{value:016x}"[:12]


def traces_of(state):
    root = root_name(state)
    for directory, _, _ in os.walk("/sys/fs/cgroup"):
        if f"/{root}" in directory:
            yield "cgroup", directory
            for number in read(f"{directory}/cgroup.procs").split():
                yield "process", f"{number} {link(f'/proc/{number}/exe')}"
    for number in filter(str.isdigit, os.listdir("/proc")):
        program = link(f"/proc/{number}/exe")
        if os.path.basename(program).startswith("bulkhead") and state in read(f"/proc/{number}/cmdline").split("\0"):
            yield "process", f"{number} {program}"
        for line in read(f"/proc/{number}/mountinfo").splitlines():
            if state in line:
                yield "mount", line.split(" ")[4]
    yield from loop_devices(lambda owner: owner == root)
    for directory in ("runs", "mnt"):
        yield from entries(f"{state}/{directory}", lambda name: True)


def traces():
    yield from cgroups()
    yield from processes()
    yield from loop_devices(lambda owner: owner.startswith("bulkhead"))
    for directory in ("/tmp", "/var/tmp", "/dev/shm"):
        yield from entries(directory, lambda name: "bulkhead" in name)
    # The lock that keeps launchers from taking the same uid range stays: removing it would race.
    yield from entries("/run/bulkhead", lambda name: name != "uid-ranges.lock")
    yield from entries("/run/netns", lambda name: True)
    yield from entries("/var/lib", lambda name: name == "bulkhead")


def main():
    *option, state = sys.argv[1:] or [None]
    if option == ["--cgroup"]:
        print(root_name(state))
        return
    for kind, name in sorted(set(traces_of(state) if state else traces())):
        print(kind, name)


main()
