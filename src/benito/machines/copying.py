"""A copy of a running machine's disk as it is at one moment; the machine goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from benito.errors import NodeError
from benito.machines.guest_agent import GuestAgent
from benito.machines.monitor import Event, Monitor

DISK = "disk"
"""QEMU's name for the machine's own disk."""
_COPY = "benito-copy"
_FREEZE_S = 20.0


async def copy_disk(node: str, monitor: Monitor, agent: GuestAgent, target: Path, uid: int, deadline_s: float) -> None:
    """Write the whole disk, whatever it lies on, into a new qcow2 file; NodeError when that fails.

    The guest's file systems stand still while the moment is taken, a fraction of a second.
    """
    size = await _size(monitor)
    await asyncio.to_thread(_create, target, size, uid)
    try:
        await monitor.execute("blockdev-add", _node(target))
        try:
            async with asyncio.timeout(deadline_s):
                await _backup(node, monitor, agent)
        except TimeoutError:
            await monitor.execute("job-cancel", {"id": _COPY})
            raise NodeError(f"{node}: its disk was not copied within {deadline_s:g} s") from None
        finally:
            with suppress(NodeError):
                await monitor.execute("blockdev-del", {"node-name": _COPY})
    except BaseException:
        target.unlink(missing_ok=True)
        raise


async def _size(monitor: Monitor) -> int:
    nodes = await monitor.execute("query-named-block-nodes", {"flat": True})
    return int(next(each["image"]["virtual-size"] for each in nodes if each.get("node-name") == DISK))


def _create(target: Path, size: int, uid: int) -> None:
    target.unlink(missing_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", target, str(size)], check=True, timeout=60)
    os.chown(target, uid, uid)
    target.chmod(0o600)


def _node(target: Path) -> dict[str, Any]:
    cache = {"no-flush": True}
    file = {"driver": "file", "filename": str(target), "cache": cache}
    return {"driver": "qcow2", "node-name": _COPY, "cache": cache, "file": file, "detect-zeroes": "unmap", **_DISCARD}


_DISCARD = {"discard": "unmap"}


async def _backup(node: str, monitor: Monitor, agent: GuestAgent) -> None:
    """Take the moment, and wait until all of it is written."""
    events = monitor.events()
    ended = asyncio.create_task(_end(events))
    # The listener must be there before the job can end.
    await asyncio.sleep(0)
    try:
        async with _still(agent):
            job = {"job-id": _COPY, "device": DISK, "target": _COPY, "sync": "full"}
            await monitor.execute("blockdev-backup", job)
        event = await ended
    finally:
        ended.cancel()
    if event is None or event.name != "BLOCK_JOB_COMPLETED" or event.data.get("error"):
        raise NodeError(f"{node}: its disk could not be copied: {event.data.get('error', '') if event else 'it ended'}")


async def _end(events: AsyncIterator[Event]) -> Event | None:
    async for event in events:
        if event.name in ("BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED") and event.data.get("device") == _COPY:
            return event
    return None


@asynccontextmanager
async def _still(agent: GuestAgent) -> AsyncIterator[None]:
    """Have the guest write out what it holds and stand still; one whose agent can't do that is as after a power cut."""
    try:
        await agent.call("guest-fsfreeze-freeze", {}, _FREEZE_S)
    except NodeError:
        await agent.exec(["/bin/sync"], timeout=_FREEZE_S)
        yield
        return
    try:
        yield
    finally:
        await agent.call("guest-fsfreeze-thaw", {}, _FREEZE_S)
