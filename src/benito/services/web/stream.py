"""Server-sent events: what the pages are told while they are open.

experiment:  snapshot {nodes, operation}   nodes {name: [boot, code]}   events [...]   operation {...}
             links {link: [forward, backward, lost, dropped]}   measured [...]   changed {state}
list:        changed
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from benito.errors import BenitoError
from benito.services.watches import LIVE
from benito.services.web import happening
from benito.services.web.room import Room
from benito.testbed.people import Action, User
from benito.testbed.store import ExperimentRecord
from benito.testbed.view import Status

FIRST_S = 0.005
GATHER_S = 0.05
"""How long news are gathered before they are sent together: hardly at all when none were sent just before."""
PING_S = 15.0
UNREAD = 1000
"""Messages after which a page that doesn't read is let go; its browser connects again and gets a snapshot."""
UNKNOWN: Status = (None, None)

Message = tuple[str, Any]


def written(message: Message) -> bytes:
    """Return a message as the browser's EventSource reads it; JSON has no newlines."""
    name, data = message
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


PING = b": still here\n\n"


async def sent(messages: AsyncIterator[Message]) -> AsyncIterator[bytes]:
    """Write messages, and a sign of life where there are none for long."""
    yield b"retry: 2000\n\n"
    coming = asyncio.ensure_future(anext(messages))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=PING_S)
            if not done:
                yield PING
                continue
            try:
                message = coming.result()
            except StopAsyncIteration:
                return
            yield written(message)
            coming = asyncio.ensure_future(anext(messages))
    finally:
        coming.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await coming


class ExperimentStream:
    """What one open page is told of its experiment."""

    def __init__(self, room: Room, asker: Callable[[], User | None], record: ExperimentRecord, since: str = "") -> None:
        """`asker` tells who looks by now. The page says when what it shows had changed last: it may be old already."""
        self.room = room
        self.asker = asker
        self.record = record
        self.since = since
        self.told: dict[str, Status] = {}
        self._gathered = 0.0
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue(UNREAD)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what the page is told, until the experiment is gone or may not be seen any more."""
        yield "snapshot", {"nodes": await self._changed(), "operation": self._operation()}
        if self.since != str(self.record.changed):
            yield "changed", {"state": str(self.record.state)}
        work: list[Coroutine[Any, Any, None]] = [
            self._watch(),
            self._work(),
            self._meter(),
            self._record(),
            self._measured(),
        ]
        tasks = [asyncio.create_task(each) for each in work]
        try:
            while True:
                message = await self._queue.get()
                if message is None:
                    return
                yield message
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _put(self, message: Message | None) -> None:
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            # It doesn't read: the end is told in the place of all the rest.
            while not self._queue.empty():
                self._queue.get_nowait()
            self._queue.put_nowait(None)

    async def _changed(self) -> dict[str, Status]:
        """Return the states that the page doesn't know yet."""
        watch = await self.room.doors.watches.of(self.record)
        now = watch.statuses if watch else {}
        names = [node.node for node in self.room.doors.watches.nodes(self.record)]
        news = {name: now.get(name, UNKNOWN) for name in names if self.told.get(name) != now.get(name, UNKNOWN)}
        self.told.update(news)
        return news

    def _operation(self) -> dict[str, Any] | None:
        journal = self.room.journals.of(self.record.id, len(self.told))
        return journal.shown() if journal is not None and journal.outcome is None else None

    async def _watch(self) -> None:
        """Tell node states and the log while there is a keeper, and again when there is one again."""
        while True:
            watch = await self.room.doors.watches.of(self.record)
            if watch is not None:
                entries: list[happening.Entry] = []
                # What happened between the snapshot and now is seen by comparing.
                gathering = asyncio.create_task(self._gather(entries, FIRST_S))
                async for event in watch.events():
                    made = happening.entry(event)
                    if made is not None:
                        entries.append(made)
                    if gathering.done():
                        since = time.monotonic() - self._gathered
                        wait_s = FIRST_S if since > GATHER_S else GATHER_S
                        gathering = asyncio.create_task(self._gather(entries, wait_s))
            await self.room.pulse.next()

    async def _gather(self, entries: list[happening.Entry], wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        self._gathered = time.monotonic()
        if news := await self._changed():
            self._put(("nodes", news))
        if entries:
            kept = entries[-happening.SHOWN :]
            entries.clear()
            self._put(("events", [[each.time, each.who, each.what, each.tone] for each in kept]))

    async def _work(self) -> None:
        while True:
            news = self.room.journals.news(self.record.id)
            await news.wait()
            journal = self.room.journals.of(self.record.id, len(self.told))
            if journal is not None:
                self._put(("operation", journal.shown()))

    async def _meter(self) -> None:
        while True:
            if self.record.state in LIVE:
                async for links in self.room.meters.readings(self.room.doors.bed.home.place(self.record.id)):
                    self._put(("links", links))
            await self.room.pulse.next()

    async def _measured(self) -> None:
        results, key = self.room.results, self.record.id.key
        while True:
            news = results.news[key]
            if texts := list(results.texts[key].values()):
                self._put(("measured", texts))
            await news.wait()

    def _seen(self) -> ExperimentRecord | None:
        """Return the experiment as it is now; None when it is gone, or not for who looks any more."""
        user, name = self.asker(), self.record.id
        if user is None:
            return None
        try:
            return self.room.doors.access.experiment(user, Action.SEE, name.pid, name.eid)
        except BenitoError:
            return None

    async def _record(self) -> None:
        """Tell changes of the experiment's own state."""
        while True:
            await self.room.pulse.next()
            record = self._seen()
            if record is None:
                self._put(("changed", {"state": "gone"}))
                self._put(None)
                return
            if record.changed == self.record.changed and record.state == self.record.state:
                continue
            self.record = record
            if record.state not in LIVE:
                self.told.clear()
            self.room.journals.of(record.id, len(self.told))
            self._put(("changed", {"state": str(record.state)}))


async def list_messages(room: Room, asker: Callable[[], User | None]) -> AsyncIterator[Message]:
    """Yield `changed` when what the user's list of experiments shows has changed; ends when nobody looks any more."""
    before: object = None
    # At first always: the list may have changed since the page was made.
    while (user := asker()) is not None:
        records = room.doors.access.records(user)
        now = [(record.id, record.state, record.changed, _tally(room, record)) for record in records]
        if now != before:
            yield "changed", {}
        before = now
        await room.pulse.next()


def _tally(room: Room, record: ExperimentRecord) -> object:
    return dict(room.pulse.boots(record.id)) if record.state in LIVE else None
