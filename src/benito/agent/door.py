"""The ssh door of a node without services: listens in the node's network, and starts sshd for each visitor.

The listening socket belongs to the node's network namespace, the process that listens to the pnode, so that a node
that nobody visits costs one socket. It closes with the agent and is open again with its successor; who is inside stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence
from pathlib import Path

from benito.network import namespaces

PORT = 22
BACKLOG = 64
AT_ONCE = 4
"""Visitors of one node that are let in at the same time."""
SILENCE_S = 0.2
"""How long a visitor may be silent before it is let in all the same."""
log = logging.getLogger(__name__)


class Door:
    """Listens in the namespace mounted at `network`."""

    def __init__(self, network: Path) -> None:
        self._network = network
        self._argv: list[str] = []
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None
        self._visits: set[asyncio.Task[None]] = set()

    def open(self, argv: Sequence[str]) -> None:
        """Listen, if it doesn't yet; `argv` serves the connection that is its standard input."""
        self._argv = list(argv)
        if self._socket is not None:
            return
        with namespaces.entered(self._network):
            listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("::", PORT))
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        self._socket = listener
        self._task = asyncio.create_task(self._serve(listener))

    def close(self) -> None:
        """Listen no more; visits go on."""
        if self._task:
            self._task.cancel()
        if self._socket:
            self._socket.close()
        self._socket = self._task = None

    async def _serve(self, listener: socket.socket) -> None:
        turns = asyncio.Semaphore(AT_ONCE)
        loop = asyncio.get_running_loop()
        while True:
            await turns.acquire()
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("a visitor was lost: %s", error)
                turns.release()
                await asyncio.sleep(0.1)
                continue
            visit = asyncio.create_task(self._let_in(connection))
            self._visits.add(visit)
            visit.add_done_callback(self._visits.discard)
            visit.add_done_callback(lambda _: turns.release())

    async def _let_in(self, connection: socket.socket) -> None:
        with contextlib.closing(connection):
            if not await _stays(connection):
                return
            connection.setblocking(True)
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._argv,
                    stdin=connection.fileno(),
                    stdout=connection.fileno(),
                    stderr=asyncio.subprocess.DEVNULL,
                )
                await process.wait()
            except OSError as error:
                log.warning("a visitor can't be let in: %s", error)


async def _stays(connection: socket.socket) -> bool:
    """Whether a visitor hasn't only looked whether the door is open; most say who they are at once."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        async with asyncio.timeout(SILENCE_S):
            await readable.wait()
    except TimeoutError:
        return True
    finally:
        loop.remove_reader(connection)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
