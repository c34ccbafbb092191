"""From commands to the keeper: start it, ask it, wait on it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from benito.agent import spawner
from benito.agent.cgroup import Group, Limits
from benito.agent.rpc import Client, Unreachable
from benito.errors import BenitoError, NodeError
from benito.machines import engine
from benito.machines.accelerator import decide
from benito.substrate.local import PYTHON, start_init
from benito.testbed.config import Config
from benito.testbed.home import Home, Place
from benito.testbed.progress import Progress
from benito.testbed.store import Settings

HUB = "hub"
RETRY_S = 0.2
STOPPING = 2 * (os.cpu_count() or 1)
"""Machines to have shut down at the same time: hundreds together would be too slow, and ended in the middle."""
ABSENT_S = 20.0
"""How long a keeper may be away before a wait asks whether it comes back."""
BUSY_S = 120.0
"""How long it may be away while its init runs, which starts it again: as long as a very busy host takes."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the keeper."""

    operation: str
    arguments: dict[str, Any] = field(default_factory=dict)


def keeper_alive(place: Place) -> bool:
    """Whether the keeper's init runs; it restarts the keeper by itself."""
    try:
        spawner.request(place.runtime / HUB / "init.sock", op="list")
    except Unreachable:
        return False
    return True


def begin_hub(place: Place) -> None:
    """Have the init run that keeps the experiment's own programs alive."""
    if keeper_alive(place):
        return
    runtime = place.runtime / HUB
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    group = Group(place.cgroup).child(HUB)
    group.create()
    place.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    start_init(
        name=f"benito-{place.hash}",
        socket=runtime / "init.sock",
        binds={},
        group=group,
        log=place.logs / "hub-init.log",
        host_network=True,
    )


def keep_in_hub(
    place: Place, job: str, program: Sequence[str], *, limits: Limits | None = None, anew: bool = False
) -> bool:
    """Have one of the experiment's own programs run, a Python module with its words; whether it had to be started.

    The hub's init starts it again whenever it ends. With `limits` it has a control group of its own; with `anew` one
    that runs is ended, so that it reads its settings again.
    """
    begin_hub(place)
    init = place.runtime / HUB / "init.sock"
    group = Group(place.cgroup).child(job)
    if limits is not None:
        group.create(limits)
    if job in spawner.request(init, op="list")["jobs"]:
        if anew:
            spawner.request(init, op="signal", name=job, signal=int(signal.SIGTERM))
        return False
    spawner.request(
        init,
        op="spawn",
        name=job,
        argv=[*PYTHON, *program],
        log=str(place.logs / f"{job}.log"),
        keep=True,
        cgroups=[str(folder) for folder in group.folders] if limits is not None else [],
    )
    return True


def start_keeper(place: Place, home: Home, settings: Settings, config: Config) -> None:
    """Start the keeper under the hub's init, which keeps it alive; nothing happens when it runs."""
    options = {
        "accelerator": decide(settings.accelerator, home.cache),
        "shaping": settings.shaping,
        "boot_deadline_s": config.boot_deadline_s,
        "engine": engine.found(home.cache, config.container_runtime) or "",
    }
    program = ["benito.testbed.keeper", "--home", str(home.root), "--experiment", str(place.experiment)]
    if keep_in_hub(place, "keeper", [*program, "--options", json.dumps(options)]):
        await_keeper(place)


def await_keeper(place: Place) -> None:
    """Wait until the keeper answers; Unreachable when it doesn't come up."""

    async def wait() -> None:
        began = time.monotonic()
        while True:
            try:
                async with Client(place.keeper_socket) as client:
                    await client.call("status")
                return
            except Unreachable:
                if _lost(place, time.monotonic() - began):
                    raise
                await asyncio.sleep(RETRY_S / 4)

    asyncio.run(wait())


def _lost(place: Place, away_s: float) -> bool:
    """Whether a keeper that has been away so long is not worth waiting for."""
    if away_s <= ABSENT_S:
        return False
    try:
        return away_s > BUSY_S or not keeper_alive(place)
    except NodeError:
        # Its init is there, and too busy to answer.
        return False


