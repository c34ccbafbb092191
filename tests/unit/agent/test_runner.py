"""Machines that a restarted agent finds: those that weren't finished are seen through."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock, MagicMock

from planned import a_machine

from benito.agent.driver import Settlement
from benito.agent.runner import Remembered, Runner


def test_a_clone_that_ends_under_its_second_agent_boots_instead() -> None:
    async def steps() -> None:
        around, driver = MagicMock(), MagicMock()
        for name in ("adopt", "settle", "start", "close"):
            setattr(driver, name, AsyncMock())
        woken = asyncio.Event()

        async def give_up(*_: Any) -> None:
            woken.set()
            await asyncio.Event().wait()

        driver.settle = AsyncMock(side_effect=give_up)
        driver.another_way.return_value = "its agent ended before it was awake"
        runner = Runner(a_machine(node="a"), driver, around)
        runner.restore(Remembered("running", None, False))
        assert runner.unsettled
        runner.resume(MagicMock(spec=Settlement))
        await asyncio.wait_for(woken.wait(), 5)
        driver.settle = AsyncMock()
        runner.ended(0)
        while runner.boot != "booted":
            await asyncio.sleep(0.005)
        driver.start.assert_awaited_once()
        notices = [call.args[0]["notice"] for call in around.tell.call_args_list if "notice" in call.args[0]]
        assert notices == ["a boots instead: its agent ended before it was awake"]

    asyncio.run(asyncio.wait_for(steps(), 20))
