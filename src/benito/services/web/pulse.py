"""Tells when the store has changed, whoever changed it: one cheap look for everybody who waits."""

from __future__ import annotations

import asyncio

from benito.testbed.store import Store

LOOK_S = 0.25
"""SQLite tells nobody of a change; its data_version is a number in shared memory."""


class Pulse:
    """One store's changes; belongs to the event loop's thread."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._seen = -1
        self._waiting: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def next(self) -> None:
        """Return at the next change; at once, when nobody has looked for a while and there was one."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        try:
            await future
        finally:
            self._waiting.discard(future)

    async def _look(self) -> None:
        """Look as long as anybody waits."""
        while self._waiting:
            ((version,),) = self.store.rows("PRAGMA data_version", ())
            if version != self._seen:
                self._seen = version
                for future in self._waiting:
                    if not future.done():
                        future.set_result(None)
            await asyncio.sleep(LOOK_S)
