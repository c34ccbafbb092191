"""Long operations that doors begin: each a process of its own, so that a restart of `serve` ends none.

An operation is a folder `serve/operations/ID` of the home with `request.json`, the experiment's file when one is made,
and `progress.jsonl`: one line an event, the last one its outcome.

    {"time", "step": text}   {"time", "node": name, "phase": text}   {"time", "notice": text}
    {"time", "outcome": "done" | "failed" | "interrupted", "error": text, "kind": "CapacityError", "hint": text}

The process holds a lock on `progress.jsonl`: an operation without outcome whose lock is free was interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from benito import errors
from benito.errors import BenitoError, BusyError, InputError, StateError
from benito.services.access import folder
from benito.services.files import private_folder, write_secret
from benito.testbed.home import ExperimentId, Home
from benito.testbed.store import ExperimentRecord, Settings, State
from benito.testbed.testbed import require_state

POLL_S = 0.1
"""How often a follower looks for new lines; the writer may be older than this process."""
SETTLED_S = 60.0
KEPT = 200
MAX_FILE = 512 << 10
"""Bytes of an experiment's file, as on Emulab."""
PROGRAM = [sys.executable, "-P", "-m", "benito.services.operation"]

Event = dict[str, Any]


class Kind(StrEnum):
    """What can take long."""

    CREATE = "create"
    UP = "up"
    """Create and swap in."""
    SWAPIN = "swapin"
    SWAPOUT = "swapout"
    TERMINATE = "terminate"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, and for whom."""

    kind: Kind
    pid: str
    eid: str
    user: str
    began: float = 0.0
    settings: Settings | None = None
    """Of an experiment that is made; `settings.file` is the name that its person gave the file."""
    keep: bool = False
    """Whether a swap-out keeps disks."""

    @property
    def experiment(self) -> ExperimentId:
        """The experiment's name."""
        return ExperimentId(self.pid, self.eid)


class Outcome(msgspec.Struct, frozen=True):
    """How an operation ended."""

    outcome: str
    """`done`, `failed` or `interrupted`."""
    error: str = ""
    kind: str = ""
    """The exception's name, as in `errors`."""
    hint: str = ""

    @property
    def done(self) -> bool:
        """Whether it did what was asked."""
        return self.outcome == "done"

    @property
    def raised(self) -> type[BenitoError]:
        """The kind of error that it ended with."""
        kind: type[BenitoError] = getattr(errors, self.kind, BenitoError)
        return kind


class Operation(msgspec.Struct, frozen=True):
    """One operation as it stands."""

    id: str
    request: Request
    outcome: Outcome | None
    """None while it is under way."""


def swapping(record: ExperimentRecord, direction: str, user: str, *, keep: bool = False) -> Request:
    """Return the request to swap an experiment `in` or `out`.

    InputError for another direction; StateError when it is there already, or in the middle of something.
    """
    if direction not in ("in", "out"):
        raise InputError(f"{direction or 'nothing'} is no direction", hint="in or out")
    if direction == "in" and record.state is not State.ACTIVE:
        require_state(record, State.SWAPPED)
    if direction == "out" and record.state is State.SWAPPED and not record.kept:
        raise StateError(f"{record.id} is swapped out already")
    kind = Kind.SWAPIN if direction == "in" else Kind.SWAPOUT
    return Request(kind=kind, pid=record.id.pid, eid=record.id.eid, user=user, keep=keep)


