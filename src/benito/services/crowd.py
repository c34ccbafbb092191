"""The connections of one door: so many and no more, and none that keeps silent for long.

When the door is full, the connection that has been silent longest makes room: ten thousand clients that say nothing
can't keep one out that does. A connection whose request is being answered isn't silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

SWEEP_S = 2.0


@dataclass(slots=True)
class _Guest:
    close: Callable[[], object]
    heard: float


class Crowd:
    """Keeps count of connections; each is known by a key of its door's choice."""

    def __init__(self, most: int, silent_s: float) -> None:
        self.most = most
        self.silent_s = silent_s
        self._silent: OrderedDict[Hashable, _Guest] = OrderedDict()
        """Oldest first."""
        self._busy: dict[Hashable, _Guest] = {}

    def __len__(self) -> int:
        return len(self._silent) + len(self._busy)

    def enter(self, key: Hashable, close: Callable[[], object]) -> bool:
        """Let a connection in, closing the one that was silent longest when full; False when all are busy."""
        if len(self) >= self.most:
            if not self._silent:
                return False
            self._drop()
        self._silent[key] = _Guest(close, time.monotonic())
        return True

    def heard(self, key: Hashable) -> None:
        """A request came in whole or was answered: the connection counts as fresh again."""
        guest = self._busy.pop(key, None) or self._silent.pop(key, None)
        if guest is not None:
            guest.heard = time.monotonic()
            self._silent[key] = guest

    def busy(self, key: Hashable) -> None:
        """Its request is being answered, which may take long."""
        if (guest := self._silent.pop(key, None)) is not None:
            self._busy[key] = guest

    def leave(self, key: Hashable) -> None:
        """The connection is over, or somebody else's now."""
        self._silent.pop(key, None)
        self._busy.pop(key, None)

    def _drop(self) -> None:
        _, guest = self._silent.popitem(last=False)
        with contextlib.suppress(Exception):
            guest.close()

    async def watch(self) -> None:
        """Close connections that have been silent too long, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            limit = time.monotonic() - self.silent_s
            while self._silent and next(iter(self._silent.values())).heard < limit:
                self._drop()
