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
        end_by_signals(process)


def end_by_signals(process):
    """The first signal goes to the command, a further one ends the sandbox; two at once may be taken for one."""
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
    if attempt.what == "contrast":  # somebody who only writes it down
        script = ("mkfifo /tmp/end; (read x </tmp/end; trap '' XFSZ; echo 42 >/tmp/status) & /attack starve_init $!; "
                  "echo >/tmp/end; wait $!; test -s /tmp/status || echo nobody knows how it ended")
        output = stage.inside(attempt.policy, ["/bin/sh", "-c", script])[1]
        return (SUCCEEDED, "its status is lost") if "nobody knows" in output else (BLOCKED, output)
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
    if attempt.what == "off":  # within a limit of processes all the same
        process = stage.popen(stage.command(attempt.policy, ["/attack", "fork_bomb", stage.mark]))
        try:
            ended = ends_within(process, 3)
        finally:
            end_by_signals(process)
        return (NOT_TRIED, "something is left") if marked_processes(stage.mark) else \
            (BLOCKED, "it ended") if ended else (SUCCEEDED, "it goes on and on")
    policy = merge(attempt.policy, {"limits": {"wall": "1s"}})
    before = time.monotonic()
    status, output = stage.inside(policy, ["/attack", "fork_bomb", stage.mark])
    left = marked_processes(stage.mark)
    if left:
        return SUCCEEDED, "something lives on"
    if status == 124 and "1s" in output and time.monotonic() - before < TIMEOUT:
        return BLOCKED, "ended by its time, nothing left"
    return NOT_TRIED, f"status {status}: {output}"


def marked_processes(word):
    """Processes with this word, the stage's mark, in their command line or name."""
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
    if attempt.place == "outside":
        process = stage.popen(["/bin/sh", "-c", f"trap '' TERM; exec {stage.attack} ignore_signals"], outside=True)
        try:
            if process.stdout.readline().strip() != "ready":
                return NOT_TRIED, "it did not begin"
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            return (BLOCKED, "it ended") if ends_within(process, 1) else (SUCCEEDED, "it lives on")
        finally:
            process.kill()
            process.wait()
            # What it forked, by the path of this stage alone.
            subprocess.run(["pkill", "-KILL", "-f", f"^{stage.attack} ignore_signals"], check=False)
    with begun(stage, attempt, ["ignore_signals"]) as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)  # not a synchronisation: whatever the first signal does, it must be alive or the second proves nothing
        if process.poll() is not None:
            return NOT_TRIED, "the first signal ended it"
        process.send_signal(signal.SIGTERM)
        ended = ends_within(process, TIMEOUT)
    return (BLOCKED, "the second signal ends it") if ended else (SUCCEEDED, "it lives on")


def page_cache(stage, attempt):
    directory = tempfile.mkdtemp(dir=stage.scratch, prefix="disk.")
    os.chmod(directory, 0o777)
    report = stage.path("report.json")
    policy = merge(attempt.policy, {"mounts": {"/disk": {"source": directory, "access": "read_write"}}, "allow": ["writable-host"]})
    command = stage.command(policy, ["/attack", "page_cache", "64", "/disk"])
    command[3:3] = ["--report", report]
    output = stage.run(command)[1]
    with open(report, encoding="utf-8") as file:
        peak = json.load(file)["peak_memory"]
    if peak > 32 << 20:
        return SUCCEEDED, "the cache grew to more than its share"
    if "out of memory" in output:  # a slow disk does not give it back in time
        return BLOCKED, "ended by its limit of memory"
    return (BLOCKED, "64 MiB were written within 32 MiB") if SUCCEEDED in output else (NOT_TRIED, f"{output} {peak}")


def mounted_proc(stage, attempt):
    target = "/shown" if attempt.what == "contrast" else "/proc/self/attr"
    policy = merge(attempt.policy, {"mounts": {target: {"source": stage.path("open")}}})
    output = stage.inside(policy, ["/attack", "open_read", target + "/secret"])[1]
    if SUCCEEDED in output:
        return SUCCEEDED, "its files are not the kernel's"
    return (BLOCKED, "refused") if "every sandbox has its own" in output else (NOT_TRIED, output)


