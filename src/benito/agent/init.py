"""The first process of a sandbox: the only one that starts and reaps processes there.

It knows nothing of experiments. Over a Unix socket it takes one JSON object a line and answers one a line:

    {"op": "spawn", "name": N, "argv": [...], ...}   -> {"pid": P}; see `Job` for the other keys
    {"op": "signal", "name": N, "signal": S}          -> {"ok": true}
    {"op": "drop", "name": N}                         -> {"ok": true}; a kept job is not started again, then killed
    {"op": "list"}                                    -> {"jobs": {N: {"pid": P, "code": null | C}}}
    {"op": "watch"}                                   -> {"ok": true}, then {"exit": N, "pid": P, "code": C} each time

A wrong request is answered {"error": "..."}. Exit codes are the process's own, or minus the signal that ended it.
Killing this process is a power-off: the kernel ends everything in its PID namespace.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benito.agent import sandbox

MAX_REQUEST = 1 << 20
LONG_LIFE_S = 2.0
"""A kept job that lived so long is started again at once; a shorter life doubles the wait before the next start."""
MAX_WAIT_S = 5.0
MAX_STRAYS = 256


@dataclass
class Job:
    """A process that the init was asked to run."""

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    log: str | None = None
    """Where its output goes, appended; nowhere when None."""
    uid: int = 0
    gid: int = 0
    groups: list[int] = field(default_factory=list)
    cgroups: list[str] = field(default_factory=list)
    """Folders of the cgroup hierarchies it joins before it runs."""
    nice: int = 0
    keep: bool = False
    """Whether it is started again when it ends."""
    pid_file: str | None = None
    """Where a program that starts another and ends has written that one's pid, which then is the job's process."""

    pid: int | None = None
    code: int | None = None
    started: float = 0.0
    wait: float = 0.0


class Init:
    """Spawner and reaper; single-threaded, event-driven."""

    def __init__(self, socket_path: str) -> None:
        self.jobs: dict[str, Job] = {}
        self.pids: dict[int, str] = {}
        self.due: dict[str, float] = {}
        self.strays: dict[int, int] = {}
        """Exit codes of processes that came to us from their parents; the latest only."""
        self.watchers: set[socket.socket] = set()
        self.selector = selectors.DefaultSelector()
        Path(socket_path).unlink(missing_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(socket_path)
        Path(socket_path).chmod(0o600)
        self.listener.listen(64)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, self._accept)
        self._watch_children()

    def _watch_children(self) -> None:
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        self._wakeup = (receiver, sender)
        self.selector.register(receiver, selectors.EVENT_READ, self._drain)

    def _drain(self, wakeup: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while wakeup.recv(4096):
                pass

    def run(self) -> None:
        """Serve until killed."""
        while True:
            now = time.monotonic()
            for name in [name for name, at in self.due.items() if at <= now]:
                self._start_again(name)
            timeout = max(0.0, min(self.due.values()) - now) if self.due else None
            for key, _ in self.selector.select(timeout):
                key.data(key.fileobj)
            self._reap()

    def _start_again(self, name: str) -> None:
        """Start a kept job; a host that can't fork now is asked again later, for all else here goes on."""
        del self.due[name]
        try:
            self._start(self.jobs[name])
        except OSError as error:
            print(f"{name} can't be started: {error}", file=sys.stderr)
            self.due[name] = time.monotonic() + MAX_WAIT_S

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self.pids.pop(pid, None)
            code = os.waitstatus_to_exitcode(status)
            if name is not None:
                self._ended(self.jobs[name], pid, code)
            else:
                self.strays[pid] = code
                if len(self.strays) > MAX_STRAYS:
                    del self.strays[next(iter(self.strays))]

    def _ended(self, job: Job, pid: int, code: int) -> None:
        if code == 0 and job.pid_file and (heir := _take_pid(job.pid_file)):
            ended = self.strays.pop(heir, None)
            if ended is None:
                job.pid = heir
                self.pids[heir] = job.name
                return
            pid, code = heir, ended
        job.pid, job.code = None, code
        self._tell_watchers({"exit": job.name, "pid": pid, "code": code})
        if job.keep:
            lived = time.monotonic() - job.started
            job.wait = 0.0 if lived >= LONG_LIFE_S else min(MAX_WAIT_S, max(0.1, 2 * job.wait))
            self.due[job.name] = time.monotonic() + job.wait

    def _tell_watchers(self, message: dict[str, Any]) -> None:
        line = json.dumps(message).encode() + b"\n"
        for watcher in list(self.watchers):
            try:
                watcher.send(line)
            except OSError:
                self._forget(watcher)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        self.selector.register(connection, selectors.EVENT_READ, Conversation(self, connection).read)

    def _forget(self, connection: socket.socket) -> None:
        self.watchers.discard(connection)
        with contextlib.suppress(KeyError, ValueError):
            self.selector.unregister(connection)
        connection.close()

    def answer(self, connection: socket.socket, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request and return its reply; raises for a wrong one."""
        operation = request.pop("op")
        if operation == "spawn":
            return {"pid": self._spawn(Job(**request))}
        if operation == "list":
            return {"jobs": {job.name: {"pid": job.pid, "code": job.code} for job in self.jobs.values()}}
        if operation == "watch":
            self.watchers.add(connection)
            return {"ok": True}
        job = self.jobs[request["name"]]
        if operation == "drop":
            job.keep = False
            self.due.pop(job.name, None)
            request["signal"] = signal.SIGKILL
        elif operation != "signal":
            raise ValueError(f"unknown operation {operation!r}")
        if job.pid is not None:
            os.kill(job.pid, request["signal"])
        return {"ok": True}

    def _spawn(self, job: Job) -> int:
        running = self.jobs.get(job.name)
        if running is not None and running.pid is not None:
            return running.pid
        self.jobs[job.name] = job
        self.due.pop(job.name, None)
        self._start(job)
        assert job.pid is not None
        return job.pid

    def _start(self, job: Job) -> None:
        job.started, job.code = time.monotonic(), None
        pid = os.fork()
        if pid == 0:
            _become(job)
        job.pid = pid
        self.pids[pid] = job.name


def _take_pid(file: str) -> int | None:
    """Return the pid that a file holds, once."""
    try:
        text = Path(file).read_text()
        Path(file).unlink()
        return int(text)
    except (OSError, ValueError):
        return None


class Conversation:
    """One client's lines."""

    def __init__(self, init: Init, connection: socket.socket) -> None:
        self.init, self.connection = init, connection
        self.pending = b""

    def read(self, _: socket.socket) -> None:
        """Take what has arrived and answer every whole line of it."""
        try:
            data = self.connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(self.pending) > MAX_REQUEST:
            self.init._forget(self.connection)
            return
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            self._reply(line)

    def _reply(self, line: bytes) -> None:
        try:
            reply = self.init.answer(self.connection, json.loads(line))
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        try:
            self.connection.setblocking(True)
            self.connection.sendall(json.dumps(reply).encode() + b"\n")
            self.connection.setblocking(False)
        except OSError:
            self.init._forget(self.connection)


def _become(job: Job) -> None:
    """In the child: take the job's place in the world and run its program; never returns."""
    try:
        os.setsid()
        for cgroup in job.cgroups:
            Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))
        # A log may lie in a folder of the job's own user: no link there leads anywhere else.
        how = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        output = os.open(job.log or os.devnull, how, 0o644)
        empty = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        for descriptor, source in ((0, empty), (1, output), (2, output)):
            os.dup2(source, descriptor)
        os.closerange(3, 1024)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if job.nice:
            with contextlib.suppress(OSError):
                os.nice(job.nice)
        if job.uid:
            os.setgroups(job.groups)
            os.setgid(job.gid)
            os.setuid(job.uid)
        os.chdir(job.cwd)
        os.execvpe(job.argv[0], job.argv, job.env or os.environ)
    except BaseException as error:
        os.write(2, f"{job.argv[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def main() -> None:
    """Leave the host's namespaces, report the sandbox's pid (as the host sees it) on standard output, and serve."""
    os.umask(0o022)
    ask = argparse.ArgumentParser(prog="benito-init")
    ask.add_argument("--name", required=True, help="host name inside")
    ask.add_argument("--socket", required=True, help="where to listen, as seen from inside")
    ask.add_argument("--bind", action="append", default=[], help="SOURCE:NAME, seen inside as /run/benito/NAME")
    ask.add_argument("--cgroup", action="append", default=[], help="cgroup folder to join first")
    ask.add_argument("--log", default=os.devnull)
    ask.add_argument("--host-network", action="store_true", help="stay in the host's network, IPC and /run")
    told = ask.parse_args()
    for cgroup in told.cgroup:
        Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))
    os.setsid()
    with contextlib.suppress(OSError):
        # Forget which login this comes from: logins inside could not say then that they are others.
        Path("/proc/self/loginuid").write_text(str(2**32 - 1))
    flags = sandbox.CLONE_NEWNS | sandbox.CLONE_NEWUTS | sandbox.CLONE_NEWPID
    if not told.host_network:
        flags |= sandbox.CLONE_NEWNET | sandbox.CLONE_NEWIPC
    sandbox.unshare(flags)
    binds = [sandbox.Bind(Path(source), name) for source, _, name in (text.rpartition(":") for text in told.bind)]
    ready, done = os.pipe()
    pid = os.fork()
    if pid:
        _await_child(pid, ready, done)
    os.close(ready)
    sandbox.furnish(told.name, binds, isolated=not told.host_network)
    init = Init(told.socket)
    _detach(told.log)
    os.write(done, b"+")
    os.close(done)
    init.run()


def _await_child(pid: int, ready: int, done: int) -> None:
    """In the launcher: wait until the sandbox serves, tell its pid and go; its failure is ours."""
    os.close(done)
    if os.read(ready, 1) != b"+":
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) or 1)
    os.write(1, f"{pid}\n".encode())
    os._exit(0)


def _detach(log: str) -> None:
    """Let go of the caller's terminal and files."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for descriptor in (empty, output):
        if descriptor > 2:
            os.close(descriptor)
    sys.stdout = sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115


if __name__ == "__main__":
    main()
