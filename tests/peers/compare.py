#!/usr/bin/env python3
"""What a program that is run as root by each sandboxing tool, with the tool's ordinary defaults, can reach.

  tests/peers/compare.py [BULKHEAD_BIN] [--markdown]     as root; default: build/bin

The same static probe (probe.c) runs in each. Tools that are not installed are passed over, tools that do not start are shown
with what they said. Nothing of the host is changed: the probe opens and closes, a changed hostname is put back, every cgroup
and file is this script's own.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TIMEOUT = 60
MEMORY_MIB = 64
PIDS = 32
SYSTEM = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc"]


def words(command):
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT).stdout.split()


class Tool:
    """How one tool is asked to run the probe: `command` for everything, `limited` with limits of memory and processes, or a
    string: why there are none."""

    def __init__(self, name, program, version, command, limited="no such option"):
        self.name, self.program, self.version = name, program, version
        self.command, self.limited = command, limited


def oci_bundle(directory, tool, probe, arguments, limits):
    """What `TOOL spec` writes, which is what the tool's makers think is ordinary; only the program, the root and the terminal
    are ours."""
    bundle = os.path.join(directory, f"{tool}-{uuid.uuid4().hex[:6]}")
    os.makedirs(os.path.join(bundle, "rootfs"))
    for name in ("proc", "sys", "dev", "tmp", "usr", "etc"):
        os.mkdir(os.path.join(bundle, "rootfs", name))
    shutil.copy(probe, os.path.join(bundle, "rootfs", "probe"))
    subprocess.run([tool, "spec"], cwd=bundle, check=True, capture_output=True, timeout=TIMEOUT)
    path = os.path.join(bundle, "config.json")
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/probe", *arguments]
    config["process"]["env"] += [f"PROBE_HOSTNAME={os.environ.get('PROBE_HOSTNAME', '')}"] if not limits else []
    config["linux"]["cgroupsPath"] = f"/bulkhead-compare-{os.path.basename(bundle)}"
    if limits:
        resources = config["linux"].setdefault("resources", {})
        resources["memory"] = {"limit": MEMORY_MIB << 20}
        resources["pids"] = {"limit": PIDS}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(config, file)
    return ["--root", os.path.join(directory, f"{tool}-state"), "run", "--bundle", bundle, os.path.basename(bundle)]


def without_v2_tree(command):
    """crun refuses hybrid hosts: there it runs where the v2 tree is not mounted."""
    if not os.path.ismount("/sys/fs/cgroup/unified"):
        return command
    return ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", 'umount /sys/fs/cgroup/unified && exec "$@"', "sh", *command]


def tools(binaries, scratch, probe):
    bulkhead = [os.path.join(binaries, "bulkhead"), "--state", os.path.join(scratch, "state"), "sandbox", "run"]

    def policy(limits):
        path = os.path.join(scratch, f"policy-{'limited' if limits else 'default'}.json")
        document = {"version": 1, "mounts": {"/probe": {"source": probe}}}
        document["environment"] = {"set": {"PROBE_HOSTNAME": "1"}}
        if limits:
            document["limits"] = {"memory": f"{MEMORY_MIB}Mi", "pids": PIDS}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file)
        return path

    binds = [part for path in SYSTEM if os.path.exists(path) for part in ("--ro-bind", path, path)]
    nspawn_root = os.path.join(scratch, "nspawn")

    def nspawn(arguments):
        shutil.rmtree(nspawn_root, ignore_errors=True)
        for name in ("usr", "etc", "proc", "sys", "dev", "tmp", "run", "var"):
            os.makedirs(os.path.join(nspawn_root, name))
        shutil.copy(probe, os.path.join(nspawn_root, "probe"))
        with open(os.path.join(nspawn_root, "etc", "os-release"), "w", encoding="utf-8") as file:
            file.write("ID=probe\n")
        return ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--as-pid2", "--pipe", "-D", nspawn_root,
                "--setenv=PROBE_HOSTNAME=1", "/probe", *arguments]

    def podman(limits, arguments):
        """Its ordinary options; where hard limits cannot be raised it must be told to leave them low."""
        root = os.path.join(scratch, f"podman-{uuid.uuid4().hex[:6]}")
        for name in ("proc", "sys", "dev", "tmp", "usr", "etc", "run", "var"):
            os.makedirs(os.path.join(root, name))
        shutil.copy(probe, root)
        return ["podman", "--root", os.path.join(scratch, "podman"), "--runroot", os.path.join(scratch, "podman-run"),
                "run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
                "--env", "PROBE_HOSTNAME=1", *limits, "-i", "--rootfs", root, "/probe", *arguments]

    return [
        Tool("bulkhead", bulkhead[0], [bulkhead[0], "--version"],
             lambda *a: [*bulkhead, "--policy", policy(False), "--", "/probe", *a],
             lambda *a: [*bulkhead, "--policy", policy(True), "--", "/probe", *a]),
        Tool("bubblewrap", "bwrap", ["bwrap", "--version"],
             lambda *a: ["bwrap", "--unshare-all", *binds, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
                         "--ro-bind", probe, "/probe", "/probe", *a]),
        Tool("crun", "crun", ["crun", "--version"],
             lambda *a: without_v2_tree(["crun", *oci_bundle(scratch, "crun", probe, a, False)]),
             lambda *a: without_v2_tree(["crun", *oci_bundle(scratch, "crun", probe, a, True)])),
        Tool("runc", "runc", ["runc", "--version"],
             lambda *a: ["runc", *oci_bundle(scratch, "runc", probe, a, False)],
             lambda *a: ["runc", *oci_bundle(scratch, "runc", probe, a, True)]),
        Tool("podman", "podman", ["podman", "--version"],
             lambda *a: podman([], a), lambda *a: podman(["--memory", f"{MEMORY_MIB}m", "--pids-limit", str(PIDS)], a)),
        Tool("firejail", "firejail", ["firejail", "--version"],
             lambda *a: ["firejail", "--quiet", probe, *a],
             lambda *a: ["firejail", "--quiet", f"--rlimit-as={MEMORY_MIB << 20}", f"--rlimit-nproc={PIDS}", probe, *a]),
        Tool("nsjail", "nsjail", ["nsjail", "--help"],
             lambda *a: ["nsjail", "-Mo", "--really_quiet", "--chroot", "/", "--", probe, *a],
             lambda *a: ["nsjail", "-Mo", "--really_quiet", "--chroot", "/", "--cgroup_mem_max", str(MEMORY_MIB << 20),
                         "--cgroup_pids_max", str(PIDS), "--", probe, *a]),
        Tool("systemd-nspawn", "systemd-nspawn", ["systemd-nspawn", "--version"],
             lambda *a: nspawn(a), "by systemd only"),
        Tool("unshare", "unshare", ["unshare", "--version"],
             lambda *a: ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--net", "--ipc", "--uts", "--cgroup", probe,
                         *a]),
    ]


def run(command, passed=()):
    """(answers, what it said otherwise)"""
    before = socket.gethostname()
    # No shell, no terminal; one descriptor of the host is left open on purpose.
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             pass_fds=passed)
    answers = {}
    lines = []
    try:
        for line in child.stdout:
            key, _, answer = line.rstrip("\r\n").partition("\t")
            if not answer:
                lines.append(line.strip())
                continue
            answers[key] = answer
            if key == "hostname":
                if answer == "SET":
                    answers[key] = "own" if socket.gethostname() == before else "THE HOST'S"
                break
        rest, errors = child.communicate("\n", timeout=TIMEOUT)
        lines += rest.splitlines() + errors.splitlines()
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        lines.append("took too long")
    finally:
        if socket.gethostname() != before:
            socket.sethostname(before)
    return answers, child.returncode, [line for line in lines if line]


def examine(tool, probe_limits):
    with open("/etc/hostname", "rb") as held:
        answers, status, said = run(tool.command(), (held.fileno(),))
    if "uid_inside" not in answers:
        return {"starts": f"no ({status}): {' '.join(said)[:160]}"}
    for kind in ("net", "pid", "mnt", "ipc", "uts", "cgroup", "user"):
        inside = answers.pop(f"ns_{kind}", "?")
        answers[f"{kind} namespace"] = "THE HOST'S" if inside == os.readlink(f"/proc/self/ns/{kind}") else "own"
    for key, arguments in probe_limits.items():
        if isinstance(tool.limited, str):
            answers[key] = tool.limited
            continue
        found, status, said = run(tool.limited(*arguments))
        answers[key] = found.get(key) or f"stopped ({status})"
        if key not in found and status in (1, 125, 126):
            answers[key] = f"not started: {' '.join(said)[:100]}"
        elif key == "pids" and answers[key].startswith("stopped at"):
            answers[key] = "limited"
        elif answers[key].startswith(("stopped", "ENOMEM")):
            answers[key] = "limited"
    return {"starts": "yes", **answers}


def main():
    if os.geteuid() != 0:
        sys.exit("compare.py: run it as root, as the tools are compared so")
    arguments = [word for word in sys.argv[1:] if not word.startswith("--")]
    binaries = os.path.abspath(arguments[0]) if arguments else os.path.join(ROOT, "build/bin")
    os.environ["PROBE_HOSTNAME"] = "1"
    os.environ.setdefault("BULKHEAD_POLICIES", os.path.join(ROOT, "policies"))
    columns, absent = {}, []
    # Not below /tmp, which firejail hides.
    with tempfile.TemporaryDirectory(prefix="bulkhead-compare-", dir="/opt") as scratch:
        os.chmod(scratch, 0o755)
        probe = os.path.join(scratch, "probe")
        compiler = shutil.which("clang-19") or "cc"
        subprocess.run([compiler, "-static", "-O2", "-o", probe, os.path.join(HERE, "probe.c")], check=True)
        limits = {"memory": ("memory", str(MEMORY_MIB * 4)), "pids": ("pids", str(PIDS * 4))}
        for tool in tools(binaries, scratch, probe):
            if not shutil.which(tool.program):
                absent.append(tool.name)
                continue
            version = next((w for w in words(tool.version) if w[:1].isdigit()), "")
            print(f"{tool.name} {version}", file=sys.stderr)
            columns[f"{tool.name} {version}".strip()] = examine(tool, limits)
    rows = list(dict.fromkeys(key for answers in columns.values() for key in answers))
    columns = {name: {row: answers.get(row, "") for row in rows} for name, answers in columns.items()}
    print("| | " + " | ".join(columns) + " |")
    print("| --- |" + " --- |" * len(columns))
    for row in rows:
        print(f"| {row.replace('_', ' ')} | " + " | ".join(answers[row] for answers in columns.values()) + " |")
    if absent:
        print(f"\nNot installed: {', '.join(absent)}.")


main()