# Looks like a sandbox's first process: its name, namespaces and files of its own.
FORGED = """mount -t tmpfs tmpfs /tmp && echo forged >/tmp/marker && cp "$(command -v sleep)" /tmp/bulkhead-init && echo ready &&
exec /tmp/bulkhead-init 1000"""


def forged_join(stage, attempt):
    """Who stands inside the agent's compartment must not find themselves in another that somebody holds out beside it."""
    with contextlib.ExitStack() as ending:
        forged = stage.popen(["unshare", "--mount", "--pid", "--fork", "bash", "-c", FORGED])
        ending.callback(forged.wait)
        ending.callback(os.killpg, forged.pid, signal.SIGKILL)
        if forged.stdout.readline().strip() != "ready":
            return NOT_TRIED, "it did not begin"
        if attempt.what == "contrast":  # somebody who goes by the name, among the processes of this session alone
            by_name = f'nsenter -t "$(pgrep -n -x -s {forged.pid} bulkhead-init)" --mount cat /tmp/marker'
            output = stage.run(["sh", "-c", by_name])[1].strip()
            return (SUCCEEDED, "the name leads to the forged one") if output == "forged" else (NOT_TRIED, output)
        process, state = begun_run(stage, attempt, ["/bin/sh", "-c", "echo real >/tmp/marker; exec sleep 1000"])
        ending.callback(stage.run, [stage.bulkhead, "--state", state, "clean"])
        ending.callback(end_by_signals, process)

        def stand_in(name):
            return stage.run([stage.bulkhead, "--state", state, "shell", name, "--", "cat", "/tmp/marker"])
        deadline = time.monotonic() + TIMEOUT
        status, output = stand_in("task")
        while status != 0 and time.monotonic() < deadline:
            time.sleep(0.1)
            status, output = stand_in("task")
        if status != 0:
            return NOT_TRIED, f"status {status}: {output}"
        told = [output] + [stand_in(name)[1] for name in (str(forged.pid), f"run/{forged.pid}", "bulkhead-init")]
    if any("forged" in output.split() for output in told):
        return SUCCEEDED, "it is entered"
    if told[0].strip() != "real" or any("real" in output.split() for output in told[1:]):
        return SUCCEEDED, "something else is entered: " + "; ".join(told)
    return BLOCKED, "the real one is entered; " + "; ".join(output.splitlines()[0] if output else "" for output in told[1:])


def daemon(stage, attempt):
    if attempt.place == "outside":
        stage.run([stage.attack, "daemon", stage.mark], outside=True)
    else:
        stage.inside(attempt.policy, ["/attack", "daemon", stage.mark])
    left = marked_processes(stage.mark)
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


def words_of_run(stage, attempt, command, limits=None):
    """To run one task, `task`, in a repository of its own: (command line, state directory)."""
    repository = tempfile.mkdtemp(dir=stage.scratch, prefix="repository.")
    state = repository + ".state"
    git = ["git", "-C", repository, "-c", "user.name=t", "-c", "user.email=t@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    workflow = {"version": 1, "repository": repository, "base": "main",
                "tasks": {"task": {"command": command, "policy": stage.policy(merge(attempt.policy, limits or {}))}}}
    path = repository + ".yaml"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(workflow, file)
    return [stage.bulkhead, "--state", state, "run", "--name", "run", path], state


def begun_run(stage, attempt, command):
    words, state = words_of_run(stage, attempt, command)
    return stage.popen(words), state


def finished_run(stage, attempt, command, limits=None):
    """(status, output, state directory)"""
    words, state = words_of_run(stage, attempt, command, limits)
    return *stage.run(words), state


def log_flood(stage, attempt):
    """Captured output is what `run` keeps of an agent; a launcher of a run captures, `sandbox run` passes on."""
    limits = {} if attempt.what == "off" else {"limits": {"output": "1Mi"}}
    status, output, state = finished_run(stage, attempt, ["/attack", "flood", "8"], limits)
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
