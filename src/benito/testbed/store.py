"""What Benito remembers of experiments: an SQLite database (WAL) that several processes use at once."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from benito.embedding.options import EmbeddingOptions
from benito.errors import HostError, StateError
from benito.testbed.home import ExperimentId

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 20.0

SCHEMA = """
CREATE TABLE IF NOT EXISTS experiments (
    key TEXT PRIMARY KEY, pid TEXT NOT NULL, eid TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
    settings TEXT NOT NULL, created REAL NOT NULL, changed REAL NOT NULL,
    boot_id TEXT NOT NULL DEFAULT '', swapins INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS nodes (
    key TEXT NOT NULL REFERENCES experiments ON DELETE CASCADE,
    node TEXT NOT NULL, pnode TEXT NOT NULL, kind TEXT NOT NULL, image TEXT NOT NULL,
    control TEXT NOT NULL, addresses TEXT NOT NULL, position INTEGER NOT NULL,
    boot TEXT, code INTEGER, since REAL NOT NULL,
    PRIMARY KEY (key, node)
) STRICT;
"""


class State(StrEnum):
    """Emulab's experiment states."""

    SWAPPED = "swapped"
    ACTIVATING = "activating"
    ACTIVE = "active"
    MODIFYING = "modifying"
    SWAPPING = "swapping"
    TERMINATING = "terminating"


class SharedFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of this host that a person gives to the nodes."""

    source: str
    target: str
    read_only: bool = False
    by_door: bool = False
    """Whether it was asked for through a door: then each swap-in looks anew whether it may still be shared."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How an experiment wants to be run; chosen when it is created."""

    file: str
    packing: int
    memory_mib: int | None = None
    """Of nodes whose file doesn't say; None leaves it to the image and the host's owner. So too with the next two."""
    cpus: int | None = None
    disk_mib: int | None = None
    addressing: str = "benito"
    shaping: str = "auto"
    accelerator: str = "auto"
    internet: bool = True
    strict_os: bool = False
    image: str | None = None
    """Image for every node, whatever the file says."""
    default_os: str | None = None
    """Image of the nodes whose file doesn't name one, or names one that isn't at hand."""
    members: tuple[str, ...] = ()
    """Local users who may log in to the nodes; the first is the person who created it."""
    embedding: EmbeddingOptions = msgspec.field(default_factory=EmbeddingOptions)
    """How nodes are placed, apart from `packing`, which is the one above."""
    shares: tuple[SharedFolder, ...] = ()
    ignore_missing_software: bool = False
    """Whether nodes start without what the file wants on them and can't be had."""
    cold: bool = False
    """Whether machines boot instead of being cloned."""

    @property
    def placing(self) -> EmbeddingOptions:
        """All that bears on kinds and places."""
        return replace(self.embedding, packing=self.packing)


@dataclass(frozen=True, slots=True)
class ExperimentRecord:
    """One experiment as the store has it."""

    id: ExperimentId
    state: State
    reason: str
    """Why the last change failed; empty when it didn't."""
    settings: Settings
    created: float
    changed: float
    boot_id: str
    swapins: int
    kept: bool
    """Whether disks of the last swap-in were kept."""


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """One node of an experiment that is swapped in."""

    node: str
    pnode: str
    kind: str
    image: str
    control: str
    addresses: tuple[str, ...]
    boot: str | None = None
    """`running`, `booted`, `dead`; None before its start and when its hypervisor can't be reached."""
    code: int | None = None
    """The start command's exit code, or the machine process's when dead."""
    since: float = 0.0


class Store:
    """The database; one object a process, its connection opened on first use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._open()
        return self._connection

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version not in (0, SCHEMA_VERSION):
                raise HostError(
                    f"{self.path} was written by another version of Benito (schema {version}, ours {SCHEMA_VERSION})",
                    hint="use that version, or another BENITO_HOME",
                )
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA foreign_keys=ON")
            if version == 0:
                db.executescript(SCHEMA + f"PRAGMA user_version={SCHEMA_VERSION};")
        except (sqlite3.Error, OSError) as error:
            raise HostError(
                f"can't use {self.path}: {error}", hint="run as root, check the disk, or set BENITO_HOME"
            ) from error
        return db

    def close(self) -> None:
        """Let go of the database."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Return what a SELECT finds."""
        return self._db.execute(query, values).fetchall()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction; nothing of it stays when it raises."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise HostError(f"can't write {self.path}: {error}", hint="is the disk full?") from error

    def create(self, experiment: ExperimentId, settings: Settings) -> None:
        """Enter a new experiment, swapped out; StateError when the name is taken in any spelling."""
        with self.change() as db:
            taken = db.execute("SELECT pid, eid FROM experiments WHERE key = ?", (experiment.key,)).fetchone()
            if taken:
                spelled = f" (as {taken[0]}/{taken[1]})" if f"{taken[0]}/{taken[1]}" != str(experiment) else ""
                raise StateError(
                    f"experiment {experiment} exists already{spelled}",
                    hint=f"`benito swapin {experiment}` runs it, `benito terminate {experiment}` removes it",
                )
            now = time.time()
            db.execute(
                "INSERT INTO experiments (key, pid, eid, state, settings, created, changed) VALUES (?,?,?,?,?,?,?)",
                (experiment.key, experiment.pid, experiment.eid, State.SWAPPED, _text(settings), now, now),
            )

    def experiments(self) -> list[ExperimentRecord]:
        """Return all, by name."""
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM experiments ORDER BY key").fetchall()
        return [_experiment(row) for row in rows]

    def experiment(self, experiment: ExperimentId) -> ExperimentRecord:
        """Return one; StateError when there is none of that name."""
        query = f"SELECT {_COLUMNS} FROM experiments WHERE key = ?"
        row = self._db.execute(query, (experiment.key,)).fetchone()
        if row is None:
            raise StateError(f"there is no experiment {experiment}", hint="`benito list` shows those that exist")
        return _experiment(row)

    def move(self, experiment: ExperimentId, state: State, *, reason: str = "", kept: bool | None = None) -> None:
        """Put an experiment in a state, with the reason when it is there for a failure."""
        with self.change() as db:
            db.execute(
                "UPDATE experiments SET state = ?, reason = ?, changed = ?, kept = coalesce(?, kept) WHERE key = ?",
                (state, reason, time.time(), None if kept is None else int(kept), experiment.key),
            )

    def begin_swapin(self, experiment: ExperimentId, boot_id: str) -> int:
        """Put it in `activating` on this boot of the host; returns the number of this swap-in (its incarnation)."""
        with self.change() as db:
            db.execute(
                "UPDATE experiments SET state = ?, reason = '', boot_id = ?, swapins = swapins + 1, changed = ? "
                "WHERE key = ?",
                (State.ACTIVATING, boot_id, time.time(), experiment.key),
            )
            (number,) = db.execute("SELECT swapins FROM experiments WHERE key = ?", (experiment.key,)).fetchone()
        return int(number)

    def change_settings(self, experiment: ExperimentId, settings: Settings) -> None:
        """Replace the settings for the next swap-in."""
        with self.change() as db:
            db.execute("UPDATE experiments SET settings = ? WHERE key = ?", (_text(settings), experiment.key))

    def forget(self, experiment: ExperimentId) -> None:
        """Remove it and its nodes."""
        with self.change() as db:
            db.execute("DELETE FROM experiments WHERE key = ?", (experiment.key,))

    def set_nodes(self, experiment: ExperimentId, nodes: list[NodeRecord]) -> None:
        """Replace its node list, in this order."""
        with self.change() as db:
            db.execute("DELETE FROM nodes WHERE key = ?", (experiment.key,))
            db.executemany(
                "INSERT INTO nodes VALUES (?,?,?,?,?,?,?,?,?,?,?)",
                [(experiment.key, *_row(n), position, n.boot, n.code, time.time()) for position, n in enumerate(nodes)],
            )

    def set_statuses(self, experiment: ExperimentId, statuses: dict[str, tuple[str | None, int | None]]) -> None:
        """Write `[boot, code]` of some nodes; the keeper alone calls this while the experiment is active."""
        with self.change() as db:
            db.executemany(
                "UPDATE nodes SET boot = ?, code = ?, since = ? WHERE key = ? AND node = ?",
                [(boot, code, time.time(), experiment.key, node) for node, (boot, code) in statuses.items()],
            )

    def nodes(self, experiment: ExperimentId) -> list[NodeRecord]:
        """Return its nodes in the order of the file; empty while it is swapped out."""
        rows = self._db.execute(
            "SELECT node, pnode, kind, image, control, addresses, boot, code, since FROM nodes WHERE key = ? "
            "ORDER BY position",
            (experiment.key,),
        ).fetchall()
        return [
            NodeRecord(node, pnode, kind, image, control, tuple(addresses.split()), boot, code, since)
            for node, pnode, kind, image, control, addresses, boot, code, since in rows
        ]


_COLUMNS = "pid, eid, state, reason, settings, created, changed, boot_id, swapins, kept"


def _text(settings: Settings) -> str:
    return msgspec.json.encode(settings).decode()


def _row(node: NodeRecord) -> tuple[str, ...]:
    return (node.node, node.pnode, node.kind, node.image, node.control, " ".join(node.addresses))


def _experiment(row: tuple[str, str, str, str, str, float, float, str, int, int]) -> ExperimentRecord:
    pid, eid, state, reason, settings, created, changed, boot_id, swapins, kept = row
    return ExperimentRecord(
        ExperimentId(pid, eid),
        State(state),
        reason,
        msgspec.json.decode(settings, type=Settings),
        created,
        changed,
        boot_id,
        swapins,
        bool(kept),
    )
