"""Turns that the agents of an experiment take: a few machines wake at a time, whichever pnode they are on.

Work that keeps the processors busy is done sooner in order than all at once. A turn is the lock on one of a few files,
so it ends with its holder.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

AT_ONCE = 2 * (os.cpu_count() or 1)
LOOK_AGAIN_S = 0.03


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
        async with self._first:
            while (held := self._take()) is None:
                await asyncio.sleep(LOOK_AGAIN_S)
        try:
            yield
        finally:
            os.close(held)

    def _take(self) -> int | None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(self._count):
            file = os.open(self._folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            return file
        return None
