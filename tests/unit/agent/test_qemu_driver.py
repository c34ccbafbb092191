"""Virtual machines that boot take turns, so that hundreds of them come up in order and not all too late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import pytest
from planned import a_machine, an_image

from benito.agent import qemu_driver
from benito.agent.driver import Options, Settlement
from benito.agent.qemu_driver import QemuDriver
from benito.agent.turns import Turns
from benito.errors import NodeError


class Guests:
    """Machines that answer when told to."""

    def __init__(self) -> None:
        self.booting: dict[str, asyncio.Event] = {}

    def driver(self, node: str, turns: Turns, folder: Path, fault: Exception | None = None) -> QemuDriver:
        around = MagicMock(nodes=folder, sockets=folder, templates=folder, memory=folder)
        driver = QemuDriver(a_machine(node=node), an_image(), "Demo/star", around, Options(), turns)
        answered = asyncio.Event()

        async def start(*_: Any, **__: Any) -> None:
            if fault:
                raise fault
            self.booting[node] = answered

        async def wait_ready(_: float) -> None:
            await answered.wait()

        qemu: Any = MagicMock(will_be_clone=False, start=start, close=AsyncMock())
        qemu.agent.wait_ready = wait_ready
        driver._qemu = qemu
        return driver


async def boot(driver: QemuDriver) -> None:
    settlement = MagicMock(spec=Settlement)
    await driver.start(settlement)
    await driver.settle(settlement, lambda _: None)


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu_driver.guest, "configure", AsyncMock())


def test_the_next_one_boots_when_one_before_has_answered(tmp_path: Path) -> None:
    async def steps() -> None:
        turns, guests = Turns(tmp_path / "turns", 1), Guests()
        tasks = [asyncio.create_task(boot(guests.driver(node, turns, tmp_path))) for node in ("a", "b", "c")]
        for node in ("a", "b", "c"):
            await until(lambda node=node: node in guests.booting)  # type: ignore[misc]
            assert list(guests.booting)[-1] == node
            guests.booting[node].set()
        await asyncio.gather(*tasks)

    asyncio.run(asyncio.wait_for(steps(), 20))


def test_one_that_waits_for_something_holds_up_the_others_for_a_while_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu_driver, "TURN_S", 0.05)

    async def steps() -> None:
        turns, guests = Turns(tmp_path / "turns", 1), Guests()
        tasks = [asyncio.create_task(boot(guests.driver(node, turns, tmp_path))) for node in ("a", "b")]
        await until(lambda: "b" in guests.booting)
        for answered in guests.booting.values():
            answered.set()
        await asyncio.gather(*tasks)

    asyncio.run(asyncio.wait_for(steps(), 20))


def test_one_that_cannot_be_started_gives_its_turn_back(tmp_path: Path) -> None:
    async def steps() -> None:
        turns, guests = Turns(tmp_path / "turns", 1), Guests()
        for fault in (NodeError("no memory"), OSError("no disk")):
            with pytest.raises(type(fault)):
                await boot(guests.driver("a", turns, tmp_path, fault))
        task = asyncio.create_task(boot(guests.driver("b", turns, tmp_path)))
        await until(lambda: "b" in guests.booting)
        guests.booting["b"].set()
        await task

    asyncio.run(asyncio.wait_for(steps(), 20))
