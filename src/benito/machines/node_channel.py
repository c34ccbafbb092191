"""What a node tells the host by itself, line by line over a virtio port: typed events."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from benito.machines.sockets import connect

PAUSE_S = 0.1
"""The least time between two lines of one node."""
LONGEST = 4096
"""Bytes of a line that may mean something."""


@dataclass(frozen=True, slots=True)
class Booted:
    """The node's OS is up and configured; each boot has its own id."""

    boot_id: str


@dataclass(frozen=True, slots=True)
class StartExit:
    """The start command has ended; code 128 + N for a signal N."""

    code: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The node couldn't be made what its configuration says."""

    reason: str


NodeEvent = Booted | StartExit | Failed

LONGEST_REASON = 400


def parse(line: str) -> NodeEvent | None:
    """Return a line's meaning; None for what isn't understood: anyone who is root in a node can write here."""
    match line.split():
        case ["booted", boot_id] if len(boot_id) <= 64:
            return Booted(boot_id)
        case ["start-exit", code] if code.isascii() and code.isdigit() and len(code) <= 3:
            return StartExit(int(code))
        case ["failed", *_]:
            return Failed(line.partition(" ")[2].strip()[:LONGEST_REASON])
    return None


async def events(reader: StreamReader) -> AsyncIterator[NodeEvent]:
    """Yield what a node tells, until the end of the stream."""
    while True:
        try:
            line = await reader.readline()
        except ValueError:
            # Too long for any that means something.
            line = b"\n"
        if not line:
            return
        # A reboot in the middle of a line ends it; the next one is whole again.
        if event := parse(line.decode(errors="replace")):
            yield event
        # Whoever is root in a node can write lines without end: they wait there, not with us.
        await asyncio.sleep(PAUSE_S)


class NodeChannel:
    """The host's end of a machine's port; what a node writes while nobody is connected waits in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._streams: tuple[StreamReader, StreamWriter] | None = None

    async def connect(self, timeout: float = 10) -> None:
        """Connect; QEMU lets one reader in at a time."""
        self._streams = await connect(self._path, timeout, LONGEST)

    async def events(self) -> AsyncIterator[NodeEvent]:
        """Yield what the node tells, until its machine ends."""
        if self._streams is None:
            await self.connect()
        assert self._streams is not None
        reader = self._streams[0]
        with contextlib.suppress(ConnectionError):
            async for event in events(reader):
                yield event

    async def put(self, data: bytes) -> None:
        """Leave data for the node to take from its end of the port; it waits there as long as need be."""
        if self._streams is None:
            await self.connect()
        assert self._streams is not None
        self._streams[1].write(data)

    async def close(self) -> None:
        """Let go of the port."""
        streams, self._streams = self._streams, None
        if streams:
            streams[1].close()
