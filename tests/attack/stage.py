"""What attacks are aimed at: things of the test's own on this host, and ways to run a program in and out of a sandbox."""
import ctypes
import json
import os
import pty
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile

USER = pwd.getpwnam("nobody").pw_uid  # who sandboxes with `host-identity` are where root's power is not the point
GROUP = pwd.getpwnam("nobody").pw_gid
OWNER = 61234  # nobody's number
TIMEOUT = int(os.environ.get("BULKHEAD_ATTACK_TIMEOUT", "60"))
libc = ctypes.CDLL(None, use_errno=True)


def merge(base, patch):
    """RFC 7396, but that lists are joined: `allow` grows."""
    if isinstance(base, list) and isinstance(patch, list):
        return base + [word for word in patch if word not in base]
    if not isinstance(base, dict) or not isinstance(patch, dict):
        return patch
    merged = dict(base)
    for key, value in patch.items():
        merged[key] = merge(merged[key], value) if key in merged else value
    return merged


class Stage:
    def __init__(self, root, binaries, attack):
        self.root = root
        self.bulkhead = os.path.join(binaries, "bulkhead")
        self.scratch = tempfile.mkdtemp(prefix="bulkhead-attack.")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("SUDO_", "BULKHEAD_S", "GIT_"))}
        self.closing = []
        self.mark = secrets.token_hex(7)  # nobody else's word, short enough for the name of a process
        try:
            self._prepare(attack)
        except BaseException:
            self.close()
            raise

    def _prepare(self, attack):
        os.chmod(self.scratch, 0o755)
        self.attack = self.path("attack")
        shutil.copy(attack, self.attack)
        os.chmod(self.attack, 0o755)
        for name in ("open", "setuid", "empty"):
            os.mkdir(self.path(name))
        os.chmod(self.path("open"), 0o777)
        with open(self.path("open/secret"), "w", encoding="utf-8") as file:
            file.write("secret\n")
        os.chmod(self.path("open/secret"), 0o666)
        # Runs as OWNER, and only USER can get at it.
        os.chown(self.path("setuid"), 0, GROUP)
        shutil.copy(attack, self.path("setuid/attack"))
        os.chown(self.path("setuid/attack"), OWNER, OWNER)
        os.chmod(self.path("setuid/attack"), 0o4755)
        os.chmod(self.path("setuid"), 0o750)

        os.mknod(self.path("null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
        self.name = os.path.basename(self.scratch)
        self.listening = [self._listen(self.path("open/socket")), self._listen("\0" + self.name), self._listen(None)]
        os.chmod(self.path("open/socket"), 0o777)
        self.terminal_master, self.terminal = pty.openpty()
        os.fchmod(self.terminal, 0o666)
        self.closing += [self.terminal_master, self.terminal]
        self._share_memory()
        self._make_queue()
        self._add_key()
        self.words = {
            "scratch": self.scratch, "name": self.name, "marker": self.path("open/secret"), "pid": str(os.getpid()),
            "title": "attack/run.py", "port": str(self.listening[2].getsockname()[1]),
            "shm": hex(self.segment_key), "queue": self.queue, "terminal": os.ttyname(self.terminal),
        }

    def path(self, name):
        return os.path.join(self.scratch, name)

    def _listen(self, at):
        listener = socket.socket(socket.AF_INET if at is None else socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0) if at is None else at)
        listener.listen(64)
        return listener

    def _share_memory(self):
        self.segment_key = 0x62000000 | os.getpid()
        self.segment = libc.shmget(self.segment_key, 4096, 0o1000 | 0o666)  # IPC_CREAT
        if self.segment < 0:
            raise OSError(ctypes.get_errno(), "shmget")

    def _make_queue(self):
        self.queue = "/" + self.name
        # libc's mq_open takes a variable argument list; without attributes it reads only these.
        descriptor = libc.mq_open(self.queue.encode(), os.O_RDWR | os.O_CREAT, 0o666, None)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "mq_open")
        os.close(descriptor)

    def _add_key(self):
        keyctl, add_key, join, session = 250, 248, 1, -3
        libc.syscall(keyctl, join, None)  # a ring of our own: the caller's stays as it is
        if libc.syscall(add_key, b"user", self.name.encode(), b"x", 1, session) < 0:
            raise OSError(ctypes.get_errno(), "add_key")

    def close(self):
        for descriptor in self.closing:
            os.close(descriptor)
        if getattr(self, "segment", -1) >= 0:
            libc.shmctl(self.segment, 0, None)  # IPC_RMID
        if hasattr(self, "queue"):
            libc.mq_unlink(self.queue.encode())
        for listener in getattr(self, "listening", []):
            listener.close()
        shutil.rmtree(self.scratch)

    def fill_in(self, value):
        if isinstance(value, str):
            for word, text in self.words.items():
                value = value.replace("{" + word + "}", text)
            return value
        if isinstance(value, list):
            return [self.fill_in(item) for item in value]
        if isinstance(value, dict):
            return {self.fill_in(key): self.fill_in(item) for key, item in value.items()}
        return value

    def policy(self, patch):
        """A policy file: the default, the attack program, and `patch`."""
        base = {"version": 1, "name": "attack", "mounts": {"/attack": {"source": self.attack}}}
        with tempfile.NamedTemporaryFile("w", dir=self.scratch, suffix=".json", delete=False) as file:
            json.dump(merge(base, self.fill_in(patch)), file)
        os.chmod(file.name, 0o644)
        return file.name

    def command(self, patch, words):
        return [self.bulkhead, "sandbox", "run", "--policy", self.policy(patch), "--", *words]

    def as_user(self):
        return {**self.environment, "SUDO_UID": str(USER), "SUDO_GID": str(GROUP), "SUDO_USER": "nobody"}

    def popen(self, command, who="root", outside=False, **options):
        """Outside, `user` is a process of that user; inside, a caller for whom root acts."""
        if who == "user" and outside:
            options |= {"user": USER, "group": GROUP, "extra_groups": []}
        environment = self.as_user() if who == "user" and not outside else self.environment
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(command, env=environment, stdout=options.pop("stdout", subprocess.PIPE),
                                stderr=options.pop("stderr", subprocess.STDOUT), text=True, errors="replace",
                                start_new_session=True, **options)

    def run(self, command, who="root", outside=False, **options):
        """Its exit status and what it printed."""
        process = self.popen(command, who, outside, **options)
        try:
            output, _ = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return 124, output + f"(still running after {TIMEOUT} s)"
        return process.returncode, output

    def inside(self, patch, words, who="root", **options):
        return self.run(self.command(patch, words), who, **options)
