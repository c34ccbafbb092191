"""Where Benito keeps things: the state's root and the runtime folders, and the names of experiments."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import blake2s
from pathlib import Path

from benito.errors import InputError

RUNTIME = Path("/run/benito")
"""Sockets and what belongs to this boot of the host; short, because a Unix socket's path ends at 108 bytes."""

LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class ExperimentId:
    """`PID/EID`, written as the person did and compared without regard to case."""

    pid: str
    eid: str

    @property
    def key(self) -> str:
        """The same for every spelling."""
        return f"{self.pid}/{self.eid}".lower()

    @property
    def domain(self) -> str:
        """What follows a node's name outside: `eid.pid`, in lower case."""
        return f"{self.eid}.{self.pid}".lower()

    def __str__(self) -> str:
        return f"{self.pid}/{self.eid}"

    @classmethod
    def parse(cls, text: str) -> ExperimentId:
        """Read `PID/EID`; InputError for anything else."""
        pid, slash, eid = text.partition("/")
        if not slash:
            raise InputError(f"{text!r} doesn't name an experiment", hint="write PID/EID, or -p PID -e EID")
        return cls.checked(pid, eid)

    @classmethod
    def checked(cls, pid: str, eid: str) -> ExperimentId:
        """Accept names that can be part of a host name; InputError otherwise."""
        for what, name in (("PID", pid), ("EID", eid)):
            if not LABEL.fullmatch(name):
                raise InputError(
                    f"{name!r} can't be {what}",
                    hint="use 1 to 63 letters, digits, - and _, beginning and ending with a letter or digit",
                )
        return cls(pid, eid)


@dataclass(frozen=True, slots=True)
class Home:
    """The root of the state and the places in it."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """`$BENITO_HOME`, else /var/lib/benito."""
        return cls(Path(os.environ.get("BENITO_HOME") or "/var/lib/benito").resolve())

    @property
    def database(self) -> Path:
        return self.root / "benito.db"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def templates(self) -> Path:
        """What machines are clones of."""
        return self.root / "templates"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    def place(self, experiment: ExperimentId) -> Place:
        """Return where that experiment lives."""
        digest = blake2s(f"{self.root}\0{experiment.key}".encode()).hexdigest()[:10]
        folder = self.root / "experiments" / experiment.pid.lower() / experiment.eid.lower()
        return Place(experiment, digest, folder)


@dataclass(frozen=True, slots=True)
class Place:
    """One experiment's folders and the short hash that names its things on the host."""

    experiment: ExperimentId
    hash: str
    folder: Path

    @property
    def runtime(self) -> Path:
        return RUNTIME / self.hash

    @property
    def lease(self) -> Path:
        """What it holds of the host while it is swapped in."""
        return self.runtime / "lease.json"

    @property
    def keeper_socket(self) -> Path:
        return self.runtime / "hub" / "keeper.sock"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def plans(self) -> Path:
        return self.folder / "plan"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def nodes(self) -> Path:
        return self.folder / "nodes"

    @property
    def memory(self) -> Path:
        """The experiment's own copies of its templates' memories."""
        return self.folder / "memory"

    @property
    def software(self) -> Path:
        """Bundles of software, each named by its digest."""
        return self.folder / "software"

    @property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def known_hosts(self) -> Path:
        """The nodes' public host keys: the one thing of an experiment that every local user may read."""
        return self.folder.parents[2] / "known_hosts" / self.hash

    @property
    def hub(self) -> str:
        """The network namespace that joins its pnodes."""
        return f"benito-{self.hash}"

    @property
    def cgroup(self) -> str:
        return f"benito/{self.hash}"
