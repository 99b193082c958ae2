"""Attacks that take more than one program in one sandbox. Each gets the stage and the attempt, and answers (verdict, text)."""
import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import time

import disk_attacks
import git_attacks
from stage import TIMEOUT, merge

SUCCEEDED, BLOCKED, NOT_TRIED = "SUCCEEDED", "blocked", "not tried"


def stage_options(stage, name):
    """What a run gets besides its command."""
    if name == "leak":  # descriptors that the caller left open, without close-on-exec
        secret = os.open(stage.path("open/secret"), os.O_RDONLY)
        root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
        stage.closing += [secret, root]
        return {"pass_fds": (secret, root)}
    if name == "terminal":  # one that is nobody's controlling terminal yet
        master, terminal = pty.openpty()
        stage.closing += [master, terminal]
        return {"stdin": terminal}
    assert name is None, name
    return {}


@contextlib.contextmanager
def begun(stage, attempt, words, **options):
    """A sandbox whose attack has said `ready`."""
    # What the shell ignores, all that it executes ignores too.
    shell = "trap '' TERM; exec /attack \"$@\"" if words == ["ignore_signals"] else "exec /attack \"$@\""
    process = stage.popen(stage.command(attempt.policy, ["/bin/sh", "-c", shell, "sh", *words]), attempt.who, **options)
    try:
        line = process.stdout.readline()
        if line.strip() != "ready":
            raise RuntimeError(f"the attack did not begin: {line}{process.stdout.read()}")
        yield process
    finally:
        # The first signal goes to the command, a further one ends the sandbox; two at once may be taken for one.
        for _ in range(10 * TIMEOUT):
            if ends_within(process, 0.1):
                break
            process.send_signal(signal.SIGTERM)
        if process.poll() is None:
            process.kill()
            process.wait()


def ends_within(process, seconds):
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False


def watches_of_others(stage, attempt):
    with begun(stage, attempt, ["watchers"], stdin=subprocess.PIPE) as process:
        probe = "import ctypes, sys; sys.exit(0 if ctypes.CDLL(None).inotify_init() >= 0 else 1)"
        status = [stage.run(["python3", "-c", probe], who, outside=True)[0] for who in ("root", "user")]
        process.stdin.close()
    return (BLOCKED, "others still get theirs") if status == [0, 0] else (SUCCEEDED, "others get none")


def directory_as_stream(stage, attempt):
    directory = os.open(stage.scratch, os.O_RDONLY | os.O_DIRECTORY)
    try:
        words = ["climb", "/open/secret"]
        if attempt.place == "outside":
            output = stage.run([stage.attack, *words], outside=True, stdin=directory)[1]
        else:
            output = stage.inside(attempt.policy, ["/attack", *words], stdin=directory)[1]
    finally:
        os.close(directory)
    if SUCCEEDED in output:
        return SUCCEEDED, "the directory leads out"
    return (BLOCKED, "refused") if "is a directory" in output else (NOT_TRIED, output)


def starve_init(stage, attempt):
    status, output = stage.inside(attempt.policy, ["/bin/sh", "-c", "/attack starve_init; exit 42"])
    if SUCCEEDED not in output:
        return NOT_TRIED, output
    return (BLOCKED, "its status is told all the same") if status == 42 else (SUCCEEDED, f"it ended with 42 and {status} is told")


# A root of the policy's own, with something wrong in it. The contrast has nothing wrong and starts.
def directory_root(stage, attempt, prepare, mounts=None, words=("open_read", "/here")):
    root = tempfile.mkdtemp(dir=stage.scratch, prefix="root.")
    outside = tempfile.mkdtemp(dir=stage.scratch, prefix="outside.")
    os.chmod(root, 0o755)
    for name in ("dev", "proc", "tmp", "home", "home/agent", "shown"):
        os.mkdir(os.path.join(root, name))
    for name in ("attack", "here"):
        shutil.copy(stage.attack, os.path.join(root, name))
    if attempt.what != "contrast":
        prepare(root, outside)
    policy = merge(attempt.policy, {"root": {"from": "directory", "path": root}, "mounts": mounts or {}})
    status, output = stage.inside(policy, ["/attack", *words])
    if os.listdir(outside):
        return SUCCEEDED, "something was made outside"
    if status in (0, 1) and ": " in output:
        return (SUCCEEDED, "it starts") if words[0] == "open_read" and SUCCEEDED in output else ("", output)
    return BLOCKED, f"refused: {output.strip()}"


def link(root, name, to):
    os.rmdir(os.path.join(root, name))
    os.symlink(to, os.path.join(root, name))


def linked_dev(stage, attempt):
    return directory_root(stage, attempt, lambda root, outside: link(root, "dev", outside))


def linked_proc(stage, attempt):
    return directory_root(stage, attempt, lambda root, outside: link(root, "proc", "tmp"))


def linked_target(stage, attempt):
    return directory_root(stage, attempt, lambda root, outside: link(root, "shown", "tmp"),
                          {"/shown": {"source": stage.path("open")}})


