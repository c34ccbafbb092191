"""Who may see and change what through the doors of `benito serve`: users, their roles in projects, their credentials.

On the host itself root may do everything; these rules are for those who come through a door.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from benito.errors import HostError, InputError, StateError
from benito.testbed.home import LABEL
from benito.testbed.store import Store

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS users (
        key TEXT PRIMARY KEY, name TEXT NOT NULL, admin INTEGER NOT NULL, created REAL NOT NULL
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS roles (
        user TEXT NOT NULL REFERENCES users ON DELETE CASCADE, project TEXT NOT NULL, pid TEXT NOT NULL,
        role TEXT NOT NULL, PRIMARY KEY (user, project)
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS credentials (
        digest TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
        kind TEXT NOT NULL, created REAL NOT NULL
    ) STRICT""",
)


class Action(StrEnum):
    """What somebody wants with an experiment, or with the project it is in."""

    SEE = "see"
    STEER = "steer"
    MANAGE = "manage"


class Role(StrEnum):
    """What a user is in a project."""

    VIEWER = "viewer"
    MEMBER = "member"
    OWNER = "owner"

    @property
    def allows(self) -> frozenset[Action]:
        """Viewers look, members also create, run and remove experiments, owners also say who else may."""
        return ALLOWED[self]


ALLOWED = {
    Role.VIEWER: frozenset({Action.SEE}),
    Role.MEMBER: frozenset({Action.SEE, Action.STEER}),
    Role.OWNER: frozenset(Action),
}


class Credential(StrEnum):
    """What a user shows at a door; kept as a digest only."""

    TOKEN = "token"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who comes through a door."""

    name: str
    admin: bool = False
    """Whether every project is theirs."""


class People:
    """The users of one home."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._ready = False

    def prepare(self) -> None:
        """Make the tables, unless they are there."""
        if self._ready:
            return
        with self.store.change() as db:
            for statement in SCHEMA:
                db.execute(statement)
        self._ready = True

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        self.prepare()
        with self.store.change() as db:
            yield db

    def _rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        try:
            return self.store.rows(query, values)
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise HostError(f"can't read {self.store.path}: {error}") from error

    def users(self) -> list[User]:
        """Return all, by name."""
        return [
            User(str(name), bool(admin)) for name, admin in self._rows("SELECT name, admin FROM users ORDER BY key")
        ]

    def user(self, name: str) -> User:
        """Return one; StateError when there is none of that name."""
        for found, admin in self._rows("SELECT name, admin FROM users WHERE key = ?", name.lower()):
            return User(str(found), bool(admin))
        raise StateError(
            f"there is no user {name!r}", hint="`benito user list` shows them, `benito user add` makes one"
        )

    def add(self, name: str, *, admin: bool = False) -> User:
        """Enter a user, who may do nothing yet; StateError when the name is taken."""
        if not LABEL.fullmatch(name):
            raise InputError(f"{name!r} can't be a user's name", hint="use letters, digits, - and _")
        with self._change() as db:
            if db.execute("SELECT 1 FROM users WHERE key = ?", (name.lower(),)).fetchone():
                raise StateError(f"there is a user {name} already")
            db.execute("INSERT INTO users VALUES (?,?,?,?)", (name.lower(), name, int(admin), time.time()))
        return User(name, admin)

    def set_admin(self, user: User, admin: bool) -> None:
        """Make them an administrator, or not any more."""
        with self._change() as db:
            db.execute("UPDATE users SET admin = ? WHERE key = ?", (int(admin), user.name.lower()))

    def remove(self, user: User) -> None:
        """Forget a user: roles and credentials end at once, experiments stay."""
        with self._change() as db:
            db.execute("DELETE FROM users WHERE key = ?", (user.name.lower(),))

    def set_role(self, user: User, pid: str, role: Role | None) -> None:
        """Say what a user is in a project; with None nothing any more."""
        if not LABEL.fullmatch(pid):
            raise InputError(f"{pid!r} can't be PID")
        with self._change() as db:
            db.execute("DELETE FROM roles WHERE user = ? AND project = ?", (user.name.lower(), pid.lower()))
            if role is not None:
                db.execute("INSERT INTO roles VALUES (?,?,?,?)", (user.name.lower(), pid.lower(), pid, role))

    def roles(self, user: User) -> dict[str, Role]:
        """Return what a user is, by project (in lower case)."""
        rows = self._rows("SELECT project, role FROM roles WHERE user = ? ORDER BY project", user.name.lower())
        return {str(project): Role(str(role)) for project, role in rows}

    def members(self) -> list[tuple[str, str, Role]]:
        """Return all of (project, user, role), by project."""
        rows = self._rows(
            "SELECT pid, name, role FROM roles JOIN users ON users.key = roles.user ORDER BY project, users.key"
        )
        return [(str(pid), str(name), Role(str(role))) for pid, name, role in rows]

    def set_credential(self, user: User, kind: Credential, digest: str) -> None:
        """Have this credential be the user's only one of its kind."""
        with self._change() as db:
            db.execute("DELETE FROM credentials WHERE user = ? AND kind = ?", (user.name.lower(), kind))
            db.execute("INSERT INTO credentials VALUES (?,?,?,?)", (digest, user.name.lower(), kind, time.time()))

    def holder(self, kind: Credential, digest: str) -> User | None:
        """Return whose credential that is, if anybody's."""
        rows = self._rows(
            "SELECT name, admin FROM credentials JOIN users ON users.key = credentials.user "
            "WHERE digest = ? AND kind = ?",
            digest,
            kind,
        )
        return User(str(rows[0][0]), bool(rows[0][1])) if rows else None

    def may(self, user: User, action: Action, pid: str) -> bool:
        """The one question: whether this user may do that in that project."""
        if user.admin:
            return True
        rows = self._rows("SELECT role FROM roles WHERE user = ? AND project = ?", user.name.lower(), pid.lower())
        return bool(rows) and action in Role(str(rows[0][0])).allows
