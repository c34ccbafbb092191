"""Copies of disks: whatever goes wrong, the guest moves on and the next copy can be made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from benito.errors import BusyError, NodeError
from benito.machines import copying
from benito.machines.guest_agent import GuestAgent
from benito.machines.monitor import Event, Monitor

COPY = "benito-copy"


class Qemu:
    """A QEMU with one disk, whose copy ends when it is told to."""

    def __init__(self) -> None:
        self.nodes = {"disk"}
        self.job = False
        self.begun = asyncio.Event()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        told = arguments or {}
        match command:
            case "query-named-block-nodes":
                return [{"node-name": name, "image": {"virtual-size": 1 << 20}} for name in self.nodes]
            case "blockdev-add":
                if told["node-name"] in self.nodes:
                    raise NodeError("Duplicate nodes")
                self.nodes.add(told["node-name"])
            case "blockdev-del":
                if self.job:
                    raise NodeError("Node is in use")
                self.nodes.remove(told["node-name"])
            case "blockdev-backup":
                self.job = True
                self.begun.set()
            case "job-cancel":
                if not self.job:
                    raise NodeError("Job not found")
                asyncio.get_running_loop().call_later(0.01, self.end, "BLOCK_JOB_CANCELLED")
        return None

    def end(self, name: str = "BLOCK_JOB_COMPLETED") -> None:
        self.job = False
        self._events.put_nowait(Event(name, {"device": COPY}, 0))

    async def events(self) -> AsyncIterator[Event]:
        while True:
            yield await self._events.get()


class Guest:
    """A guest agent that may refuse to stand still."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.frozen = False

    async def call(self, command: str, arguments: Mapping[str, Any], timeout: float) -> Any:
        self.frozen = command.endswith("freeze")
        if command in self.refused:
            raise NodeError("refused")

    async def exec(self, argv: list[str], timeout: float = 60) -> None:
        if self.frozen:
            raise NodeError("the guest stands still")


@pytest.fixture(autouse=True)
def _no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "_create", lambda target, size, uid: target.touch())


def copy(qemu: Qemu, guest: Guest, target: Path, deadline_s: float = 10) -> asyncio.Task[None]:
    monitor, agent = cast(Monitor, qemu), cast(GuestAgent, guest)
    return asyncio.create_task(copying.copy_disk("a", monitor, agent, target, 0, deadline_s))


async def done(qemu: Qemu, guest: Guest, target: Path) -> None:
    task = copy(qemu, guest, target)
    await qemu.begun.wait()
    qemu.end()
    await task
    assert target.exists()
    assert not guest.frozen
    assert qemu.nodes == {"disk"}


def test_a_copy_is_whole_and_leaves_nothing_open(tmp_path: Path) -> None:
    async def steps() -> None:
        await done(Qemu(), Guest(), tmp_path / "copy")

    asyncio.run(steps())


def test_after_one_that_took_too_long_another_can_be_made(tmp_path: Path) -> None:
    async def steps() -> None:
        qemu, guest = Qemu(), Guest()
        with pytest.raises(NodeError, match=r"not copied within 0\.05 s"):
            await copy(qemu, guest, tmp_path / "copy", 0.05)
        assert not (tmp_path / "copy").exists()
        qemu.begun.clear()
        await done(qemu, guest, tmp_path / "copy")

    asyncio.run(steps())


def test_after_one_that_was_cancelled_another_can_be_made(tmp_path: Path) -> None:
    async def steps() -> None:
        qemu, guest = Qemu(), Guest()
        task = copy(qemu, guest, tmp_path / "copy")
        await qemu.begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        qemu.begun.clear()
        await done(qemu, guest, tmp_path / "copy")

    asyncio.run(steps())


def test_a_second_one_meanwhile_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    async def steps() -> None:
        qemu, guest = Qemu(), Guest()
        first = copy(qemu, guest, tmp_path / "copy")
        await qemu.begun.wait()
        with pytest.raises(BusyError, match="being copied already"):
            await copy(qemu, guest, tmp_path / "copy")
        qemu.end()
        await first
        assert (tmp_path / "copy").exists()

    asyncio.run(steps())


def test_what_an_agent_that_ended_has_left_open_is_closed(tmp_path: Path) -> None:
    async def steps() -> None:
        qemu = Qemu()
        qemu.nodes.add(COPY)
        await done(qemu, Guest(), tmp_path / "copy")

    asyncio.run(steps())


def test_a_guest_that_says_too_late_that_it_stands_still_is_let_go_on(tmp_path: Path) -> None:
    async def steps() -> None:
        await done(Qemu(), Guest("guest-fsfreeze-freeze"), tmp_path / "copy")

    asyncio.run(steps())
