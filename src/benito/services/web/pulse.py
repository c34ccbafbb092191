"""Tells when the store has changed, whoever changed it: one cheap look for everybody who waits."""

from __future__ import annotations

import asyncio
from collections import Counter

from benito.testbed.home import ExperimentId
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
        self._counted: dict[str, tuple[int, Counter[str | None]]] = {}

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

    def version(self) -> int:
        """Return a number that changes whenever another process has changed the store."""
        ((version,),) = self.store.rows("PRAGMA data_version", ())
        return int(str(version))

    def boots(self, experiment: ExperimentId) -> Counter[str | None]:
        """Return how many nodes are in which boot state, counted once for all who ask between two changes."""
        version = self.version()
        kept = self._counted.get(experiment.key)
        if kept is None or kept[0] != version:
            kept = (version, Counter(node.boot for node in self.store.nodes(experiment)))
            self._counted[experiment.key] = kept
        return kept[1]

    async def _look(self) -> None:
        """Look as long as anybody waits."""
        while self._waiting:
            version = self.version()
            if version != self._seen:
                self._seen = version
                for future in self._waiting:
                    if not future.done():
                        future.set_result(None)
            await asyncio.sleep(LOOK_S)