def ask_keeper(
    place: Place, requests: Sequence[Request], deadline_s: float, *, at_once: int | None = None
) -> list[Any]:
    """Ask all, so many at once, and return replies in order; a refused request's place holds its BenitoError.

    The deadline is of each. Unreachable when no keeper answers.
    """

    async def ask() -> list[Any]:
        turns = asyncio.Semaphore(at_once or max(1, len(requests)))
        async with Client(place.keeper_socket) as client:

            async def one(request: Request) -> Any:
                async with turns:
                    return await client.call(request.operation, request.arguments, deadline_s=deadline_s)

            answers = await asyncio.gather(*map(one, requests), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, BenitoError):
                raise answer
        return list(answers)

    return asyncio.run(ask())


async def follow(place: Place) -> AsyncIterator[dict[str, Any]]:
    """Yield the keeper's events, first one `{"statuses": {...}}` at each (re)connection; Unreachable when it's gone.

    After a pnode was reached again comes one `{"again": {...}}` of all nodes.
    """
    missing_since = time.monotonic()
    while True:
        try:
            async with Client(place.keeper_socket) as client:
                await client.call("subscribe")
                yield {"statuses": await client.call("status")}
                async for event in client.events():
                    yield event
                    if event.get("event") == "reached":
                        # What its nodes are meanwhile is told by no event of theirs.
                        yield {"again": await client.call("status")}
            missing_since = time.monotonic()
        except Unreachable:
            if _lost(place, time.monotonic() - missing_since):
                raise
            await asyncio.sleep(RETRY_S)


def await_booted(
    place: Place, nodes: Collection[str], optional: Collection[str], progress: Progress, deadline_s: float
) -> list[str]:
    """Wait until every node is booted; returns the optional ones that failed.

    NodeError with the reason when another one dies or fails, or when none has come any further for `deadline_s`: as
    many nodes as there are may boot one after the other.
    """

    async def wait() -> list[str]:
        watch = _Watch(set(nodes), set(optional), progress)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline_s) as limit:
                async for event in follow(place):
                    if watch.take(event):
                        limit.reschedule(loop.time() + deadline_s)
                    if not watch.missing:
                        return watch.failed
        except TimeoutError:
            raise NodeError(
                f"nothing has come up for {deadline_s:g} s, and these are not booted: "
                f"{', '.join(sorted(watch.missing))}",
                hint=f"their consoles are in {place.nodes}, the agents' logs in {place.logs}",
            ) from None
        raise AssertionError("the keeper's events never end")

    return asyncio.run(wait())


class _Watch:
    """Which nodes are still missing."""

    def __init__(self, missing: set[str], optional: set[str], progress: Progress) -> None:
        self.missing, self.optional, self.progress = missing, optional, progress
        self.failed: list[str] = []

    def take(self, event: dict[str, Any]) -> bool:
        """Take the keeper's event; whether a node has come further."""
        before = len(self.missing)
        if "statuses" in event or "again" in event:
            for node, (boot, code) in event.get("statuses", event.get("again", {})).items():
                self._status(node, boot, code)
        elif "status" in event:
            self._status(event["node"], *event["status"])
        elif "phase" in event:
            self.progress.node(event["node"], event["phase"])
            return event["node"] in self.missing
        elif event.get("event") == "lost" and event.get("why") == "away":
            self.progress.notice(f"{event['pnode']}'s agent is away; it is being restarted")
        elif event.get("event") == "lost":
            raise NodeError(f"{event['pnode']} ended while its nodes booted", hint="see its init's log")
        elif "error" in event:
            self._fail(event.get("node"), event["error"], event.get("hint", ""))
        elif "notice" in event:
            self.progress.notice(event["notice"])
        return len(self.missing) < before

    def _status(self, node: str, boot: str | None, code: int | None) -> None:
        if boot == "booted" and node in self.missing:
            self.missing.discard(node)
            self.progress.node(node, "booted")
        elif boot == "dead":
            self._fail(node, f"{node}: its machine ended with exit code {code}", "")

    def _fail(self, node: str | None, message: str, hint: str) -> None:
        if node is not None and node not in self.missing:
            return
        if node in self.optional and node is not None:
            self.missing.discard(node)
            self.failed.append(node)
            self.progress.notice(f"{message}; the swap-in goes on, as its failure action says")
            return
        raise NodeError(message, hint=hint)
