"""A terminal in the browser: bytes between a WebSocket and an ssh, or a machine's serial console.

Binary messages are bytes; text messages are JSON: `{"columns", "rows"}` and `{"ack": bytes}` from the browser, which
says so how much it has shown: a node that floods its terminal is read no faster than somebody can look.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import signal
import socket
import struct
import termios
from collections.abc import Coroutine
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.websockets import WebSocket, WebSocketDisconnect

from benito.errors import BenitoError, InputError
from benito.services.middleware import asker
from benito.services.web.room import Room
from benito.testbed.consoles import connect, socket_folder
from benito.testbed.home import Place
from benito.testbed.names import ssh_argv
from benito.testbed.people import Action
from benito.testbed.store import ExperimentRecord, NodeRecord, State
from benito.testbed.testbed import require_state

WINDOW = 512 << 10
"""Bytes that may be under way to the browser."""
CHUNK = 16 << 10
MOST = 64
"""Terminals at once."""
REASON = 120
"""Bytes: a WebSocket's closing reason has at most 123."""
SSH = ("-tt", "-e", "none", "-a", "-x")
"""No escapes to ssh's own commands, nothing of this host handed on."""
SSH_OPTIONS = ("-o", "BatchMode=yes", "-o", "ClearAllForwardings=yes", "-o", "ConnectTimeout=60")
ENVIRONMENT = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "HOME": "/root", "PATH": os.defpath}


class Line(Protocol):
    """What a terminal is connected to."""

    descriptor: int

    def resize(self, columns: int, rows: int) -> None:
        """Take the terminal's size."""

    async def close(self) -> None:
        """Let go."""


class SshLine:
    """An ssh to a node in a pseudo-terminal of its own."""

    def __init__(self, descriptor: int, process: asyncio.subprocess.Process) -> None:
        self.descriptor = descriptor
        self.process = process

    @classmethod
    async def open(cls, place: Place, node: str) -> SshLine:
        """Log in; what goes wrong is said in the terminal."""
        ours, theirs = pty.openpty()
        program, *rest = ssh_argv(place, node)
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *SSH,
                *SSH_OPTIONS,
                *rest,
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        os.set_blocking(ours, False)
        return cls(ours, process)

    def resize(self, columns: int, rows: int) -> None:
        """Set the size; ssh looks at it when told that it changed, for the terminal isn't its controlling one."""
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGWINCH)

    async def close(self) -> None:
        """End the ssh."""
        os.close(self.descriptor)
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            async with asyncio.timeout(5):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


class SerialLine:
    """A machine's serial console."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.descriptor = connection.fileno()
        connection.setblocking(False)

    def resize(self, columns: int, rows: int) -> None:
        """A serial line has no size."""

    async def close(self) -> None:
        """Hang up; the machine goes on."""
        self.connection.close()


async def terminal(websocket: WebSocket) -> None:
    """Serve one terminal until either side ends it."""
    room: Room = websocket.app.state.room
    await websocket.accept()
    try:
        record = room.record(websocket, Action.STEER)
        node = _node(room, record, websocket.path_params["node"])
        line = await _line(room, record, node, websocket.query_params.get("kind", "ssh"))
    except (BenitoError, HTTPException, OSError) as error:
        said = error.detail if isinstance(error, HTTPException) else getattr(error, "message", str(error))
        await websocket.close(1011, _reason(said))
        return
    room.terminals.add(websocket)
    try:
        await Talk(websocket, line).run(_forbidden(room, websocket, record))
    finally:
        room.terminals.discard(websocket)
        await line.close()
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(1000, "the session ended")


async def _forbidden(room: Room, websocket: WebSocket, record: ExperimentRecord) -> None:
    """Return when who types may not do so any more: their token, role or experiment is gone."""
    again = asker(websocket.scope)
    while (user := again()) is not None and room.doors.access.may(user, Action.STEER, record.id.pid):
        await room.pulse.next()


def _reason(text: str) -> str:
    return text.encode()[:REASON].decode(errors="ignore")


def _node(room: Room, record: ExperimentRecord, wanted: str) -> NodeRecord:
    require_state(record, State.ACTIVE)
    if len(room.terminals) >= MOST:
        raise InputError(f"{MOST} terminals are open already", hint="close one")
    for node in room.doors.watches.nodes(record):
        if node.node.lower() == wanted.lower():
            return node
    raise InputError(f"{record.id} has no such node")


async def _line(room: Room, record: ExperimentRecord, node: NodeRecord, kind: str) -> Line:
    place = room.doors.bed.home.place(record.id)
    if kind == "ssh":
        return await SshLine.open(place, node.node)
    if kind == "serial" and node.kind == "qemu":
        return SerialLine(connect(socket_folder(place, node), "console"))
    raise InputError(f"{node.node} has no such terminal")


class Talk:
    """Bytes both ways."""

    def __init__(self, websocket: WebSocket, line: Line) -> None:
        self.websocket = websocket
        self.line = line
        self.unacknowledged = 0
        self._room = asyncio.Event()

    async def run(self, forbidden: Coroutine[Any, Any, None]) -> None:
        """Until one side ends, or it is forbidden."""
        tasks = [asyncio.create_task(each) for each in (self._out(), self._in(), forbidden)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _out(self) -> None:
        """From the node to the browser."""
        while True:
            await _ready(self.line.descriptor)
            try:
                data = os.read(self.line.descriptor, CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                return
            if not data:
                return
            self.unacknowledged += len(data)
            await self.websocket.send_bytes(data)
            while self.unacknowledged > WINDOW:
                self._room.clear()
                await self._room.wait()

    async def _in(self) -> None:
        """From the browser to the node."""
        with contextlib.suppress(WebSocketDisconnect, OSError):
            while True:
                message = await self.websocket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                if message.get("bytes") is not None:
                    await _write(self.line.descriptor, message["bytes"])
                else:
                    self._told(message.get("text") or "")

    def _told(self, text: str) -> None:
        try:
            told = json.loads(text)
            if "ack" in told:
                self.unacknowledged = max(0, self.unacknowledged - int(told["ack"]))
                self._room.set()
            else:
                columns, rows = (max(1, min(1000, int(told[what]))) for what in ("columns", "rows"))
                self.line.resize(columns, rows)
        except (ValueError, KeyError, TypeError, OverflowError):
            # Only a page that isn't ours says what can't be understood.
            return


async def _ready(descriptor: int, *, to_write: bool = False) -> None:
    """Wait until the descriptor can be read or written."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
    add(descriptor, lambda: None if future.done() else future.set_result(None))
    try:
        await future
    finally:
        remove(descriptor)


async def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await _ready(descriptor, to_write=True)
