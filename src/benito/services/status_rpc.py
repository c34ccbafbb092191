"""The line protocol by which programs ask for node states, as Benito always had it.

    status_request PID/EID     ->  status_reply {'hv:qemu:pnode-0000': {'node-1': ['booted', 0], ...}, ...}
    state_request PID/EID      ->  state_reply 'active'
    pnodes_request PID/EID     ->  pnodes_reply {'pnode-0000': 'up', ...}
    list_request               ->  list_reply {'PID/EID': 'active', ...}
    token TOKEN                ->  token_reply 'alice'; from then on the connection is hers
    help                       ->  help_reply {'status_request PID/EID': 'what it does', ...}
    quit                       ->  the connection ends

What can't be answered gets `error_reply 'why'`. Reply bodies are Python literals. Nodes that are physical have no
hypervisor and don't appear; those of a hypervisor that can't be reached are `[None, None]`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benito.errors import AccessError, BenitoError, InputError
from benito.services import listening
from benito.services.crowd import Crowd
from benito.services.doors import Doors
from benito.testbed.home import ExperimentId
from benito.testbed.people import Action, User
from benito.testbed.store import ExperimentRecord

PORT = 3070
MAX_LINE = 1024
MAX_CONNECTIONS = 1024
SILENT_S = 300.0
WRITE_S = 30.0
ANYBODY = User("anybody", admin=True)
"""Who hasn't shown a token, where states are no secret: nothing but reading goes through this door."""

HELP = {
    "status_request PID/EID": "boot status and exit code of each node, by hypervisor",
    "state_request PID/EID": "the experiment's state",
    "pnodes_request PID/EID": "which pnodes can be reached",
    "list_request": "experiments and their states",
    "token TOKEN": "say who you are",
    "help": "this",
    "quit": "end the connection",
}


@dataclass(slots=True)
class _Talk:
    """One connection's state."""

    user: User | None


class StatusDoor:
    """Answers the line protocol. With `open_to_all` a connection needs no token to be answered."""

    def __init__(self, doors: Doors, *, open_to_all: bool) -> None:
        self.doors = doors
        self.crowd = Crowd(MAX_CONNECTIONS, SILENT_S)
        self._nobody = ANYBODY if open_to_all else None
        self._bodies: dict[str, tuple[object, bytes]] = {}
        """The last reply of each experiment and what it was made from: many ask again and again."""
        self._commands: dict[str, Callable[[_Talk, list[str]], Awaitable[str | bytes]]] = {
            "status_request": self._status,
            "state_request": self._state,
            "pnodes_request": self._pnodes,
            "list_request": self._list,
            "token": self._token,
            "help": self._help,
        }

    async def serve(self, listener: socket.socket) -> None:
        """Answer until cancelled."""
        await listening.serve(listener, self.crowd, self._converse, MAX_LINE)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = _Talk(self._nobody)
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                writer.write(_error(f"a line has at most {MAX_LINE} bytes"))
                return
            words = line.decode("ascii", "replace").split()
            if not line.endswith(b"\n") or words[:1] == ["quit"]:
                return
            if words:
                self.crowd.busy(writer)
                writer.write(await self._answer(talk, words))
                # Who doesn't read the answer counts as silent.
                self.crowd.heard(writer)
                async with asyncio.timeout(WRITE_S):
                    await writer.drain()

    async def _answer(self, talk: _Talk, words: list[str]) -> bytes:
        command = self._commands.get(words[0])
        if command is None:
            return _error(f"unknown command {words[0][:80]!a}; help lists them")
        try:
            body = await command(talk, words[1:])
        except BenitoError as error:
            return _error(error.message)
        name = words[0].removesuffix("_request").encode()
        return b"%s_reply %s\n" % (name, body if isinstance(body, bytes) else body.encode())

    def _user(self, talk: _Talk) -> User:
        if talk.user is None:
            raise AccessError("say who you are first: token TOKEN")
        return talk.user

    def _experiment(self, talk: _Talk, words: list[str]) -> ExperimentRecord:
        user = self._user(talk)
        if len(words) != 1:
            raise InputError("one experiment is expected: PID/EID")
        name = ExperimentId.parse(words[0])
        return self.doors.access.experiment(user, Action.SEE, name.pid, name.eid)

    async def _status(self, talk: _Talk, words: list[str]) -> bytes:
        record = self._experiment(talk, words)
        watch = await self.doors.watches.of(record)
        made_from = (record.changed, watch, watch.version if watch else 0)
        kept = self._bodies.get(record.id.key)
        if kept is None or kept[0] != made_from:
            kept = (made_from, repr(await self._statuses(record)).encode())
            self._bodies[record.id.key] = kept
        return kept[1]

    async def _statuses(self, record: ExperimentRecord) -> dict[str, dict[str, list[str | int | None]]]:
        found: dict[str, dict[str, list[str | int | None]]] = {}
        for node in (await self.doors.watches.view(record)).nodes:
            if node.kind != "physical":
                found.setdefault(f"hv:{node.kind}:{node.pnode}", {})[node.node] = [node.boot, node.code]
        return found

    async def _state(self, talk: _Talk, words: list[str]) -> str:
        return repr(str(self._experiment(talk, words).state))

    async def _pnodes(self, talk: _Talk, words: list[str]) -> str:
        watch = await self.doors.watches.of(self._experiment(talk, words))
        return repr(watch.pnodes if watch else {})

    async def _list(self, talk: _Talk, words: list[str]) -> str:
        return repr({str(record.id): str(record.state) for record in self.doors.access.records(self._user(talk))})

    async def _token(self, talk: _Talk, words: list[str]) -> str:
        user = self.doors.access.by_token(words[0]) if len(words) == 1 else None
        if user is None:
            raise AccessError("this token is nobody's")
        talk.user = user
        return repr(user.name)

    async def _help(self, talk: _Talk, words: list[str]) -> str:
        return repr(HELP)


def _error(text: str) -> bytes:
    return f"error_reply {text!a}\n".encode()
