"""What runs, as it is now: one connection to the keeper of each experiment that somebody looks at.

A keeper says what happens when it happens, so a look costs nothing and is never older than the event.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from benito.agent.rpc import Client, Unreachable
from benito.errors import BenitoError
from benito.testbed.home import ExperimentId, Place
from benito.testbed.store import ExperimentRecord, NodeRecord, State
from benito.testbed.testbed import Testbed
from benito.testbed.view import ExperimentView, Status, assemble, revive_keeper

log = logging.getLogger(__name__)
LIVE = frozenset({State.ACTIVATING, State.ACTIVE, State.MODIFYING, State.SWAPPING})
"""States in which a keeper may be there."""
FIRST_S = 1.0
"""How long the first look waits for the keeper."""
RECONNECT_S = 0.2
REVIVE_AFTER_S = 3.0
HEARTBEAT_S = 5.0
"""How often a keeper that says nothing is asked."""
UNUSED_S = 120.0
MAX_UNREAD = 10_000
"""Events after which a follower that doesn't read is dropped."""

Event = dict[str, Any]


class Watch:
    """One experiment's keeper: what it says, kept as it says it."""

    def __init__(self, bed: Testbed, place: Place) -> None:
        self.bed = bed
        self.place = place
        self.statuses: dict[str, Status] = {}
        self.pnodes: dict[str, str] = {}
        self.up = False
        self.version = 0
        """Changes whenever anything above does."""
        self.used = time.monotonic()
        self._heard = asyncio.Event()
        self._followers: set[asyncio.Queue[Event | None]] = set()
        self._task = asyncio.create_task(self._keep())

    async def first(self) -> None:
        """Wait until the keeper has spoken once, or a moment is over."""
        self.used = time.monotonic()
        if not self._heard.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST_S):
                    await self._heard.wait()

    async def close(self) -> None:
        """Stop watching; followers see the end."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        for queue in self._followers:
            queue.put_nowait(None)

    async def events(self) -> AsyncIterator[Event]:
        """Yield what happens from now on, each after it shows in the statuses."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._followers.add(queue)
        try:
            while (event := await queue.get()) is not None:
                self.used = time.monotonic()
                yield event
        finally:
            self._followers.discard(queue)

    @property
    def followed(self) -> bool:
        """Whether anybody reads its events."""
        return bool(self._followers)

    async def _keep(self) -> None:
        missing_since = time.monotonic()
        while True:
            try:
                async with Client(self.place.keeper_socket) as client:
                    await self._converse(client)
            except BenitoError:
                pass
            except Exception:
                log.exception("%s", self.place.experiment)
            if self.up:
                missing_since = time.monotonic()
                self._lost()
            if time.monotonic() - missing_since > REVIVE_AFTER_S:
                missing_since = time.monotonic()
                await asyncio.to_thread(self._revive)
            await asyncio.sleep(RECONNECT_S)

    async def _converse(self, client: Client) -> None:
        await client.call("subscribe", deadline_s=HEARTBEAT_S)
        await self._ask(client)
        self.up = True
        events = client.events()
        coming = asyncio.ensure_future(anext(events))
        try:
            while True:
                await asyncio.wait({coming}, timeout=HEARTBEAT_S)
                if not coming.done():
                    await self._ask(client)
                    continue
                try:
                    event = coming.result()
                except StopAsyncIteration:
                    return
                coming = asyncio.ensure_future(anext(events))
                await self._take(client, event)
        finally:
            coming.cancel()

    async def _ask(self, client: Client) -> None:
        statuses = await client.call("status", deadline_s=HEARTBEAT_S)
        pnodes = await client.call("pnodes", deadline_s=HEARTBEAT_S)
        told = {node: (boot, code) for node, (boot, code) in statuses.items()}
        if (told, pnodes) != (self.statuses, self.pnodes):
            self.statuses, self.pnodes = told, pnodes
            self.version += 1
        self._heard.set()

    async def _take(self, client: Client, event: Event) -> None:
        if "status" in event:
            self.statuses[event["node"]] = (event["status"][0], event["status"][1])
            self.version += 1
        elif event.get("event") in ("lost", "reached"):
            await self._ask(client)
        self._tell(event)

    def _tell(self, event: Event) -> None:
        for queue in list(self._followers):
            if queue.qsize() > MAX_UNREAD:
                self._followers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    def _lost(self) -> None:
        self.up = False
        self.statuses = dict.fromkeys(self.statuses, (None, None))
        self.pnodes = dict.fromkeys(self.pnodes, "lost")
        self.version += 1
        self._tell({"time": round(time.time(), 3), "event": "keeper lost"})

    def _revive(self) -> None:
        bed = self.bed.again()
        try:
            record = bed.record(self.place.experiment)
            if record.state is State.ACTIVE:
                revive_keeper(bed, record)
        except (BenitoError, Unreachable) as error:
            log.warning("%s: its keeper is gone: %s", self.place.experiment, error)
        finally:
            bed.store.close()


class Watches:
    """The watches of one home; belongs to the event loop's thread."""

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed
        self._watches: dict[str, Watch] = {}
        self._nodes: dict[str, tuple[float, list[NodeRecord]]] = {}

    async def of(self, record: ExperimentRecord) -> Watch | None:
        """Return the watch of an experiment that has a keeper; None for one that has none."""
        key = record.id.key
        watch = self._watches.get(key)
        if record.state not in LIVE:
            if watch is not None:
                del self._watches[key]
                await watch.close()
            return None
        if watch is None:
            watch = self._watches[key] = Watch(self.bed, self.bed.home.place(record.id))
        await watch.first()
        return watch

    def nodes(self, record: ExperimentRecord) -> list[NodeRecord]:
        """Return the experiment's nodes as they were placed, from memory while the experiment's state stands."""
        kept = self._nodes.get(record.id.key)
        if kept is None or kept[0] != record.changed:
            kept = (record.changed, [] if record.state is State.SWAPPED else self.bed.store.nodes(record.id))
            # While a change is under way the list may follow at any time.
            if record.state in (State.ACTIVE, State.SWAPPED):
                self._nodes[record.id.key] = kept
        return kept[1]

    async def view(self, record: ExperimentRecord) -> ExperimentView:
        """Return what an experiment looks like now."""
        watch = await self.of(record)
        nodes = self.nodes(record)
        statuses = watch.statuses if watch else {}
        return assemble(self.bed, record, nodes, statuses, dict(watch.pnodes) if watch else {})

    async def events(self, experiment: ExperimentId) -> AsyncIterator[Event]:
        """Yield an experiment's events from now on; ends when it is swapped out or gone."""
        watch = await self.of(self.bed.record(experiment))
        if watch is not None:
            async for event in watch.events():
                yield event

    async def tidy(self) -> None:
        """Let go of watches that nobody uses or whose experiment ended, until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for key, watch in list(self._watches.items()):
                unused = not watch.followed and time.monotonic() - watch.used > UNUSED_S
                if unused or not self._live(watch.place.experiment):
                    self._watches.pop(key, None)
                    self._nodes.pop(key, None)
                    await watch.close()

    def _live(self, experiment: ExperimentId) -> bool:
        try:
            return self.bed.record(experiment).state in LIVE
        except BenitoError:
            return False

    async def close(self) -> None:
        """Let go of all."""
        watches = list(self._watches.values())
        self._watches.clear()
        await asyncio.gather(*(watch.close() for watch in watches))
