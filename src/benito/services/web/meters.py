"""What goes over an experiment's links now: counters of its wires, turned into rates, asked once for all who look."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from benito.agent.rpc import Client
from benito.errors import BenitoError
from benito.testbed.home import Place

EVERY_S = 2.0
ASK_S = 10.0
log = logging.getLogger(__name__)

Reading = tuple[int, int, int, int]
"""Of one link: bits/s forward and backward, frames lost as asked, frames that a queue dropped."""


class Meters:
    """The meters of the experiments that somebody looks at."""

    def __init__(self) -> None:
        self._kept: dict[str, _Meter] = {}

    async def readings(self, place: Place) -> AsyncIterator[dict[str, Reading]]:
        """Yield what has changed, everything at first; ends when nobody answers for the experiment."""
        meter = self._kept.get(place.hash)
        if meter is None or meter.task.done():
            meter = self._kept[place.hash] = _Meter(place)
        meter.readers += 1
        sent: dict[str, Reading] = {}
        try:
            while True:
                changed = {link: now for link, now in meter.now.items() if sent.get(link) != now}
                if changed:
                    sent.update(changed)
                    yield changed
                if not await meter.next():
                    return
        finally:
            meter.readers -= 1


class _Meter:
    """One experiment's wires."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.readers = 0
        self.now: dict[str, Reading] = {}
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._read())

    async def next(self) -> bool:
        """Wait for the next reading; False when there will be none."""
        news = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait({news, self.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
        return not self.task.done()

    async def _read(self) -> None:
        before: dict[str, Any] = {}
        at = time.monotonic()
        try:
            async with Client(self.place.keeper_socket) as client:
                while True:
                    counted = await client.call("wires", deadline_s=ASK_S)
                    now = time.monotonic()
                    self.now = {link: reading(before.get(link), each, now - at) for link, each in counted.items()}
                    before, at = counted, now
                    self._news.set()
                    self._news = asyncio.Event()
                    await asyncio.sleep(EVERY_S)
                    if not self.readers:
                        return
        except BenitoError as error:
            log.debug("%s: %s", self.place.experiment, error)


def reading(before: dict[str, Any] | None, now: dict[str, Any], seconds: float) -> Reading:
    ways = (now["forward"], now["backward"])
    lost, dropped = (sum(int(way[what]) for way in ways) for what in ("lost", "dropped"))
    if before is None or seconds <= 0:
        return (0, 0, lost, dropped)
    rates = [max(0, round(8 * (now[way]["bytes"] - before[way]["bytes"]) / seconds)) for way in ("forward", "backward")]
    return (rates[0], rates[1], lost, dropped)