class Operations:
    """The operations of one home."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.folder = folder(home) / "operations"
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._over: set[str] = set()
        """Those that have ended for certain: every page that is open asks again and again what is under way."""

    def start(self, request: Request, file: bytes | None = None) -> Operation:
        """Begin; BusyError when one of the same experiment is under way. `file` is what an experiment is made from."""
        if file is not None and len(file) > MAX_FILE:
            raise InputError(f"the file has {len(file)} bytes", hint=f"at most {MAX_FILE} are taken")
        if (other := self.current(request.experiment)) is not None:
            raise BusyError(f"{request.experiment}: {other.request.kind} is under way, begun by {other.request.user}")
        request = msgspec.structs.replace(request, began=time.time())
        name = f"{_name_at(time.time())}-{secrets.token_hex(4)}"
        private_folder(self.folder.parent)
        place = private_folder(private_folder(self.folder) / name)
        if file is not None:
            write_secret(self.file(name), file)
        write_secret(place / "request.json", msgspec.json.encode(request))
        self._spawn(name)
        self._forget_old()
        return Operation(name, request, None)

    def file(self, name: str) -> Path:
        """Return where an operation keeps the experiment's file."""
        return self.folder / name / "file"

    def _spawn(self, name: str) -> None:
        progress = self._progress(name)
        descriptor = os.open(progress, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        log = os.open(progress.with_name("log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # The lock belongs to the open file and passes to the child with it: it is never free in between.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            argv = [*PROGRAM, "--home", str(self.home.root), "--operation", name]
            self._children[name] = subprocess.Popen(
                [*argv, "--progress", str(descriptor)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(descriptor,),
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(descriptor)
            os.close(log)

    def _progress(self, name: str) -> Path:
        return self.folder / name / "progress.jsonl"

    def get(self, name: str) -> Operation:
        """Return one; StateError when there is none of that name."""
        if not name.replace("-", "").isalnum():
            raise StateError(f"there is no operation {name!r}")
        try:
            request = msgspec.json.decode((self.folder / name / "request.json").read_bytes(), type=Request)
            lines = self._progress(name).read_bytes().splitlines()
        except (OSError, msgspec.MsgspecError):
            raise StateError(f"there is no operation {name!r}") from None
        return Operation(name, request, _outcome(lines[-1] if lines else b"") or self._interrupted(name))

    def _interrupted(self, name: str) -> Outcome | None:
        if self._alive(name):
            return None
        with contextlib.suppress(OSError):
            # It may have ended between the two looks.
            lines = self._progress(name).read_bytes().splitlines()
            if lines and (outcome := _outcome(lines[-1])):
                return outcome
        return Outcome("interrupted", "the operation's process ended in the middle", "HostError", "look at its state")

    def _alive(self, name: str) -> bool:
        if name in self._over:
            return False
        child = self._children.get(name)
        if child is not None and child.poll() is not None:
            del self._children[name]
        try:
            descriptor = os.open(self._progress(name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        # One that has just been begun, by another process, may not hold its lock yet.
        if name < _name_at(time.time() - SETTLED_S):
            self._over.add(name)
        return False

    def _names(self) -> list[str]:
        try:
            return sorted((entry.name for entry in self.folder.iterdir()), reverse=True)
        except FileNotFoundError:
            return []

    def recent(self) -> list[Operation]:
        """Return those that are remembered, the latest first."""
        found = []
        for name in self._names():
            with contextlib.suppress(StateError):
                found.append(self.get(name))
        return found

    def current(self, experiment: ExperimentId) -> Operation | None:
        """Return the experiment's operation that is under way, if there is one."""
        for name in self._names():
            if self._alive(name):
                with contextlib.suppress(StateError):
                    operation = self.get(name)
                    if operation.request.experiment.key == experiment.key and operation.outcome is None:
                        return operation
        return None

    async def follow(self, name: str) -> AsyncIterator[Event]:
        """Yield an operation's events from its beginning, as they come; the last one is its outcome."""
        self.get(name)
        with self._progress(name).open("rb") as file:
            rest = b""
            while True:
                alive = self._alive(name)
                rest += file.read()
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    event = _event(line)
                    if event is not None:
                        yield event
                        if "outcome" in event:
                            return
                if not alive:
                    yield {"time": round(time.time(), 3), **msgspec.to_builtins(self.get(name).outcome)}
                    return
                await asyncio.sleep(POLL_S)

    async def wait(self, name: str) -> Outcome:
        """Return the outcome when it is there; cancelling the wait doesn't touch the operation."""
        async for event in self.follow(name):
            if "outcome" in event:
                return msgspec.convert(event, Outcome)
        raise AssertionError("an operation's last event is its outcome")

    def _forget_old(self) -> None:
        self._over.intersection_update(self._names())
        for name in self._names()[KEPT:]:
            if not self._alive(name):
                shutil.rmtree(self.folder / name, ignore_errors=True)


def _name_at(seconds: float) -> str:
    """Return how the names of operations begin that were begun at that time: they sort by it."""
    return f"{int(seconds * 1000):013d}"


def _event(line: bytes) -> Event | None:
    """Read a line; None for half of one, which a host that lost power may leave."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _outcome(line: bytes) -> Outcome | None:
    event = _event(line)
    return msgspec.convert(event, Outcome) if event and "outcome" in event else None
