"""Machines restarted through the keeper: their links and disks stay."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benito.agent.rpc import Client
from benito.errors import NodeError
from benito.testbed.home import Place
from benito.testbed.keeping import follow

CONTROL_S = 120.0
BOOT_S = 600.0
"""How long none may come up."""
AT_ONCE = 32


async def reboot(place: Place, nodes: Sequence[str], *, power: bool = False, wait: bool = False) -> None:
    """Reset machines, or with `power` end and start them; with `wait`, until each has been down and is up.

    Raises what the first says that couldn't be reset; NodeError when one isn't up in time.
    """
    actions = ("kill", "start") if power else ("restart",)
    if not wait:
        await _control(place, nodes, actions)
        return
    down: set[str] = set()
    up: set[str] = set()
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(BOOT_S) as limit:
            events = follow(place)
            # Listening begins before anything happens, so that no going down is missed.
            await anext(events)
            await _control(place, nodes, actions)
            async for event in events:
                before = len(up)
                _take(event, nodes, down, up)
                if len(up) > before:
                    limit.reschedule(loop.time() + BOOT_S)
                if down & up >= set(nodes):
                    return
    except TimeoutError:
        late = sorted(set(nodes) - up)
        raise NodeError(
            f"nothing has come up for {BOOT_S:g} s, and these are not up again: {', '.join(late)}",
            hint="see `benito status`",
        ) from None


def _take(event: dict[str, object], nodes: Sequence[str], down: set[str], up: set[str]) -> None:
    statuses, status, node = event.get("statuses"), event.get("status"), str(event.get("node"))
    if isinstance(statuses, dict):
        # The keeper was away, and what happened meanwhile is not told.
        down.update(nodes)
        up.update(each for each, (boot, _) in statuses.items() if boot == "booted")
    elif isinstance(status, list) and status[0] != "booted":
        down.add(node)
        up.discard(node)
    elif isinstance(status, list) and node in down:
        up.add(node)


async def _control(place: Place, nodes: Sequence[str], actions: Sequence[str]) -> None:
    turns = asyncio.Semaphore(AT_ONCE)
    async with Client(place.keeper_socket) as keeper:

        async def one(node: str) -> None:
            async with turns:
                for action in actions:
                    await keeper.call("control", {"node": node, "action": action}, deadline_s=CONTROL_S)

        answers = await asyncio.gather(*map(one, nodes), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
