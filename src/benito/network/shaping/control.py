"""The wire engine's control socket: JSON lines, answered in between frames, never waited for.

client -> {"id": 1, "op": "apply", "arguments": {"wires": [...]}}
engine -> {"id": 1, "reply": ...}   or   {"id": 1, "error": {"kind", "message", "hint"}}
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benito.errors import BenitoError, NodeError

MAX_LINE = 64 << 20
Handler = Callable[..., Any]


class Control:
    """The listening socket and its clients, all driven by the engine's epoll."""

    def __init__(self, path: Path, epoll: select.epoll, handlers: dict[str, Handler]) -> None:
        self._epoll = epoll
        self._handlers = handlers
        self._clients: dict[int, _Client] = {}
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(16)
        epoll.register(self._listener, select.EPOLLIN)

    def handle(self, fd: int, mask: int) -> bool:
        """Deal with an event of ours; False when the descriptor isn't."""
        if fd == self._listener.fileno():
            with contextlib.suppress(OSError):
                connection, _ = self._listener.accept()
                connection.setblocking(False)
                self._clients[connection.fileno()] = _Client(connection)
                self._epoll.register(connection, select.EPOLLIN)
            return True
        client = self._clients.get(fd)
        if client is None:
            return False
        try:
            if mask & ~select.EPOLLOUT:
                self._read(client)
            self._write(client)
        except OSError:
            self._forget(client)
        return True

    def _read(self, client: _Client) -> None:
        data = client.connection.recv(1 << 18)
        if not data or len(client.incoming) > MAX_LINE:
            raise ConnectionResetError
        client.incoming += data
        if b"\n" not in data:
            return
        *lines, rest = client.incoming.split(b"\n")
        client.incoming = bytearray(rest)
        for line in lines:
            client.outgoing += json.dumps(self._answer(bytes(line))).encode() + b"\n"

    def _write(self, client: _Client) -> None:
        with contextlib.suppress(BlockingIOError):
            while client.outgoing:
                del client.outgoing[: client.connection.send(client.outgoing)]
        self._epoll.modify(client.connection, select.EPOLLIN | (select.EPOLLOUT if client.outgoing else 0))

    def _forget(self, client: _Client) -> None:
        self._clients.pop(client.connection.fileno(), None)
        client.connection.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        number = None
        try:
            request = json.loads(line)
            number = request.get("id")
            handler = self._handlers.get(request.get("op"))
            if handler is None:
                raise NodeError(f"unknown request {request.get('op')!r}")
            return {"id": number, "reply": handler(**request.get("arguments", {}))}
        except BenitoError as error:
            told = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
        except Exception as error:  # A defect met by a request must not stop the wires.
            told = {"kind": "NodeError", "message": f"the wire engine: {type(error).__name__}: {error}", "hint": ""}
        return {"id": number, "error": told}


class _Client:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.incoming = bytearray()
        self.outgoing = bytearray()