def forged_null(stage, attempt):
    def forge(root, outside):
        del outside
        with open(os.path.join(root, "dev/null"), "w", encoding="utf-8") as file:
            file.write("not the null device\n")
    verdict, output = directory_root(stage, attempt, forge, words=("read_kernel", "/proc/kallsyms"))
    if verdict:
        return verdict, output
    return (SUCCEEDED, "/proc/kallsyms can be read") if SUCCEEDED in output else (BLOCKED, "/proc/kallsyms reads as empty")


def fork_bomb(stage, attempt):
    policy = merge(attempt.policy, {"limits": {"wall": "1s"}})
    before = time.monotonic()
    status, output = stage.inside(policy, ["/attack", "fork_bomb"])
    left = marked_processes("fork_bomb")
    if left:
        return SUCCEEDED, "something lives on"
    if status == 124 and "1s" in output and time.monotonic() - before < TIMEOUT:
        return BLOCKED, "ended by its time, nothing left"
    return NOT_TRIED, f"status {status}: {output}"


def marked_processes(word):
    """Processes of agents' uid ranges with this word in their command line or name."""
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", "rb") as file:
                marked = word.encode() in file.read()
            with open(f"/proc/{number}/comm", "rb") as file:
                marked = marked or word.encode()[:15] in file.read()
            if marked and int(number) != os.getpid():
                found.append(int(number))
        except OSError:
            continue
    return found


def stop_itself(stage, attempt):
    policy = attempt.policy if attempt.what == "off" else merge(attempt.policy, {"limits": {"wall": "1s"}})
    attempt = attempt._replace(policy=policy)
    with begun(stage, attempt, ["stop_itself"]) as process:
        ended = ends_within(process, 3 if attempt.what == "off" else TIMEOUT)
    return (BLOCKED, "ended by its time") if ended else (SUCCEEDED, "it stands still for ever")


def ignore_signals(stage, attempt):
    with begun(stage, attempt, ["ignore_signals"]) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)  # not a synchronisation: whatever the first signal does, it must be alive or the second proves nothing
        if process.poll() is not None:
            return NOT_TRIED, "the first signal ended it"
        process.send_signal(signal.SIGTERM)
        ended = ends_within(process, TIMEOUT)
    return (BLOCKED, "the second signal ends it") if ended else (SUCCEEDED, "it lives on")


def daemon(stage, attempt):
    word = f"d{os.getpid()}"
    if attempt.place == "outside":
        stage.run([stage.attack, "daemon", word], outside=True)
    else:
        stage.inside(attempt.policy, ["/attack", "daemon", word])
    left = marked_processes(word)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return (SUCCEEDED, "it lives on") if left else (BLOCKED, "it ended with its sandbox")


def unread_pipe(stage, attempt):
    policy = attempt.policy if attempt.what == "off" else merge(attempt.policy, {"limits": {"wall": "1s"}})
    attempt = attempt._replace(policy=policy)
    reader, writer = os.pipe()
    process = stage.popen(stage.command(policy, ["/attack", "flood", "8"]), stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        ended = ends_within(process, 3 if attempt.what == "off" else TIMEOUT)
    finally:
        os.close(reader)  # with nobody to read, a writer ends by itself
        process.wait(TIMEOUT)
    return (BLOCKED, "ended by its time") if ended else (SUCCEEDED, "it waits for ever")


def log_flood(stage, attempt):
    """Captured output is what `run` keeps of an agent; a launcher of a run captures, `sandbox run` passes on."""
    repository = tempfile.mkdtemp(dir=stage.scratch, prefix="repository.")
    state = repository + ".state"
    git = ["git", "-C", repository, "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    limit = {} if attempt.what == "off" else {"limits": {"output": "1Mi"}}
    workflow = {"version": 1, "repository": repository, "base": "main",
                "tasks": {"flood": {"command": ["/attack", "flood", "8"], "policy": stage.policy(merge(attempt.policy, limit))}}}
    path = repository + ".yaml"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(workflow, file)
    status, output = stage.run([stage.bulkhead, "--state", state, "run", "--name", "flood", path])
    sizes = [os.path.getsize(os.path.join(directory, name)) for directory, _, names in os.walk(state) for name in names
             if not name.startswith("journal") and not name.endswith(".img")]  # an empty disk: sparse
    stage.run([stage.bulkhead, "--state", state, "clean"])
    if status not in (0, 1) or not sizes or max(sizes) < 1 << 20:  # 1: the agent says that it succeeded by a status of its own
        return NOT_TRIED, f"status {status}: {output}"
    return (SUCCEEDED, "8 MiB were kept") if max(sizes) >= 8 << 20 else (BLOCKED, "what is kept is bounded")


def git(stage, attempt):
    return git_attacks.attack(stage, attempt, marked_processes)


judge_edited = git_attacks.judge_edited
disk = disk_attacks.attack
