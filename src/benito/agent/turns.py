"""Turns that the agents of an experiment take: a few machines wake at a time, whichever pnode they are on.

Work that keeps the processors busy is done sooner in order than all at once. A turn is the lock on one of a few files,
so it ends with its holder.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

AT_ONCE = 3 * (os.cpu_count() or 1)
LOOK_AGAIN_S = 0.02


class Turns:
    """Turns of everybody who has the same folder."""

    def __init__(self, folder: Path, count: int = AT_ONCE) -> None:
        self._folder = folder
        self._count = count
        self._first = asyncio.Lock()
        """Of those who wait in this process, one looks; the others come in order."""

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it."""
        async with self._first, self._next():
            while (held := self._take()) is None:
                await asyncio.sleep(LOOK_AGAIN_S)
        try:
            yield
        finally:
            os.close(held)

    @asynccontextmanager
    async def _next(self) -> AsyncIterator[None]:
        """Be the one process that looks for a free turn; the others sleep meanwhile."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._open("next")
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await _lock(file)
            yield
        finally:
            os.close(file)

    def _open(self, name: str) -> int:
        return os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _take(self) -> int | None:
        for number in range(self._count):
            file = self._open(str(number))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            return file
        return None


async def _lock(file: int) -> None:
    """Wait for the file's lock, without keeping the process from ending; who is cancelled may close the file."""
    loop = asyncio.get_running_loop()
    locked: asyncio.Future[None] = loop.create_future()
    own = os.dup(file)

    def tell() -> None:
        if not locked.done():
            locked.set_result(None)

    def wait() -> None:
        try:
            fcntl.flock(own, fcntl.LOCK_EX)
        finally:
            os.close(own)
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell)

    threading.Thread(target=wait, name="turns", daemon=True).start()
    await locked
