"""A copy of a running machine's disk as it is at one moment; the machine goes on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from benito import run
from benito.errors import BusyError, NodeError
from benito.machines.guest_agent import GuestAgent
from benito.machines.monitor import Event, Monitor

DISK = "disk"
"""QEMU's name for the machine's own disk."""
_COPY = "benito-copy"
_FREEZE_S = 20.0
_CANCEL_S = 20.0


async def copy_disk(node: str, monitor: Monitor, agent: GuestAgent, target: Path, uid: int, deadline_s: float) -> None:
    """Write the whole disk, whatever it lies on, into a new qcow2 file; BusyError while another copy is being written.

    The guest's file systems stand still while the moment is taken, a fraction of a second.
    """
    size = await _size(node, monitor)
    await asyncio.to_thread(_create, target, size, uid)
    try:
        await monitor.execute("blockdev-add", _node(target))
        try:
            async with asyncio.timeout(deadline_s):
                await _backup(node, monitor, agent)
        except TimeoutError:
            raise NodeError(f"{node}: its disk was not copied within {deadline_s:g} s") from None
        finally:
            with suppress(NodeError):
                await monitor.execute("blockdev-del", {"node-name": _COPY})
    except BaseException:
        target.unlink(missing_ok=True)
        raise


async def _size(node: str, monitor: Monitor) -> int:
    """Return the disk's size in bytes; BusyError while it is being copied."""
    disks = {each.get("node-name"): each for each in await monitor.execute("query-named-block-nodes", {"flat": True})}
    if _COPY in disks:
        # Left by an agent that ended in the middle, or in use by a job.
        try:
            await monitor.execute("blockdev-del", {"node-name": _COPY})
        except NodeError:
            raise BusyError(f"the disk of {node} is being copied already", hint="try again later") from None
    return int(disks[DISK]["image"]["virtual-size"])


def _create(target: Path, size: int, uid: int) -> None:
    target.unlink(missing_ok=True)
    run.checked(["qemu-img", "create", "-q", "-f", "qcow2", target, str(size)])
    os.chown(target, uid, uid)
    target.chmod(0o600)


def _node(target: Path) -> dict[str, Any]:
    cache = {"no-flush": True}
    file = {"driver": "file", "filename": str(target), "cache": cache}
    return {"driver": "qcow2", "node-name": _COPY, "cache": cache, "file": file, "detect-zeroes": "unmap", **_DISCARD}


_DISCARD = {"discard": "unmap"}


async def _backup(node: str, monitor: Monitor, agent: GuestAgent) -> None:
    """Take the moment, and wait until all of it is written."""
    ended = asyncio.create_task(_end(monitor.events()))
    # The listener must be there before the job can end.
    await asyncio.sleep(0)
    try:
        async with _still(agent):
            job = {"job-id": _COPY, "device": DISK, "target": _COPY, "sync": "full"}
            await monitor.execute("blockdev-backup", job)
        await asyncio.wait({ended})
    except BaseException:
        # QEMU keeps the copy open until the job has ended, and takes no other one as long.
        with suppress(NodeError):
            await monitor.execute("job-cancel", {"id": _COPY})
            await asyncio.wait({ended}, timeout=_CANCEL_S)
        raise
    finally:
        ended.cancel()
    event = ended.result()
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
    except BaseException as error:
        # It may stand still nevertheless, or soon.
        with suppress(NodeError):
            await agent.call("guest-fsfreeze-thaw", {}, _FREEZE_S)
        if not isinstance(error, NodeError):
            raise
        await agent.exec(["/bin/sync"], timeout=_FREEZE_S)
        yield
        return
    try:
        yield
    finally:
        await agent.call("guest-fsfreeze-thaw", {}, _FREEZE_S)
